"""The bundle's task: arrays to classes or numbers."""

from __future__ import annotations

import json
from typing import Any

import labels  # type: ignore[import-not-found]
import numpy as np
import parity  # type: ignore[import-not-found]
import single  # type: ignore[import-not-found]

INPUTS = ".npy files with one sample each"


class Program(single.SingleModel):
    """Arrays to the most probable classes, or to numbers."""

    def answer(self, path: str) -> dict[str, Any]:
        """What the model makes of one sample, or the error that prevented it."""
        settings = json.loads((self.folder / "preprocessing.json").read_text(encoding="utf-8"))
        try:
            sample = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return {"file": path, "error": reason}
        wanted = tuple(settings["shape"])
        if not isinstance(sample, np.ndarray) or sample.shape != wanted or sample.dtype.kind not in "fiub":
            return {"file": path, "error": f"this model takes one array of numbers of shape {wanted}"}
        name = next(iter(parity.inputs_of(self.sample)))
        output = self.compute({name: sample.astype(settings["dtype"])[None]})[0]
        if settings["classes"]:
            return {"file": path, "top": labels.most_probable(output, self.folder)}
        return {"file": path, "output": output.astype(np.float64).round(6).tolist()}
