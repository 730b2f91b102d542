"""The bundle's task: classification of texts."""

from __future__ import annotations

import json
from typing import Any

import labels  # type: ignore[import-not-found]
import numpy as np
import single  # type: ignore[import-not-found]
from tokenizers import Tokenizer

INPUTS = "texts to classify; of pairs, a tab stands between the two"


class Program(single.SingleModel):
    """Texts to the most probable classes."""

    def answer(self, text: str) -> dict[str, Any]:
        """The most probable classes of one text, or the error that prevented it."""
        settings = json.loads((self.folder / "preprocessing.json").read_text(encoding="utf-8"))
        parts = text.split("\t")
        if len(parts) != (2 if settings["pairs"] else 1):
            wanted = "two texts with a tab in between" if settings["pairs"] else "one text without tabs"
            return {"text": text, "error": f"this model takes {wanted}"}
        if not all(part.strip() for part in parts):
            return {"text": text, "error": "the text is empty"}
        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(settings["max_length"])
        encoding = tokenizer.encode(parts[0], parts[1] if settings["pairs"] else None)
        encoded = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        inputs = {name: np.array([encoded[name]], dtype=np.int64) for name in settings["inputs"]}
        return {"text": text, "top": labels.most_probable(self.compute(inputs)[0], self.folder)}
