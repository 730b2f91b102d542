"""Command lines as people write them, made ready for Hydra's grammar."""

import re
from collections.abc import Sequence
from pathlib import Path

_SETTING = re.compile(r"(?P<key>[+~]{0,2}[\w./@:-]+)=(?P<value>.*)", re.DOTALL)

_WORD = re.compile(r"[a-z]+")

_WITHOUT_VALUE = ("-m", "--multirun")

_WITH_PATH = ("--config-dir", "-cd", "--config-path", "-cp")


def prepared(arguments: Sequence[str], *, acts: bool = False) -> list[str]:
    """The arguments with settings after options, and values quoted where Hydra could not read them.

    A word that belongs to no option, as in `supernet-profile bundle`, is the setting `action` of an application that
    `acts` in several ways.
    The folder of each job of a multirun is named after what varies between the jobs alone, as in `hardware=torch_cpu`.
    """
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


def _quoted(argument: str) -> str:
    """Comparisons as in `where=latency <= 5` and JSON objects are quoted; a leading `~/` is the home folder."""
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
