"""Where vision transformers start from when they know nothing: position embeddings."""

import math

import numpy as np
import torch
from torch import Tensor

_GOLDEN = (math.sqrt(5) - 1) / 2
_AMPLITUDE = 0.5  # about that of embedded patches of normalised images


def sincos(side: int, width: int) -> Tensor:
    """Sines and cosines of rows and columns, shape [1, side * side, width] (as in arXiv:2205.01580).

    Random embeddings of timm's size (0.02) drown in those of the patches: with few images a network takes thousands of
    steps to tell where a patch is. The frequencies are spread such that any leading channels hold low and high ones.
    """
    fractions = np.arange(math.ceil(width / 4)) * _GOLDEN % 1
    angles = np.arange(side)[:, None] / (2.0 * side) ** fractions
    rows, columns = np.repeat(angles, side, axis=0), np.tile(angles, (side, 1))
    waves = np.stack([np.sin(rows), np.cos(rows), np.sin(columns), np.cos(columns)], axis=-1)
    return torch.from_numpy(_AMPLITUDE * waves.reshape(1, side * side, -1)[..., :width]).float()
