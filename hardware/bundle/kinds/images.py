"""Bundles that classify images."""

import re
from pathlib import Path

from PIL import Image

from hardware.bundle.kinds.base import Kind


class ImageClassification(Kind):
    """Image files to the most probable classes."""

    program = "task_image_classification.py"
    modules = (*Kind.modules, "labels.py", "images.py", "preprocessing.py")

    def examples(self, folder: Path) -> str:
        """Writes the sample's images as PNG, named by number and class."""
        class_names = getattr(self.making.task, "class_names", ())
        for i, (raw, label) in enumerate(self.making.raw_samples()):
            if not isinstance(raw, Image.Image):
                return ""
            (folder / "samples").mkdir(exist_ok=True)
            class_name = class_names[label] if label < len(class_names) else str(label)
            name = re.sub(r"[^A-Za-z0-9_.-]+", "_", class_name)[:40]
            raw.save(folder / "samples" / f"{i}-{name}.png")
        return " samples/*.png"
