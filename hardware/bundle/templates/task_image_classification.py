"""The bundle's task: classification of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import images  # type: ignore[import-not-found]
import labels  # type: ignore[import-not-found]
import parity  # type: ignore[import-not-found]
import preprocessing  # type: ignore[import-not-found]
import single  # type: ignore[import-not-found]

INPUTS = "image files to classify: PNG, PGM, PPM, .npy; others if Pillow is installed"


class Program(single.SingleModel):
    """Image files to the most probable classes."""

    def answer(self, path: str) -> dict[str, Any]:
        """The most probable classes of one image, or the error that prevented it."""
        settings = json.loads((self.folder / "preprocessing.json").read_text(encoding="utf-8"))
        try:
            pixels = images.read_image(Path(path), int(settings["input_size"][0]))
            inputs = preprocessing.preprocess(pixels, settings)[None]
        except (OSError, ValueError, MemoryError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return {"file": path, "error": reason}
        name = next(iter(parity.inputs_of(self.sample)))
        return {"file": path, "top": labels.most_probable(self.compute({name: inputs})[0], self.folder)}
