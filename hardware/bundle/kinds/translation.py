"""Bundles that translate sentences: encoder, decoder step, and beam search around them."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from hardware.bundle.formats import Format
from hardware.bundle.kinds.base import Kind
from hardware.bundle.sample import Sample
from hardware.bundle.templates import translating
from supernet.tasks import Translation as TranslationTask
from supernet.tasks.text.batching import padded
from supernet.tasks.text.vocabulary import PAD


class Translation(Kind):
    """Sentences to their translations."""

    program = "task_translation.py"
    modules = ("run.py", "parity.py", "translating.py")
    packages = ("tokenizers",)
    parts = ("encoder", "decoder")

    def settings(self) -> dict[str, Any]:
        """The task's settings, sizes of the decoder, and a source and a number of words that are typical."""
        making = self.making
        past = [t for name, t in making.parts["decoder"].inputs.items() if name.startswith("past_keys_")]
        source, target = making.net.example_inputs(making.architecture, 1)
        settings = cast(dict[str, Any], super().settings())
        return settings | {
            "sizes": {
                "pasts": [[t.shape[1], t.shape[3]] for t in past],
                "positions": cast(Any, making.model).most_steps,
            },
            "typical": {"source": source[0].tolist(), "words": target.shape[1] - 1},
        }

    def sample(self) -> Sample:
        """The best translations of the first validation sentences, and log-probabilities of their tokens."""
        making = self.making
        task = cast(TranslationTask, making.task)
        sources = task.source_tokens([raw for raw, _ in making.raw_samples()])
        src_tokens = padded(sources, PAD, left=True)
        best = [hypotheses[0] for hypotheses in task.search(cast(Any, making.model), src_tokens)]
        target_tokens = padded([np.array(hypothesis.tokens, dtype=np.int32) for hypothesis in best], PAD)
        scores = torch.zeros(target_tokens.shape)
        for row, hypothesis in zip(scores, best, strict=True):
            row[: len(hypothesis.tokens)] = torch.tensor(hypothesis.positional_scores)
        return Sample.of({"src_tokens": src_tokens, "target_tokens": target_tokens}, scores)

    def compute(self, form: Format, folder: Path) -> Callable[[dict[str, Any]], Any]:
        """Log-probabilities of given translations, by encoder and decoder step."""
        encoder, decoder = (form.runtime.load(folder, 1, part) for part in self.parts)
        settings = self.settings()
        translator = translating.Translator(encoder, decoder, settings["search"], **settings["sizes"])
        return lambda inputs: translating.scored(translator, inputs)

    def examples(self, folder: Path) -> str:
        """The first sample's sentence."""
        return f" {shlex.quote(self.making.raw_samples()[0][0])}"
