"""Folds for cross-validation."""

import numpy as np
from numpy.typing import NDArray


def assign_folds(X: NDArray[np.float64], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Fold number [n] of each row; equal rows share a fold, so no fold is tested on rows that it trained on.

    Folds hold equally many distinct rows (up to one). Fewer distinct rows than `n_folds` give one fold each.
    """
    _, group = np.unique(X, axis=0, return_inverse=True)
    n_groups = int(group.max()) + 1
    order = np.random.default_rng(seed).permutation(n_groups)
    fold: NDArray[np.int64] = (order % n_folds)[group.reshape(-1)]
    return fold
