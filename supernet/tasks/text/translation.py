"""Translation with encoder-decoder models: token batches, cross-entropy, BLEU of beam search."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from supernet.decoding import BeamSearch
from supernet.inputs import Inputs
from supernet.tasks import losses
from supernet.tasks.augmentation import Augmentation
from supernet.tasks.base import Batch, Deployment
from supernet.tasks.text import bleu
from supernet.tasks.text.batching import Ids, Indices, by_tokens, padded
from supernet.tasks.text.parallel import ParallelSet
from supernet.tasks.text.tokenization import TokenizerError
from supernet.tasks.text.vocabulary import EOS, PAD, Vocabulary, joined

METRICS = ("bleu", "tokenized_bleu", "loss", "perplexity")


@dataclass(frozen=True, kw_only=True, eq=False)
class Translation:
    """Sentences and their translations.

    Models are called with `src_tokens`, padded on the left, and `prev_output_tokens`, which begin with end of sentence
    and are padded on the right; they give scores [sentences, positions, words], and decode as `supernet.decoding` asks.

    Args:
        name: for messages and reports.
        splits: "validation", and where there are any "train" and "test".
        source_language, target_language: as ISO 639-1 writes them ("en").
        vocabulary: of the sentences, and of the translations as well where `target_vocabulary` is None.
        target_vocabulary: of the translations.
        search: beam search, with its beam and length penalty.
        max_tokens: of a source or a translation, end of sentence included. Longer pairs are left out of training;
            anything else that is longer is an error.
        batch_tokens: of an evaluation batch, with padding.
        metrics: what `evaluate` gives, in this order: "bleu" (sacreBLEU of the corpus), "tokenized_bleu" (as HAT's
            paper reports it), "loss" and "perplexity" (per token, without search). The first BLEU is what a search
            maximises.
        bleu_tokenizer: of sacreBLEU.
        n_validation: sentences that validation measures, spread evenly over the split; None: all.
    """

    name: str
    splits: Mapping[str, ParallelSet]
    source_language: str
    target_language: str
    vocabulary: Vocabulary
    target_vocabulary: Vocabulary | None = None
    search: BeamSearch = BeamSearch()
    max_tokens: int = 256
    batch_tokens: int = 4096
    metrics: tuple[str, ...] = METRICS
    bleu_tokenizer: str = "13a"
    n_validation: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(self.metrics))
        if isinstance(self.search, Mapping):
            object.__setattr__(self, "search", BeamSearch(**self.search))
        if not self.metrics or (unknown := [name for name in self.metrics if name not in METRICS]):
            raise ValueError(f"task {self.name!r}: metrics must be some of {', '.join(METRICS)}, got {unknown}")
        for name in ("max_tokens", "batch_tokens", "n_validation"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"task {self.name!r}: {name} must be at least 1, got {value}")
        if empty := [split for split, pairs in self.splits.items() if len(pairs) == 0]:
            raise ValueError(f"task {self.name!r}: the {empty[0]} split holds no sentences")

    # --- what it is ---

    @property
    def metric_names(self) -> tuple[str, ...]:
        """What `evaluate` gives."""
        return self.metrics

    @property
    def metric(self) -> str:
        """The first BLEU among the metrics."""
        return next((name for name in self.metrics if name.endswith("bleu")), "bleu")

    @cached_property
    def fingerprint(self) -> str:
        """Digest of data, splits, tokenizers, and every setting that changes a measured value."""
        described = {
            "splits": {split: pairs.digest for split, pairs in sorted(self.splits.items())},
            "languages": [self.source_language, self.target_language],
            "vocabularies": [vocabulary.digest for vocabulary in self._vocabularies],
            "search": vars(self.search),
            "max_tokens": self.max_tokens,
            "n_validation": self.n_validation,
            "bleu": self.bleu_tokenizer,
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def files(self) -> Mapping[str, bytes]:
        """The tokenizer, or those of both languages."""
        own = {} if self.target_vocabulary is None else self.target_vocabulary.files("target_")
        return {**self.vocabulary.files(), **own}

    @property
    def methods(self) -> Mapping[str, str]:
        """How BLEU is counted, and how the translations were found."""
        search = f"beam {self.search.beam}, length penalty {self.search.length_penalty:g}"
        methods = {
            "bleu": f"{bleu.signature(self.bleu_tokenizer)}, {search}",
            "tokenized_bleu": f"Moses tokens with compounds split at hyphens, {search}",
            "perplexity": "per token of the target tokenizer",
        }
        return {name: how for name, how in methods.items() if name in self.metrics}

    def n_samples(self, split: str = "validation") -> int:
        """Number of pairs of a split."""
        return len(self._pairs(split))

    def samples(self, split: str = "test", n: int = 1) -> list[tuple[str, str]]:
        """The first `n` sentences of a split with their translations."""
        pairs = self._pairs(split)
        return list(zip(pairs.sources[:n], pairs.targets[:n], strict=True))

    # --- tokens ---

    def source_tokens(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of sentences, end of sentence included. Raises ValueError for one that is empty or too long."""
        found = self.vocabulary.encode(texts)
        for text, ids in zip(texts, found, strict=True):
            if len(ids) < 2 or not text.strip():
                raise ValueError(f"nothing to translate: the source {text!r} is empty")
            if len(ids) > self.max_tokens:
                raise ValueError(
                    f"the source {text[:60]!r}... has {len(ids)} tokens, task {self.name!r} takes {self.max_tokens}: "
                    "split the sentence, or raise max_tokens up to the positions of the model"
                )
        return found

    def prepare(self, model: nn.Module, samples: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Sentences as `src_tokens`, and `prev_output_tokens` before the first word."""
        self._check(model)
        return padded(self.source_tokens(samples), PAD, left=True), torch.full((len(samples), 1), EOS)

    def adapt(self, model: nn.Module, inputs: Inputs) -> Inputs:
        """The same inputs: all models take them."""
        return inputs

    def deployment(self, model: nn.Module) -> Deployment:
        """How sentences become tokens, how the search goes, and how tokens become sentences."""
        search = {name: getattr(self.search, name) for name in vars(self.search)}
        settings: dict[str, Any] = {"max_tokens": self.max_tokens, "search": search}
        languages = {"source_language": self.source_language, "target_language": self.target_language}
        return Deployment("translation", settings | languages)

    # --- measuring ---

    def translate(self, model: nn.Module, texts: Sequence[str]) -> list[str]:
        """The best hypothesis for each sentence, by beam search on the model's device.

        Raises ValueError for a sentence that is empty or too long, TokenizerError for a model of another vocabulary.
        """
        self._check(model)
        sources = self.source_tokens(texts)
        device, found = _device(model.eval()), [""] * len(texts)
        for chosen in by_tokens(np.array([len(ids) for ids in sources]), self.batch_tokens // self.search.beam):
            tokens = padded([sources[i] for i in chosen], PAD, left=True).to(device)
            for i, hypotheses in zip(chosen, self.search(model, tokens), strict=True):  # type: ignore[arg-type]
                found[i] = self._vocabularies[-1].decode(hypotheses[0].tokens)
        return found

    def evaluate(self, model: nn.Module, split: str = "validation") -> dict[str, float]:
        """The task's metrics: BLEU 0-100, and the mean cross-entropy per token with its exponential.

        Raises ValueError for an unknown split or a source that is too long, TokenizerError for a model of another
        vocabulary.
        """
        chosen = self._measured(split)
        pairs, found = self._pairs(split), {}
        if {"bleu", "tokenized_bleu"} & set(self.metrics):
            hypotheses = self.translate(model, [pairs.sources[i] for i in chosen])
            found = self.score(hypotheses, [pairs.targets[i] for i in chosen])
        if {"loss", "perplexity"} & set(self.metrics):
            loss = self._cross_entropy(model, split, chosen)
            found |= {"loss": loss, "perplexity": float(np.exp(loss))}
        return {name: found[name] for name in self.metrics}

    def score(self, hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """`bleu` and `tokenized_bleu` of translations, whichever are among the metrics."""
        tokenized, language = self._vocabularies[-1].words is not None, self.target_language
        both = hypotheses, [joined(text) for text in references] if tokenized else references
        found = {}
        if "bleu" in self.metrics:
            texts = [bleu.moses_detokenized(t, language) if tokenized else t for t in both]
            found["bleu"] = bleu.corpus_bleu(texts[0], texts[1], self.bleu_tokenizer)
        if "tokenized_bleu" in self.metrics:
            texts = [t if tokenized else bleu.moses_tokenized(t, language) for t in both]
            found["tokenized_bleu"] = bleu.tokenized_bleu(texts[0], texts[1])
        return found

    def calibration_batches(self, model: nn.Module) -> Iterator[Inputs]:
        """None: Transformers have no batch norm."""
        return iter(())

    # --- training ---

    def n_batches(self, batch_size: int) -> int:
        """Number of training batches of `batch_size` tokens."""
        return len(by_tokens(self._training_lengths, batch_size))

    def train_batches(
        self,
        model: nn.Module,
        *,
        batch_size: int,
        rng: np.random.Generator,
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
    ) -> Iterator[Batch]:
        """One epoch of pairs of about the same length each: sources and shifted targets, and the targets.

        `batch_size` counts tokens: sentences times the longest source or target. The number of batches is always the
        same.
        """
        if augmentation not in (None, Augmentation()):
            raise ValueError(f"task {self.name!r}: augmentation is for images, got {augmentation}")
        self._check(model)
        self._check_room(model, "train", self._training_lengths)
        for chosen in by_tokens(self._training_lengths, batch_size, rng):
            yield self._batch("train", self._training_pairs[chosen], device)

    def loss(self, outputs: Any, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy per token."""
        return losses.hard(outputs, targets, label_smoothing)

    def distillation_loss(self, outputs: Any, teacher: Any, targets: Tensor) -> Tensor:
        """Cross-entropy per token with the teacher's probabilities of all words."""
        return losses.soft(outputs, teacher, targets)

    # --- internals ---

    @property
    def _vocabularies(self) -> list[Vocabulary]:
        """The vocabulary of the sentences, and that of the translations where it is another."""
        return [self.vocabulary, *([] if self.target_vocabulary is None else [self.target_vocabulary])]

    def _pairs(self, split: str) -> ParallelSet:
        if split not in self.splits:
            raise ValueError(f"task {self.name!r} has no split {split!r}: it has {', '.join(self.splits)}")
        return self.splits[split]

    def _measured(self, split: str) -> Indices:
        """Indices of the pairs that evaluation looks at."""
        n = len(self._pairs(split))
        most = self.n_validation if split == "validation" and self.n_validation else n
        return np.linspace(0, n - 1, min(most, n)).astype(np.int64)

    @cached_property
    def _kept(self) -> dict[str, tuple[list[Ids], list[Ids]]]:
        """Splits as tokens, once they were needed."""
        return {}

    def _split(self, split: str) -> tuple[list[Ids], list[Ids]]:
        if split not in self._kept:
            pairs = self._pairs(split)
            targets = self._vocabularies[-1].encode(pairs.targets)
            self._kept[split] = self.vocabulary.encode(pairs.sources), targets
        return self._kept[split]

    @cached_property
    def _training_pairs(self) -> Indices:
        """Indices of the training pairs that are not too long."""
        chosen = np.flatnonzero(_longer(self._split("train")) <= self.max_tokens)
        if not len(chosen):
            raise ValueError(f"task {self.name!r}: all training pairs have more than {self.max_tokens} tokens")
        return chosen

    @property
    def _training_lengths(self) -> Indices:
        return _longer(self._split("train"))[self._training_pairs]

    def _batch(self, split: str, chosen: Indices, device: torch.device | str) -> Batch:
        sources, targets = ([side[i] for i in chosen] for side in self._split(split))
        shifted = [np.concatenate([[EOS], ids[:-1]]) for ids in targets]
        inputs = padded(sources, PAD, left=True).to(device), padded(shifted, PAD).to(device)
        return inputs, padded(targets, losses.IGNORED).to(device)

    @torch.inference_mode()
    def _cross_entropy(self, model: nn.Module, split: str, chosen: Indices) -> float:
        self._check(model)
        device, total, n_tokens = _device(model.eval()), 0.0, 0
        lengths = _longer(self._split(split))[chosen]
        if lengths.max() > self.max_tokens:
            raise ValueError(
                f"task {self.name!r}: the {split} split has a pair of {lengths.max()} tokens, max_tokens is "
                f"{self.max_tokens}: raise it up to the positions of the model, or take the pair out"
            )
        self._check_room(model, split, lengths)
        for batch in by_tokens(lengths, self.batch_tokens):
            inputs, targets = self._batch(split, chosen[batch], device)
            n = int((targets != losses.IGNORED).sum())
            total += n * float(losses.hard(model(*inputs), targets))
            n_tokens += n
        return total / n_tokens

    def _check(self, model: nn.Module) -> None:
        """Raises TokenizerError where the model says that it does not know the tokens."""
        known = getattr(model, "vocabulary_sizes", ())
        sides = (self._vocabularies[0], self._vocabularies[-1])
        for side, n_words, own in zip(("source", "target"), known, sides, strict=False):
            if own.size > n_words:
                raise TokenizerError(
                    f"the {side} vocabulary of task {self.name!r} has {own.size} tokens, the model knows {n_words}: "
                    "give the tokenizer that belongs to the checkpoint, or create the super-network with "
                    f"vocab_size={own.size}"
                )

    def _check_room(self, model: nn.Module, split: str, lengths: Indices) -> None:
        """Raises ValueError where pairs of a split are longer than the positions of the model."""
        room = getattr(model, "most_steps", None)
        if room is not None and lengths.max() > room:
            raise ValueError(
                f"task {self.name!r}: the {split} split has a pair of {lengths.max()} tokens, the model has {room} "
                f"positions: set max_tokens={room}, with which training leaves longer pairs out"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}


def _longer(sides: tuple[list[Ids], list[Ids]]) -> Indices:
    """Number of tokens of the longer side of each pair."""
    sources, targets = (np.array([len(ids) for ids in side], dtype=np.int64) for side in sides)
    return np.maximum(sources, targets)


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))
