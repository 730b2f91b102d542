"""Pictures of architectures: a row each, with a strip of shaded cells per repeated choice, text for scalar choices."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from supernet.space import Choice, Genes, SearchSpace

ROW_HEIGHT = 14
LABEL_WIDTH = 40
HEAD_HEIGHT = 18
_STRIP_WIDTH = 860
_CELL_WIDTHS = (2.0, 11.0)
_GAP = 4.0
_FAINTEST = 0.2
_CHARACTER = 7.0


@dataclass(frozen=True)
class Strip:
    """A repeated choice.

    Args:
        name: of the choice.
        width: of the picture, in pixels; its height follows from the number of rows.
        values: text and opacity of each value, for the legend.
        cells: opacity and path data of all cells with one value.
        ticks: pixel and text of some positions.
    """

    name: str
    width: int
    values: tuple[tuple[str, float], ...]
    cells: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Numbers:
    """Columns of text beside the strips: pixel of the right edge, heading, one text per row."""

    width: int
    columns: tuple[tuple[float, str, tuple[str, ...]], ...]


def strips(space: SearchSpace, genes: Genes) -> list[Strip]:
    """Pictures of the repeated choices.

    Args:
        space: what the genes mean.
        genes: canonical, one row per architecture, shape (n, n_genes).
    """
    active, parents = space.active(genes), [gene["parents"] for gene in space.describe()["genes"]]
    found = []
    for choice, columns in _columns(space):
        if choice.repeat is not None:
            breaks = [a != b for a, b in pairwise(parents[columns])]
            found.append(_strip(choice, _by_value(choice, genes[:, columns]), active[:, columns], breaks))
    return found


def scalars(space: SearchSpace, genes: Genes) -> list[tuple[str, list[str]]]:
    """Name and text per architecture of each scalar choice that varies in the space; blank where it is inactive."""
    active, found = space.active(genes), []
    for choice, columns in _columns(space):
        if choice.repeat is None and len(choice.values) > 1:
            pairs = zip(genes[:, columns.start].tolist(), active[:, columns.start].tolist(), strict=True)
            found.append((choice.name, [str(choice.values[gene]) if on else "" for gene, on in pairs]))
    return found


def fixed(space: SearchSpace) -> list[tuple[str, str]]:
    """Name and value of the scalar choices that have one value only."""
    return [(c.name, str(c.values[0])) for c in space.choices if c.repeat is None and len(c.values) == 1]


def numbers(columns: list[tuple[str, list[str]]]) -> Numbers:
    """Lays out columns of text, right-aligned."""
    edge, placed = float(LABEL_WIDTH), []
    for heading, texts in columns:
        edge += _CHARACTER * max(map(len, [heading, *texts])) + 14
        placed.append((edge, heading, tuple(texts)))
    return Numbers(int(edge) + 6, tuple(placed))


def _columns(space: SearchSpace) -> list[tuple[Choice, slice]]:
    ends = np.cumsum([choice.n_genes for choice in space.choices]).tolist()
    return [(c, slice(end - c.n_genes, end)) for c, end in zip(space.choices, ends, strict=True)]


def _by_value(choice: Choice, genes: Genes) -> Genes:
    """Genes as indices into all values of their choice, of which a position may allow a part."""
    indices = [[choice.values.index(value) for value in choice.values_at(i)] for i in range(choice.n_genes)]
    return np.stack([np.array(row)[column] for row, column in zip(indices, genes.T, strict=True)], axis=1)


def _strip(choice: Choice, genes: Genes, active: NDArray[np.bool_], breaks: list[bool]) -> Strip:
    """The strip of a choice; a gap separates positions whose activity is ruled by different genes (`breaks`)."""
    n_positions = genes.shape[1]
    gaps = np.concatenate([[0.0], np.cumsum(breaks)]) * (_GAP if sum(breaks) < n_positions - 1 else 0.0)
    cell = float(np.clip((_STRIP_WIDTH - gaps[-1]) / n_positions, *_CELL_WIDTHS))
    lefts = LABEL_WIDTH + cell * np.arange(n_positions) + gaps
    opacities = np.linspace(_FAINTEST, 1.0, len(choice.values)).round(2) if len(choice.values) > 1 else np.ones(1)
    ink = cell - (1.0 if cell >= 5 else 0.0)
    cells = []
    for index, opacity in enumerate(opacities.tolist()):
        rows, columns = np.nonzero(active & (genes == index))
        tops = HEAD_HEIGHT + ROW_HEIGHT * rows + 1
        shape = f"h{ink:g}v{ROW_HEIGHT - 2}h-{ink:g}z"
        data = "".join(f"M{x:g} {y}{shape}" for x, y in zip(lefts[columns].round(1), tops, strict=True))
        cells.append((opacity, data))
    every = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if step * cell >= 18)
    ticks = [(round(float(lefts[i] + ink / 2), 1), str(i)) for i in range(0, n_positions, every)]
    texts = [str(value) for value in choice.values]
    width = int(lefts[-1] + cell) + 8
    return Strip(choice.name, width, tuple(zip(texts, opacities.tolist(), strict=True)), tuple(cells), tuple(ticks))
