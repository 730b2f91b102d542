"""Bundles that classify texts."""

import shlex
from pathlib import Path

from hardware.bundle.kinds.base import Kind


class TextClassification(Kind):
    """Texts to the most probable classes."""

    program = "task_text_classification.py"
    modules = (*Kind.modules, "labels.py")
    packages = ("tokenizers",)

    def examples(self, folder: Path) -> str:
        """The first sample's text."""
        text = self.making.raw_samples()[0][0]
        return f" {shlex.quote(text if isinstance(text, str) else chr(9).join(text))}"
