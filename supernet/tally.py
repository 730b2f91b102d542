"""Closed-form costs: layer by layer, for many architectures at once."""

import numpy as np
from numpy.typing import NDArray

from supernet.space import Genes, SearchSpace

Counts = NDArray[np.int64]
"""One number per architecture, or one for all."""


class Tally:
    """Adds up multiply-accumulates (of one sample) and learnable parameters of layers.

    Sizes and channel counts are arrays of shape (n_architectures,), or one number for all.
    """

    def __init__(self, n_architectures: int) -> None:
        self.macs, self.params = np.zeros((2, n_architectures), dtype=np.int64)

    def conv(
        self,
        inputs: Counts | int,
        outputs: Counts | int,
        size: Counts | int,
        *,
        kernel: Counts | int = 1,
        norm: bool = True,
        bias: bool = False,
        when: NDArray[np.bool_] | bool = True,
    ) -> None:
        """A square convolution.

        Args:
            inputs: channels that each output channel sees (1 for depth-wise ones).
            outputs: channels.
            size: height and width of the output in pixels; 1 for linear layers.
            kernel: height and width.
            norm: whether batch norm follows, with weight and bias.
            bias: whether it has its own.
            when: in which architectures it exists.
        """
        weights = np.asarray(inputs) * outputs * np.asarray(kernel) ** 2
        self.macs += when * (weights * np.asarray(size) ** 2)
        self.params += when * (weights + (2 * norm + bias) * np.asarray(outputs))

    def linear(
        self,
        inputs: Counts | int,
        outputs: Counts | int,
        n: Counts | int = 1,
        *,
        bias: bool = True,
        when: NDArray[np.bool_] | bool = True,
    ) -> None:
        """A linear layer on `n` vectors of each sample."""
        weights: Counts = np.asarray(inputs) * np.asarray(outputs)
        self.add(weights * n, weights + bias * np.asarray(outputs), when)

    def add(self, macs: Counts | int = 0, params: Counts | int = 0, when: NDArray[np.bool_] | bool = True) -> None:
        """Any other layer, by its MACs and parameters."""
        self.macs += when * np.asarray(macs)
        self.params += when * np.asarray(params)

    def result(self) -> dict[str, NDArray[np.int64]]:
        """As `SuperNetwork.costs` gives them."""
        return {"macs": self.macs, "params": self.params}


def halved(size: Counts) -> Counts:
    """Height or width behind a layer of stride 2 that keeps odd borders."""
    return (size + 1) // 2


def indices_of(space: SearchSpace, genes: Genes) -> dict[str, Genes]:
    """Genes by choice: name -> indices into its values, shape (n_architectures, n_positions)."""
    ends = np.cumsum([choice.n_genes for choice in space.choices])
    parts = np.split(genes, ends[:-1], axis=1)
    return {choice.name: part for choice, part in zip(space.choices, parts, strict=True)}
