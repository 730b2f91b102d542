"""Text classification with models that take Hugging Face's inputs: token ids, attention mask, token types."""

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from supernet.inputs import Inputs
from supernet.tasks import losses
from supernet.tasks.augmentation import Augmentation
from supernet.tasks.base import Batch, Deployment, labels_file
from supernet.tasks.text.batching import Ids, by_samples, padded
from supernet.tasks.text.tables import Text, TextSet
from supernet.tasks.text.tokenization import TokenizerError, digest, padding_id

if TYPE_CHECKING:
    from tokenizers import Tokenizer

METRICS = ("accuracy", "f1", "mcc")
_TYPES = "token_type_ids"

Encoded = tuple[Ids, Ids]
"""Token ids and token types of one text."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextClassification:
    """Texts, or pairs of texts, with one class each.

    Models are called with `input_ids` and `attention_mask`, and with `token_type_ids` if they take those; they give
    scores [n, classes], alone or as `logits`.

    Args:
        name: for messages and reports.
        splits: "validation", and where there are any "train" and "test".
        class_names: by class index.
        tokenizer: of the `tokenizers` package; its post-processor adds the model's special tokens.
        max_length: tokens of a text, special ones included; longer texts are cut.
        batch_size: samples per evaluation batch.
        metric: what a search maximises: accuracy, f1 (of class 1; with more classes, the mean over them) or mcc
            (Matthews' correlation), all times 100.
    """

    name: str
    splits: Mapping[str, TextSet]
    class_names: tuple[str, ...]
    tokenizer: "Tokenizer"
    max_length: int = 128
    batch_size: int = 64
    metric: str = "accuracy"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"task {self.name!r}: metric must be one of {', '.join(METRICS)}, got {self.metric!r}")
        if empty := [split for split, texts in self.splits.items() if len(texts) == 0]:
            raise ValueError(f"task {self.name!r}: the {empty[0]} split holds no texts")
        n_special = self.tokenizer.num_special_tokens_to_add(is_pair=self._pairs)
        if self.max_length <= n_special:
            raise ValueError(
                f"task {self.name!r}: max_length must be above {n_special}, the number of special tokens of its "
                f"tokenizer, got {self.max_length}"
            )

    # --- what it is ---

    @property
    def metric_names(self) -> tuple[str, ...]:
        """What `evaluate` gives."""
        return (*METRICS, "loss")

    @cached_property
    def fingerprint(self) -> str:
        """Digest of data, splits, classes, tokenizer and length."""
        described = {
            "splits": {split: texts.digest for split, texts in sorted(self.splits.items())},
            "classes": list(self.class_names),
            "tokenizer": digest(self.tokenizer),
            "max_length": self.max_length,
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def files(self) -> Mapping[str, bytes]:
        """Names of the classes, and the tokenizer."""
        return {"labels.json": labels_file(self.class_names), "tokenizer.json": self.tokenizer.to_str().encode()}

    @property
    def methods(self) -> Mapping[str, str]:
        """How F1 and Matthews' correlation are computed."""
        classes = f"class {self.class_names[1]!r}" if len(self.class_names) == 2 else "all classes, unweighted mean"
        return {"f1": f"scikit-learn, {classes}, times 100", "mcc": "scikit-learn, times 100"}

    def n_samples(self, split: str = "validation") -> int:
        """Number of texts of a split."""
        return len(self._texts(split))

    def samples(self, split: str = "test", n: int = 1) -> list[tuple[Text, int]]:
        """The first `n` texts of a split with their class indices."""
        chosen = self._texts(split)
        return list(zip(chosen.texts[:n], chosen.labels[:n], strict=True))

    # --- preprocessing ---

    def prepare(self, model: nn.Module, samples: Sequence[Text]) -> dict[str, Tensor]:
        """Texts as one batch of int64 tensors [n, longest], padded on the right."""
        self._check(model)
        return self._collated(model, self._encoded(samples))

    def adapt(self, model: nn.Module, inputs: Inputs) -> Inputs:
        """The same inputs: all models take them."""
        return inputs

    def deployment(self, model: nn.Module) -> Deployment:
        """How texts become inputs."""
        settings = {
            "max_length": self.max_length,
            "padding_id": padding_id(self.tokenizer),
            "inputs": list(self.prepare(model, [self.samples("validation")[0][0]])),
            "pairs": self._pairs,
        }
        return Deployment("text_classification", settings)

    # --- measuring ---

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, split: str = "validation") -> dict[str, float]:
        """`accuracy`, `f1` and `mcc` times 100, the chosen one first, and the mean cross-entropy `loss`.

        Raises ValueError for an unknown split, TokenizerError for a model that the tokenizer does not fit.
        """
        from sklearn.metrics import f1_score, matthews_corrcoef

        self._check(model)
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        model.eval()
        labels = np.array(self._texts(split).labels)
        scores = np.empty((len(labels), len(self.class_names)))
        for chosen in by_samples(self._lengths(split), self.batch_size):
            outputs = model(**self._batch(model, split, chosen, device)[0])
            scores[chosen] = self._scores(outputs).double().cpu().numpy()
        answers = scores.argmax(axis=1)
        average = "binary" if len(self.class_names) == 2 else "macro"
        found = {
            "accuracy": 100 * float((answers == labels).mean()),
            "f1": 100 * float(f1_score(labels, answers, average=average, zero_division=0)),
            "mcc": 100 * float(matthews_corrcoef(labels, answers)),
        }
        loss = float(losses.hard(torch.from_numpy(scores), torch.from_numpy(labels)))
        return {self.metric: found[self.metric], **found, "loss": loss}

    def calibration_batches(self, model: nn.Module) -> Iterator[Inputs]:
        """None: Transformers have no batch norm."""
        return iter(())

    # --- training ---

    def n_batches(self, batch_size: int) -> int:
        """Number of training batches; the last one may be smaller."""
        return -(-len(self._texts("train")) // batch_size)

    def train_batches(
        self,
        model: nn.Module,
        *,
        batch_size: int,
        rng: np.random.Generator,
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
    ) -> Iterator[Batch]:
        """One epoch of texts of about the same length each, and class indices [n]."""
        if augmentation not in (None, Augmentation()):
            raise ValueError(
                f"task {self.name!r}: augmentation is for images, set recipe.augmentation=null; got {augmentation}"
            )
        self._check(model)
        for chosen in by_samples(self._lengths("train"), batch_size, rng):
            yield self._batch(model, "train", chosen, device)

    def loss(self, outputs: Any, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy with class indices. Raises ValueError unless the outputs are one score per class."""
        return losses.hard(self._scores(outputs), targets, label_smoothing)

    def distillation_loss(self, outputs: Any, teacher: Any, targets: Tensor) -> Tensor:
        """Cross-entropy with the teacher's soft labels."""
        return losses.soft(self._scores(outputs), self._scores(teacher), targets)

    # --- internals ---

    @property
    def _pairs(self) -> bool:
        return any(isinstance(text, tuple) for texts in self.splits.values() for text in texts.texts[:1])

    def _texts(self, split: str) -> TextSet:
        if split not in self.splits:
            raise ValueError(f"task {self.name!r} has no split {split!r}: it has {', '.join(self.splits)}")
        return self.splits[split]

    @cached_property
    def _kept(self) -> dict[str, list[Encoded]]:
        """Splits as tokens, once they were needed."""
        return {}

    def _split(self, split: str) -> list[Encoded]:
        if split not in self._kept:
            self._kept[split] = self._encoded(self._texts(split).texts)
        return self._kept[split]

    def _lengths(self, split: str) -> NDArray[np.int64]:
        return np.array([len(ids) for ids, _ in self._split(split)])

    def _encoded(self, texts: Sequence[Text]) -> list[Encoded]:
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_length)
        found = self.tokenizer.encode_batch(list(texts))
        return [(np.array(e.ids, dtype=np.int32), np.array(e.type_ids, dtype=np.int32)) for e in found]

    def _batch(self, model: nn.Module, split: str, chosen: NDArray[np.int64], device: torch.device | str) -> Any:
        encoded, labels = self._split(split), self._texts(split).labels
        inputs = self._collated(model, [encoded[i] for i in chosen])
        targets = torch.tensor([labels[i] for i in chosen], device=device)
        return {name: tensor.to(device) for name, tensor in inputs.items()}, targets

    def _collated(self, model: nn.Module, encoded: Sequence[Encoded]) -> dict[str, Tensor]:
        ids, types = zip(*encoded, strict=True)
        inputs = {
            "input_ids": padded(ids, padding_id(self.tokenizer)),
            "attention_mask": padded([np.ones_like(one) for one in ids], 0),
            _TYPES: padded(types, 0),
        }
        if _TYPES not in _parameters(model):
            del inputs[_TYPES]
        return inputs

    def _check(self, model: nn.Module) -> None:
        """Raises TokenizerError where the model's configuration says that the tokens are not for it."""
        config = getattr(model, "config", None)
        n_words, n_tokens = getattr(config, "vocab_size", None), self.tokenizer.get_vocab_size()
        if n_words is not None and n_tokens > n_words:
            raise TokenizerError(
                f"the tokenizer of task {self.name!r} has {n_tokens} tokens, the model knows {n_words}: give the "
                f"tokenizer that belongs to the checkpoint, or create the super-network with vocab_size={n_tokens}"
            )
        own, wanted = padding_id(self.tokenizer), getattr(config, "pad_token_id", None)
        if wanted is not None and own != wanted:
            raise TokenizerError(
                f"the tokenizer of task {self.name!r} pads with token {own}, the model expects {wanted}: give the "
                "tokenizer that belongs to the checkpoint"
            )
        room = _positions(model)
        if room is not None and self.max_length > room:
            raise ValueError(
                f"task {self.name!r} gives up to {self.max_length} tokens, the model has {room} positions: set "
                f"max_length={room} or less"
            )

        self._check_classes(getattr(config, "id2label", None) or {})

    def _check_classes(self, named: Mapping[int, str]) -> None:
        """Raises ValueError where a model calls its classes as the task does, in another order."""
        place = {str(name).casefold(): index for index, name in named.items()}
        own = [name.casefold() for name in self.class_names]
        if set(own) != set(place) or own == sorted(own, key=lambda name: place[name]):
            return
        wanted = ", ".join(sorted(self.class_names, key=lambda name: place[name.casefold()]))
        raise ValueError(
            f"task {self.name!r} has the classes {', '.join(self.class_names)}, the model has them in another order: "
            f"give class_names=[{wanted}], spelt as the labels are"
        )

    def _scores(self, outputs: Any) -> Tensor:
        scores = outputs if isinstance(outputs, Tensor) else outputs["logits"]
        n_classes = len(self.class_names)
        if scores.ndim != 2 or scores.shape[1] != n_classes:
            raise ValueError(
                f"task {self.name!r} has {n_classes} classes, but the model's outputs have shape "
                f"{tuple(scores.shape)}: create the super-network with num_labels={n_classes}"
            )
        return scores

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}


def _parameters(model: nn.Module) -> Sequence[str]:
    """Names of what a model is called with."""
    names: Sequence[str] | None = getattr(model, "input_names", None)
    return names if names is not None else list(inspect.signature(model.forward).parameters)


def _positions(model: nn.Module) -> int | None:
    """Most tokens that a model has positions for, where it learnt them."""
    for name, table in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, nn.Embedding):
            return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    return None
