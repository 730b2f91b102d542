"""Which samples of a split make up batches, as indices."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def n_full_batches(n: int, batch_size: int) -> int:
    """Number of batches of `n` samples; an incomplete last one is left out, unless it is the only one."""
    return max(1, n // batch_size)


def epoch(n: int, batch_size: int, rng: np.random.Generator) -> list[Indices]:
    """That many batches of `n` samples in random order."""
    n_batches = n_full_batches(n, batch_size)
    return np.split(rng.permutation(n)[: n_batches * batch_size], n_batches)


def spread(n: int, most: int) -> Indices:
    """At most `most` of `n` samples, spread evenly over all, in an order that is always the same."""
    return np.random.default_rng(0).permutation(np.linspace(0, n - 1, min(most, n)).astype(np.int64))
