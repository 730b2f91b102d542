"""Does a model compute what PyTorch computed when the bundle was made?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

OUTPUT = "output"


def load_sample(path: Path) -> dict[str, Any]:
    """Arrays of the stored sample: inputs by name (first axis: the batch) and the `output` that PyTorch gave."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def inputs_of(sample: dict[str, Any]) -> dict[str, Any]:
    """The sample's model inputs by name."""
    return {name: array for name, array in sample.items() if name != OUTPUT}


def compare(compute: Callable[[dict[str, Any]], Any], sample: dict[str, Any], tolerance: float) -> dict[str, Any]:
    """Runs the sample as one batch, and its first element alone; `ok` when the worse difference is within tolerance.

    The relative difference is max|output - expected| / max|expected|; None where it is not a finite number.

    Args:
        compute: inputs by name -> the output.
        sample: as `load_sample` gives it.
        tolerance: of the relative difference.
    """
    differences = []
    for part in (slice(None), slice(0, 1)):
        output = compute({name: array[part] for name, array in inputs_of(sample).items()})
        differences.append(relative_difference(output, sample[OUTPUT][part]))
    worst = max(differences)
    finite = worst < float("inf")
    return {"ok": worst <= tolerance, "relative_difference": worst if finite else None, "tolerance": tolerance}


def relative_difference(output: Any, expected: Any) -> float:
    """max|output - expected| / max|expected|; infinite where shapes differ or a value is not a finite number."""
    if output.shape != expected.shape:
        return float("inf")
    difference = float(np.abs(output.astype(np.float64) - expected).max())
    scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return difference / scale if np.isfinite(difference) else float("inf")
