"""Step coding of one-hot columns: tells a predictor that neighbouring values of an ordered choice are alike."""

import numpy as np
from numpy.typing import NDArray

from predictors.arrays import Floats


def one_hot_runs(X: Floats) -> list[slice]:
    """Runs of neighbouring columns that are probably the one-hots of a gene, guessed from rows X [n, columns].

    No row has two ones in a run, and its first and last column are not all zero. Runs in which every row has exactly
    one are found first, as they are genes that are always active; then the rest is grouped from left to right. Columns
    with other values than 0 and 1 are in no run.
    """
    binary = ((X == 0.0) | (X == 1.0)).all(axis=0)
    full = _runs(X, binary, full=True)
    left = binary.copy()
    for run in full:
        left[run] = False
    return sorted(full + _runs(X, left, full=False), key=lambda run: run.start)


def step_matrix(X: Floats) -> Floats:
    """Matrix [columns, columns] that turns one-hots into steps: `X @ matrix`.

    Column v of a gene becomes 1 for values of at least v; so its first column says whether the gene is active. Columns
    in no run do not change.
    """
    matrix = np.eye(X.shape[1])
    for run in one_hot_runs(X):
        width = run.stop - run.start
        matrix[run, run] = np.tril(np.ones((width, width)))
    return matrix


def _runs(X: Floats, usable: NDArray[np.bool_], full: bool) -> list[slice]:
    """Longest runs of at least two usable columns, from left to right; with `full` only runs with a one in each row."""
    runs, start = [], 0
    while start < len(usable):
        stop, ones = start, np.zeros(len(X))
        while stop < len(usable) and usable[stop] and not (full and ones.min() == 1.0):
            if (ones + X[:, stop]).max() > 1.0:
                break
            ones += X[:, stop]
            stop += 1
        seen = start + np.flatnonzero(X[:, start:stop].any(axis=0))
        if len(seen) > 1 and seen[0] == start and (ones.min() == 1.0 or not full):
            runs.append(slice(start, int(seen[-1]) + 1))
            start = runs[-1].stop
        else:
            start += 1
    return runs
