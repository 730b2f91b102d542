"""Bundles that take arrays."""

from pathlib import Path

import numpy as np

from hardware.bundle.kinds.base import Kind


class Arrays(Kind):
    """Arrays in files to the most probable classes, or to numbers."""

    program = "task_arrays.py"
    modules = (*Kind.modules, "labels.py")

    def examples(self, folder: Path) -> str:
        """Writes the first samples as .npy."""
        (folder / "samples").mkdir(exist_ok=True)
        for i, (raw, _) in enumerate(self.making.raw_samples()):
            np.save(folder / "samples" / f"{i}.npy", raw, allow_pickle=False)
        return " samples/*.npy"
