"""The settings of an application as `--help` shows them: values, and what the configuration files say of each."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

import conf

_COMMENTED = re.compile(r"(\w+):.*?\s# (.+)")
_ITEM = re.compile(r"( *)- ([^\s:{\[-][^:]*|-?[\d.]+)")
_SETTING = re.compile(r"( *)(\w+):")


def register() -> None:
    """Makes `${settings_with_comments:}` known to templates of help texts."""
    OmegaConf.register_new_resolver("settings_with_comments", settings_with_comments, replace=True)


def settings_with_comments(*, _root_: DictConfig) -> str:
    """The composed settings as YAML, with the comments of the files that they come from; a `$` is doubled.

    Args:
        _root_: the composed configuration, with Hydra's own part.
    """
    runtime = _root_.hydra.runtime
    folders = [Path(source.path) for source in runtime.config_sources if source.schema == "file"]
    folders.append(Path(conf.__file__).parent)
    own = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    said = dict(_comments(folders, [f"{_root_.hydra.job.config_name}.yaml"]))
    of_group = {
        group: dict(_comments(folders, [f"{group}/{option}.yaml"]))
        for group, option in runtime.choices.items()
        if option
    }
    return "\n".join(_commented(_folded(OmegaConf.to_yaml(own).splitlines()), said, of_group)).replace("$", "$$")


def _folded(lines: Iterable[str]) -> list[str]:
    """Lists of plain values in the line of their name, as in `depths: [2, 3]`."""
    found: list[str] = []
    for line in lines:
        item = _ITEM.fullmatch(line)
        if item and (empty := re.fullmatch(rf"{item[1]}\w+:", found[-1])):
            found[-1] = f"{empty[0]} [{item[2]}]"
        elif item and re.match(rf"{item[1]}\w+: \[.*\]$", found[-1]):
            found[-1] = f"{found[-1][:-1]}, {item[2]}]"
        else:
            found.append(line)
    return found


def _commented(lines: Iterable[str], said: dict[str, str], of_group: dict[str, dict[str, str]]) -> Iterator[str]:
    group = ""
    for line in lines:
        found = _SETTING.match(line)
        depth, name = (len(found[1]), found[2]) if found else (-1, "")
        if depth == 0:
            group = name
        comment = said.get(name) if depth == 0 else of_group.get(group, {}).get(name) if depth == 2 else None
        yield f"{line}  # {comment}" if comment else line


def _comments(folders: list[Path], names: list[str]) -> Iterator[tuple[str, str]]:
    """Name and comment of each setting of files, and before them of the files that these extend."""
    for name in names:
        for path in [path for folder in folders if (path := folder / name).is_file()][:1]:
            text = path.read_text(encoding="utf-8")
            content = OmegaConf.create(text) if "/" in name else None
            extended = content.get("defaults") or [] if isinstance(content, DictConfig) else []
            others = [other for other in extended if isinstance(other, str) and other != "_self_"]
            yield from _comments(folders, [f"{Path(name).parent.as_posix()}/{other}.yaml" for other in others])
            yield from ((found[1], found[2]) for line in text.splitlines() if (found := _COMMENTED.fullmatch(line)))
