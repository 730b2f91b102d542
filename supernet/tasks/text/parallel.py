"""Parallel texts: line i of one file translates line i of another."""

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from supernet.tasks.text.tables import open_text


class ParallelSet(Protocol):
    """Sentences and their translations."""

    @property
    def sources(self) -> Sequence[str]:
        """The sentences."""
        ...

    @property
    def targets(self) -> Sequence[str]:
        """Their translations, in the same order."""
        ...

    @property
    def digest(self) -> str:
        """Digest of all of them."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class ParallelText:
    """Sentences and their translations, in memory."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"ParallelText({len(self)} pairs)"

    def __len__(self) -> int:
        return len(self.sources)

    def subset(self, indices: NDArray[np.int64]) -> "ParallelText":
        """These pairs in this order."""
        return ParallelText(tuple(self.sources[i] for i in indices), tuple(self.targets[i] for i in indices))

    @property
    def digest(self) -> str:
        """Digest of all sentences."""
        return hashlib.sha256(repr((self.sources, self.targets)).encode()).hexdigest()


def read_parallel(source: Path, target: Path) -> ParallelText:
    """The sentences of two files in UTF-8, which may be packed by gzip.

    Raises FileNotFoundError, and ValueError for files of different lengths, empty lines, or text that is not UTF-8.
    """
    sources, targets = _lines(source), _lines(target)
    if len(sources) != len(targets):
        raise ValueError(
            f"{source} has {len(sources)} lines, {target} has {len(targets)}: line i of one must translate line i of "
            "the other"
        )
    for path, lines in ((source, sources), (target, targets)):
        if (empty := next((i for i, line in enumerate(lines) if not line.strip()), None)) is not None:
            raise ValueError(f"{path}, line {empty + 1} is empty: take the pair out of both files")
    return ParallelText(tuple(sources), tuple(targets))


def _lines(path: Path) -> list[str]:
    """Lines as line feeds end them, with or without carriage returns; other separators are part of a line."""
    try:
        with open_text(path) as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]
