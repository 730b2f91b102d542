"""Entries of Once-for-All's latency tables, and their files."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml

from hardware.model import TableError

_FIRST_LAYER = re.compile(r"Conv-input:(\d+)x\1x\d+-output:.*")
_MERGE = "tag:yaml.org,2002:merge"
_QUARTILE, _DECILE, _INTERVAL = 0.6745, 1.2816, 1.96  # of a normal distribution


@dataclass(frozen=True)
class Entry:
    """Latency of a layer: mean and standard deviation in ms over `count` runs (0 where it was not run itself)."""

    mean: float
    std: float = 0.0
    count: int = 0

    @classmethod
    def sum_of(cls, entries: Sequence[Self]) -> Self:
        """Layers that run one after the other."""
        std = math.sqrt(sum(entry.std**2 for entry in entries))
        return cls(sum(entry.mean for entry in entries), std, min(entry.count for entry in entries))

    def towards(self, other: Self, share: float) -> Self:
        """Linear interpolation to another entry: `share` 0 gives this one, 1 the other."""
        return type(self)((1 - share) * self.mean + share * other.mean, (1 - share) * self.std + share * other.std)

    @property
    def quantiles(self) -> tuple[float, float, float, float]:
        """The 10, 25, 75 and 90 % quantiles in ms, if latencies are normally distributed."""
        far, near = _DECILE * self.std, _QUARTILE * self.std
        return (self.mean - far, self.mean - near, self.mean + near, self.mean + far)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the mean in ms."""
        if not self.count:
            return (0.0, math.inf)
        half = _INTERVAL * self.std / math.sqrt(self.count)
        return (self.mean - half, self.mean + half)


def read_sizes(files: Sequence[Path]) -> dict[int, dict[str, Entry]]:
    """Entries by name, for each image size: that of the first layers in a file.

    Raises TableError naming file, line and column.
    """
    by_size: dict[int, dict[str, Entry]] = {}
    for file in files:
        entries = dict(_entries(file))
        sizes = {int(match[1]) for name in entries if (match := _FIRST_LAYER.fullmatch(name))}
        if not sizes:
            raise TableError(
                f"{file} is not a latency table of layers: it has no entry Conv-input:224x224x3-output:..."
            )
        for size in sizes:
            if size in by_size:
                raise TableError(f"{file}: image size {size} is in another file of the folder, too")
            by_size[size] = entries
    return by_size


def _entries(file: Path) -> Iterator[tuple[str, Entry]]:
    try:
        text = file.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"cannot read {file}: {error}") from error
    except yaml.YAMLError as error:
        raise TableError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(root, yaml.MappingNode) or not root.value:
        raise TableError(f"{file} is not a latency table of layers: it holds no mapping")
    seen: dict[str, int] = {}
    for key, value in root.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _misread(file, key, "the name of a layer must be a text")
        if key.tag == _MERGE:
            raise _misread(file, key, "only the numbers of a layer can be merged (<<), not layers: write them out")
        if key.value in seen:
            raise _misread(file, key, f"{key.value} is in line {seen[key.value]} already")
        seen[key.value] = key.start_mark.line + 1
        yield key.value, _entry(file, key, value)


def _entry(file: Path, key: yaml.Node, node: yaml.Node) -> Entry:
    fields = _fields(file, node, set()) if isinstance(node, yaml.MappingNode) else {}
    if "mean" not in fields:
        raise _misread(file, node, f"{key.value} has no mean")
    numbers = {name: _number(file, fields[name], name) for name in ("mean", "std", "count") if name in fields}
    if numbers["mean"] <= 0.0:
        raise _misread(file, fields["mean"], f"mean must be above 0 ms, got {fields['mean'].value}")
    return Entry(numbers["mean"], numbers.get("std", 0.0), int(numbers.get("count", 1)))


def _fields(file: Path, node: yaml.MappingNode, seen: set[int]) -> dict[str, yaml.Node]:
    """Values by name: those of the mapping itself, then those that it merges (`<<`), of which the first ones count."""
    seen.add(id(node))
    pairs = [(name, value) for name, value in node.value if isinstance(name, yaml.ScalarNode)]
    found = {name.value: value for name, value in pairs if name.tag != _MERGE}
    for merged in [value for name, value in pairs if name.tag == _MERGE]:
        for other in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
            if not isinstance(other, yaml.MappingNode):
                raise _misread(file, other, "only mappings can be merged (<<)")
            if id(other) not in seen:  # it could only repeat what is found already
                found = _fields(file, other, seen) | found
    return found


def _number(file: Path, node: yaml.Node, name: str) -> float:
    try:
        number = float(node.value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0.0:
        raise _misread(file, node, f"{name} must be a number that is not negative, got {node.value!r}")
    return number


def _misread(file: Path, node: yaml.Node, what: str) -> TableError:
    mark = node.start_mark
    return TableError(f"{file}, line {mark.line + 1}, column {mark.column + 1}: {what}")
