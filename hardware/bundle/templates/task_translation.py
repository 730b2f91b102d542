"""The bundle's task: translation of sentences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import parity  # type: ignore[import-not-found]
import runtime  # type: ignore[import-not-found]
import translating  # type: ignore[import-not-found]
from tokenizers import Tokenizer

INPUTS = "sentences to translate"
_SILENT, _UNKNOWN = (0, 1, 2), 3  # beginning, padding and end of a sentence; an unknown word


class Program:
    """Sentences to their translations.

    Args:
        folder: the bundle.
        threads: of the runtime.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self.settings = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
        parts = (runtime.load(folder, threads, part) for part in ("encoder", "decoder"))
        self.translator = translating.Translator(*parts, self.settings["search"], **self.settings["sizes"])
        self.sample = parity.load_sample(folder / "sample.npz")
        target = "target_" if (folder / "target_tokenizer.json").exists() else ""
        self.source, self.target = _Words(folder, ""), _Words(folder, target)

    def check(self, tolerance: float) -> dict[str, Any]:
        """Compares log-probabilities of the sample's translations with PyTorch's."""
        return dict(parity.compare(lambda inputs: translating.scored(self.translator, inputs), self.sample, tolerance))

    def inference(self, batch: int) -> Callable[[], Any]:
        """Translations of this many sentences, one after the other, of typical lengths, for measuring."""
        source, n_words = self.settings["typical"]["source"], self.settings["typical"]["words"]
        return lambda: [self.translator.translate(source, n_words) for _ in range(batch)]

    def answer(self, text: str) -> dict[str, Any]:
        """The translation of one sentence, or the error that prevented it."""
        if not text.strip():
            return {"text": text, "error": "nothing to translate: the text is empty"}
        tokens, unknown = self.source.encode(text)
        if "".join("".join(unknown).split()) == "".join(text.split()):
            return {"text": text, "error": "the tokenizer knows nothing of this text"}
        try:
            best, score = self.translator.translate(tokens)
        except ValueError as error:
            return {"text": text, "error": str(error)}
        extra = {"unknown": unknown} if unknown else {}
        return {"text": text, "translation": self.target.decode(best), "score": round(score, 6), **extra}


class _Words:
    """Texts to ids and back; of fairseq's words, with spaces in between, where the bundle has a list of them."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / f"{prefix}tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        path = folder / f"{prefix}words.json"
        self.words = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def encode(self, text: str) -> tuple[list[int], list[str]]:
        """Ids, of which end of sentence is the last, and what is unknown."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        n_words = len(self.words) if self.words else self.tokenizer.get_vocab_size()
        ids = [i if i < n_words else _UNKNOWN for i in encoding.ids]
        unknown = [text[start:end] for i, (start, end) in zip(ids, encoding.offsets) if i == _UNKNOWN]
        return [*ids, translating.EOS], unknown

    def decode(self, ids: list[int]) -> str:
        """The text of a hypothesis, parts of words joined."""
        kept = [i for i in ids if i not in _SILENT]
        if self.words is None:
            return str(self.tokenizer.decode(kept, skip_special_tokens=False))
        return "".join(f"{self.words[i]} " for i in kept).replace("@@ ", "").strip()
