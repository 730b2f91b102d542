"""BERT-like classifiers of Hugging Face as super-networks: elastic depth, heads and neurons of each layer."""

import copy
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from supernet.architecture import Architecture
from supernet.blocks import count_macs
from supernet.building import WithoutValues
from supernet.families.bert import resized_layers
from supernet.families.bert.library_code import library_code
from supernet.families.bert.loading import checked
from supernet.families.bert.space import (
    DEPTH,
    HEADS,
    NEURONS,
    allowed,
    bert_space,
    default_depths,
    default_ffn_sizes,
    default_heads,
)
from supernet.importance import Batch, Importance, Loss, Units, reorder
from supernet.layout import Layout
from supernet.network import SuperNetwork
from supernet.parts import Part, single
from supernet.places import fill, places_of
from supernet.sharing import leading_slice
from supernet.space import Genes
from supernet.tally import indices_of

_USUAL_TOKENS = 128


class ElasticBert(SuperNetwork):
    """A stock classifier of `transformers` whose first layers, heads and neurons make smaller ones.

    Architectures are `{"num_layers": 6, "num_attention_heads": [...], "intermediate_size": [...]}`, with one number for
    each layer. A sub-network is of the same stock class, with resized linear layers; its heads keep their size.

    `model.save_pretrained(folder)` writes it as any other model. A stock configuration can say a depth and one number
    of neurons for all layers: `AutoModelForSequenceClassification.from_pretrained(folder)` then loads it. With other
    sizes it takes `from_pretrained(folder, trust_remote_code=True)`, and uses a small file beside the weights.

    Args:
        model: the classifier, of a type in `resized_layers.LAYOUTS`; its weights are copied.
        depths: numbers of layers that are allowed. None: from half of the model's to all.
        heads: numbers of heads of a layer. None: from half of the model's to all.
        ffn_sizes: numbers of neurons of a layer. None: a third of the model's, two thirds, and all.
        sequence_length: tokens of the sentences that costs and latencies are of. None: 128, or as many as fit.

    Raises ValueError for a model of another type, and for sizes that the model does not have.
    """

    def __init__(
        self,
        model: Any,
        *,
        depths: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        ffn_sizes: Sequence[int] | None = None,
        sequence_length: int | None = None,
    ) -> None:
        if not type(model).__name__.endswith("ForSequenceClassification"):
            raise ValueError(f"a {type(model).__name__} is no sequence classifier of transformers")
        self._layout = resized_layers.LAYOUTS[checked(model.config).model_type]
        self._class, self._config = type(model), copy.deepcopy(model.config)
        config, n_neurons = self._config, getattr(self._config, self._layout.neurons)
        self.space = bert_space(
            allowed("depths", depths, default_depths(config.num_hidden_layers), config.num_hidden_layers),
            allowed("heads", heads, default_heads(config.num_attention_heads), config.num_attention_heads),
            allowed("ffn_sizes", ffn_sizes, default_ffn_sizes(n_neurons), n_neurons),
            config.hidden_size,
        )
        self.max_length = _most_tokens(model)
        self.sequence_length = int(min(_USUAL_TOKENS, self.max_length)) if sequence_length is None else sequence_length
        self._check_length(self.sequence_length, "sequence_length")
        with WithoutValues(on_meta=True):
            super().__init__()
        self._take(model)
        self.eval()

    @property
    def name(self) -> str:
        """The family's name, as in checkpoints and reports."""
        return "bert"

    @property
    def title(self) -> str:
        """The kind of model and the sizes of its weights."""
        c = self._config
        return (
            f"{self.name} ({c.model_type}: {c.num_hidden_layers} layers of width {c.hidden_size}, "
            f"vocabulary {c.vocab_size}, {c.num_labels} labels)"
        )

    @property
    def vocab_size(self) -> int:
        """Number of token ids that the model knows."""
        return int(self._config.vocab_size)

    @property
    def num_labels(self) -> int:
        """Number of classes."""
        return int(self._config.num_labels)

    @property
    def input_names(self) -> tuple[str, ...]:
        """What `example_inputs` gives, as tokenizers and models call it, in the order of the model's arguments."""
        pairs = (getattr(self._config, "type_vocab_size", 0) or 0) > 1
        return ("input_ids", "attention_mask", "token_type_ids") if pairs else ("input_ids", "attention_mask")

    def build(self, architecture: Architecture) -> nn.Module:
        """A stock model with resized layers."""
        config = copy.deepcopy(self._config)
        depth = config.num_hidden_layers = architecture[DEPTH]
        heads, neurons = list(architecture[HEADS][:depth]), list(architecture[NEURONS][:depth])
        if set(heads) == {config.num_attention_heads} and len(set(neurons)) == 1:
            setattr(config, self._layout.neurons, neurons[0])
            return self._class(config)  # type: ignore[no-any-return]
        model = self._class(resized_layers.resized_config(config, self._class.__name__, heads, neurons))
        resized_layers.resize(model)
        return model  # type: ignore[no-any-return]

    def forward(self, *inputs: Any, architecture: Architecture | None = None, **named_inputs: Any) -> Any:
        """The sub-network's Hugging Face output: `net(**tokenizer_output, architecture=a)` or `net(ids, mask, a)`.

        Raises ValueError for a sequence that is longer than the model's positions, and (on a CPU, where looking costs
        nothing) for a token that the model does not know.
        """
        ids = named_inputs.get("input_ids", inputs[0] if inputs else None)
        if isinstance(ids, Tensor):
            self._check_length(ids.shape[-1], "a sequence")
            if ids.device.type == "cpu" and ids.numel() and not 0 <= ids.min() <= ids.max() < self.vocab_size:
                wrong = int(ids.max()) if ids.min() >= 0 else int(ids.min())
                raise ValueError(f"token {wrong} is not in 0..{self.vocab_size - 1}: give the model's own tokenizer")
        return super().forward(*inputs, architecture=architecture, **named_inputs)

    def example_inputs(self, architecture: Architecture, batch_size: int = 1) -> tuple[Tensor, ...]:
        """Sentences of `sequence_length` random tokens without padding, as `input_names` says."""
        shape = (batch_size, self.sequence_length)
        words = [token for token in range(min(self.vocab_size, 1000)) if token != self._config.pad_token_id] or [0]
        drawn = torch.randint(len(words), shape, generator=torch.Generator().manual_seed(0))
        ids = torch.tensor(words)[drawn]
        tensors = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        return tuple(tensors[name] for name in self.input_names)

    def parts(self, model: nn.Module, architecture: Architecture) -> Mapping[str, Part]:
        """One part, for batches and sentences of any length; inputs have Hugging Face's names."""
        inputs = dict(zip(self.input_names, self.example_inputs(architecture, 2), strict=True))
        return single(
            Logits(model, tuple(inputs)), inputs, length=None if math.isinf(self.max_length) else int(self.max_length)
        )

    def blocks_of(self, model: nn.Module) -> dict[str, list[nn.Module]]:
        """Embeddings, layers, and every module behind them."""
        inside = f"{model.base_model_prefix}.{self._layout.layers}"
        return {name: [module] for name, module in _beside(model, inside)}

    def block_genes(self) -> dict[str, list[str]]:
        """A layer sees its own heads and neurons."""
        model = self.skeleton(self.largest)
        genes: dict[str, list[str]] = {name: [] for name in self.blocks_of(model)}
        layers = f"{model.base_model_prefix}.{self._layout.layers}"
        return genes | {f"{layers}.{i}": [f"{HEADS}[{i}]", f"{NEURONS}[{i}]"] for i in range(self.largest[DEPTH])}

    def costs(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> dict[str, NDArray[np.int64]]:
        """Exact `macs` of one sentence of `sequence_length` tokens and `params` of each architecture, in closed form.

        Both are linear in a layer's heads and neurons, and in the number of layers: four sub-networks are counted.
        """
        genes = self.space.genes_of(architectures)
        values = {choice.name: np.array(choice.values) for choice in self.space.choices}
        at = {name: values[name][indices] for name, indices in indices_of(self.space, genes).items()}
        exists = np.arange(self.largest[DEPTH]) < at[DEPTH]
        heads, neurons = ((at[name] * exists).sum(axis=1) for name in (HEADS, NEURONS))
        amounts = np.stack([np.ones(len(genes), dtype=np.int64), at[DEPTH][:, 0], heads, neurons], axis=1)
        return {name: amounts @ prices for name, prices in self._prices().items()}

    def reorder(self, batches: Iterable[Batch], loss: Loss | None = None) -> Importance:
        """Puts heads and neurons of each layer in the order of their importance: sub-networks keep what matters.

        The largest sub-network computes the same as before. Do it before the training of the super-network, with a
        model that has been fine-tuned for the task: smaller sub-networks then start from what matters (DynaBERT,
        arXiv:2004.04037, section 2.1).

        Args:
            batches: labelled inputs of the task: pairs as its `train_batches` gives them, or mappings with `labels`;
                some hundred samples are enough.
            loss: of the model's output and the labels (`task.loss`); None: the model's own.

        Returns the importance of heads and neurons in their old order. Raises ValueError without batches.
        """
        return reorder(self.shared, *units(self.shared, self._layout), batches, loss)

    def library_code(self, architecture: Architecture) -> str:
        """Python that builds the sub-network with transformers alone and loads `model.safetensors`, for bundles."""
        return library_code(self.skeleton(architecture))

    def published_layout(self) -> Layout:
        """That of Hugging Face: the names of the stock model."""
        return Layout("transformers", {f"shared.{name}": name for name in self.shared.state_dict()})

    def _prices(self) -> dict[str, NDArray[np.int64]]:
        """MACs and parameters of everything but the layers, of a layer, a head and a neuron."""
        if "_counted" not in self.__dict__:
            least, most = ({c.name: c.values[end] for c in self.space.choices} for end in (0, -1))
            start = self._count(least)
            steps = {}
            for name in (DEPTH, HEADS, NEURONS):
                span = (most[name] - least[name]) * (1 if name == DEPTH else least[DEPTH])
                steps[name] = (self._count(least | {name: most[name]}) - start) // max(span, 1)
            layers = least[DEPTH]
            per_layer = steps[DEPTH] - least[HEADS] * steps[HEADS] - least[NEURONS] * steps[NEURONS]
            rest = start - layers * steps[DEPTH]
            prices = np.stack([rest, per_layer, steps[HEADS], steps[NEURONS]], axis=1)
            self.__dict__["_counted"] = {"macs": prices[0], "params": prices[1]}
        counted: dict[str, NDArray[np.int64]] = self.__dict__["_counted"]
        return counted

    def _count(self, architecture: Mapping[str, Any]) -> NDArray[np.int64]:
        chosen = self.space.validate(architecture)
        model = self.skeleton(chosen).eval()
        device = next(model.parameters()).device
        inputs = [tensor.to(device) for tensor in self.example_inputs(chosen)]
        return np.array([count_macs(model, inputs), sum(p.numel() for p in model.parameters())], dtype=np.int64)

    def _take(self, model: nn.Module) -> None:
        """Copies what the largest sub-network needs of a model's weights."""
        tensors = dict(itertools.chain(model.named_parameters(), model.named_buffers()))
        places = places_of(self.shared)
        own = {p.name: leading_slice(tensors[p.name].detach(), p.shape).clone() for p in places}
        fill(places, {name: t.float() if t.is_floating_point() else t for name, t in own.items()})

    def _check_length(self, length: int, what: str) -> None:
        if not 1 <= length <= self.max_length:
            raise ValueError(
                f"{what} of {length} tokens: {self.title} takes 1 to {self.max_length:.0f}; truncate it "
                f"(tokenizer(..., truncation=True, max_length={self.max_length:.0f}))"
            )


def units(model: Any, layout: resized_layers.Layout) -> tuple[list[Units], list[Units]]:
    """Heads and neurons of each layer."""
    layers, config = layout.layers_of(model), model.config
    size = config.hidden_size // config.num_attention_heads
    heads = [
        Units(size, [(part, 1) for part in layout.projections_of(layer)], layer.get_submodule(layout.merge))
        for layer in layers
    ]
    neurons = [
        Units(1, [(layer.get_submodule(layout.widen), 1)], layer.get_submodule(layout.narrow)) for layer in layers
    ]
    return heads, neurons


def _most_tokens(model: Any) -> float:
    """The longest sequence that the position embeddings have room for; infinite without any."""
    table = getattr(model.base_model.embeddings, "position_embeddings", None)
    if not isinstance(table, nn.Embedding):
        return float("inf")
    return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)


def _beside(model: nn.Module, inside: str, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """The modules of `model` but dropout, opening only those that lead to the layers at the path `inside`."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in model.named_children():
        path = f"{prefix}{name}"
        if f"{inside}.".startswith(f"{path}."):
            found += _beside(child, inside, f"{path}.")
        elif not isinstance(child, nn.Dropout):
            found.append((path, child))
    return found


class Logits(nn.Module):
    """A classifier called with positional arguments, which gives a tensor: as exporters want it."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Tensor) -> Tensor:
        """Scores of the classes."""
        logits: Tensor = self.model(**dict(zip(self.names, inputs, strict=True))).logits
        return logits
