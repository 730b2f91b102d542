"""Folds for cross-validation."""

import numpy as np
from numpy.typing import NDArray


def assign_folds(X: NDArray[np.float64], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Number of the fold [n] of each row of X [n, columns], in 0..n_folds-1.

    Equal rows share a fold, so that no row is both trained on and tested. The numbers of distinct rows per fold differ
    by one at most; fewer distinct rows than `n_folds` are a fold each.
    """
    _, group = np.unique(X, axis=0, return_inverse=True)
    n_groups = int(group.max()) + 1
    order = np.random.default_rng(seed).permutation(n_groups)
    fold: NDArray[np.int64] = (order % n_folds)[group.reshape(-1)]
    return fold
