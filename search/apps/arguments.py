"""Prepares command lines, as people write them, for Hydra's grammar."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

_SETTING = re.compile(r"(?P<key>[+~]{0,2}[\w./@:-]+)=(?P<value>.*)", re.DOTALL)

_WORD = re.compile(r"[a-z]+")

_WITHOUT_VALUE = ("-m", "--multirun")

_OPTIONS = (
    "--help --hydra-help --version --cfg --resolve --package --run --multirun --shell-completion --config-path "
    "--config-name --config-dir --experimental-rerun --info"
).split()

_WITH_PATH = ("--config-dir", "-cd", "--config-path", "-cp")


def prepared(arguments: Sequence[str], *, acts: bool = False) -> list[str]:
    """The arguments for Hydra: options first, then settings, with values quoted that Hydra could not parse.

    In a multirun, the folder of each job is named after the settings that vary between jobs, as in
    `hardware=torch_cpu`.

    Args:
        arguments: of the command line, without the program.
        acts: whether the application has a setting `action`, which a word by itself stands for, as in
            `supernet-profile bundle`.

    Raises ValueError for an option that Hydra does not have.
    """
    _require_options(arguments)
    before = ["", *arguments]
    arguments = [
        f"action={a}" if acts and _WORD.fullmatch(a) and (b in _WITHOUT_VALUE or not b.startswith("-")) else a
        for a, b in zip(arguments, before, strict=False)
    ]
    settings = [_SETTING.fullmatch(a) and b not in _WITH_PATH for a, b in zip(arguments, before, strict=False)]
    ready = [argument for argument, is_setting in zip(arguments, settings, strict=True) if not is_setting]
    ready += [_quoted(argument) for argument, is_setting in zip(arguments, settings, strict=True) if is_setting]
    if not {"-m", "--multirun"} & set(ready):
        return ready
    fixed = [match["key"].lstrip("+~") for match in map(_SETTING.fullmatch, ready) if match and not _varies(match[0])]
    return [*ready, f"hydra.job.config.override_dirname.exclude_keys=[{','.join(fixed)}]"] if fixed else ready


def _require_options(arguments: Sequence[str]) -> None:
    for argument, following in pairwise([*arguments, ""]):
        name, given, inline = argument.partition("=")
        if name.startswith("--") and not any(option.startswith(name) for option in _OPTIONS):
            value = inline if given else "" if following.startswith("-") or "=" in following else following
            meant = f"{name[2:]}={value or '...'}"
            raise ValueError(f"there is no option {name}: settings are written without dashes, {meant}")


def _quoted(argument: str) -> str:
    """The argument with comparisons (`where=latency <= 5`) and JSON objects quoted, and a leading `~/` expanded."""
    match = _SETTING.fullmatch(argument)
    if match is None:
        return argument
    key, value = match["key"], match["value"]
    if value.startswith("~/"):
        return f"{key}={Path(value).expanduser()}"
    if value.startswith('{"') or (re.search(r"[<>]", value) and value[0] not in "'\"[{"):
        escaped = value.replace("'", "\\'")
        return f"{key}='{escaped}'"
    return argument


def _varies(argument: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return any(override.is_sweep_override() for override in OverridesParser.create().parse_overrides([argument]))
    except HydraException:  # explained when Hydra itself reads it
        return False
