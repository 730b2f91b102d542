"""Batches of samples of about the same length, so that little of them is padding."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ids = NDArray[np.int32]
"""Tokens of one text."""

Indices = NDArray[np.int64]


def by_samples(lengths: Indices, size: int, rng: np.random.Generator | None = None) -> list[Indices]:
    """Indices into `lengths`, cut into batches of `size` samples (the last one may have fewer).

    Without `rng` the longest come first; with it the batches come in random order, and samples of equal length lie in
    other batches at every call.
    """
    order = _order(lengths, rng)
    return _shuffled(np.split(order, range(size, len(order), size)), rng)


def by_tokens(lengths: Indices, most: int, rng: np.random.Generator | None = None) -> list[Indices]:
    """As `by_samples`, with as many samples as `most` tokens hold with their padding, but at least one.

    The number of batches, and the lengths in each of them, are the same at every call.
    """
    order = _order(lengths, rng)
    batches, start = [], 0
    while start < len(order):
        n = max(1, most // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + n])
        start += n
    return _shuffled(batches, rng)


def padded(texts: Sequence[Ids], value: int, *, left: bool = False) -> Tensor:
    """Texts as int64 [n, longest], filled up with `value` behind them, or `left` of them."""
    longest = max((len(ids) for ids in texts), default=0)
    table = np.full((len(texts), longest), value, dtype=np.int64)
    for row, ids in zip(table, texts, strict=True):
        start = longest - len(ids) if left else 0
        row[start : start + len(ids)] = ids
    return torch.from_numpy(table)


def _order(lengths: Indices, rng: np.random.Generator | None) -> Indices:
    """Longest first; equal ones in the order given, or drawn."""
    ties = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    return np.lexsort((ties, -lengths))


def _shuffled(batches: list[Indices], rng: np.random.Generator | None) -> list[Indices]:
    return batches if rng is None else [batches[i] for i in rng.permutation(len(batches))]
