"""Rows of genes as keys, and without repetitions."""

import numpy as np
from numpy.typing import NDArray

from supernet.space import Genes


def row_keys(genes: Genes) -> list[bytes]:
    """Each row as bytes, by which equal genes are found in sets and dictionaries."""
    return [row.tobytes() for row in genes.astype(np.int64, copy=False)]


def first_rows(genes: Genes) -> NDArray[np.intp]:
    """Indices of the rows that equal no earlier row, ascending."""
    first = dict(zip(reversed(row_keys(genes)), range(len(genes) - 1, -1, -1), strict=True))
    return np.array(sorted(first.values()), dtype=np.intp)
