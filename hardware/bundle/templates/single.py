"""A model of one part: inputs to one output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import parity  # type: ignore[import-not-found]
import runtime  # type: ignore[import-not-found]


class SingleModel:
    """The bundle's model and its sample.

    Args:
        folder: the bundle.
        threads: of the runtime.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder = folder
        self.model = runtime.load(folder, threads)
        self.sample = parity.load_sample(folder / "sample.npz")

    def compute(self, inputs: dict[str, Any]) -> Any:
        """The first output."""
        return self.model(inputs)[0]

    def check(self, tolerance: float) -> dict[str, Any]:
        """Compares with PyTorch on the sample."""
        return dict(parity.compare(self.compute, self.sample, tolerance))

    def inference(self, batch: int) -> Callable[[], Any]:
        """One inference of this many samples, for measuring."""
        inputs = {}
        for name, array in parity.inputs_of(self.sample).items():
            copies = -(-batch // len(array))
            inputs[name] = np.ascontiguousarray(np.concatenate([array] * copies)[:batch])
        return lambda: self.compute(inputs)
