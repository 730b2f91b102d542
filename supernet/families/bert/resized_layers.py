"""Hugging Face classifiers whose layers have numbers of attention heads and of neurons of their own.

A stock configuration gives all layers the same sizes, and with the number of heads it changes their width. Here
`config.json` names the sizes of each layer, and `save_pretrained` puts this file beside it, so that a program that
knows transformers alone loads the model:

    AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)

Classes are made when they are asked for: `ResizedBertConfig` is `BertConfig` with the sizes of each layer, and
`ResizedBertForSequenceClassification` is `BertForSequenceClassification` cut to them; likewise for all of `LAYOUTS`.
"""

from dataclasses import dataclass
from typing import Any

import transformers
from torch import nn

HEADS, NEURONS = "num_attention_heads_per_layer", "intermediate_size_per_layer"
"""What `config.json` calls the sizes of the layers."""

_PREFIX, _LOADER = "Resized", "AutoModelForSequenceClassification"


@dataclass(frozen=True)
class Layout:
    """Where a classifier keeps what can be resized.

    Args:
        layers: the list of layers, within the model without its classifier.
        attention: the module of a layer that splits channels into heads.
        projections: linear layers of the attention with one row per channel of the heads (absent ones are passed over).
        merge: the linear layer of a layer that takes the joined heads.
        widen, narrow: the linear layers of a layer around its neurons.
        neurons: what the stock configuration calls their number.
        head_counts, channel_counts: attributes of the attention, where it has them, with its numbers of heads and of
            their channels.
    """

    layers: str = "encoder.layer"
    attention: str = "attention.self"
    projections: tuple[str, ...] = ("query", "key", "value")
    merge: str = "attention.output.dense"
    widen: str = "intermediate.dense"
    narrow: str = "output.dense"
    neurons: str = "intermediate_size"
    head_counts: tuple[str, ...] = ("num_attention_heads",)
    channel_counts: tuple[str, ...] = ("all_head_size",)

    def layers_of(self, model: nn.Module) -> list[nn.Module]:
        """The layers of a classifier, in order."""
        return list(model.get_submodule(f"{model.base_model_prefix}.{self.layers}").children())

    def projections_of(self, layer: nn.Module) -> list[nn.Module]:
        """The linear layers that give queries, keys, values and the like."""
        attention = layer.get_submodule(self.attention)
        return [part for name in self.projections if (part := getattr(attention, name, None)) is not None]


_LIKE_BERT = (
    *("bert", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert", "rembert", "roberta"),
    *("roberta-prelayernorm", "roformer", "xlm-roberta", "xlm-roberta-xl"),
)

LAYOUTS = {
    **dict.fromkeys(_LIKE_BERT, Layout()),
    "deberta-v2": Layout(projections=("query_proj", "key_proj", "value_proj", "pos_query_proj", "pos_key_proj")),
    "distilbert": Layout(
        "transformer.layer",
        "attention",
        ("q_lin", "k_lin", "v_lin"),
        "attention.out_lin",
        "ffn.lin1",
        "ffn.lin2",
        "hidden_dim",
        ("n_heads",),
        ("dim",),
    ),
}
"""Where things are, by the `model_type` of a configuration."""


def resized_config(stock: Any, classifier: str, heads: list[int], neurons: list[int]) -> Any:
    """The configuration of a model with these numbers of heads and of neurons in its layers.

    Args:
        stock: a stock configuration with this number of layers; its number of heads decides the channels of one head.
        classifier: name of the stock class.
        heads: one number for each layer.
        neurons: likewise.
    """
    file = __name__.rpartition(".")[2]
    settings = {HEADS: heads, NEURONS: neurons, "auto_map": {_LOADER: f"{file}.{_PREFIX}{classifier}"}}
    config = _made(f"{_PREFIX}{type(stock).__name__}").from_dict(stock.to_dict() | settings)
    config._attn_implementation = stock._attn_implementation
    return config


def resize(model: Any) -> None:
    """Cuts the layers of a stock model to the sizes that its configuration names: the first heads and neurons stay."""
    config, layout = model.config, LAYOUTS[model.config.model_type]
    sizes = zip(layout.layers_of(model), getattr(config, HEADS), getattr(config, NEURONS), strict=True)
    for layer, heads, neurons in sizes:
        projections, attention = layout.projections_of(layer), layer.get_submodule(layout.attention)
        channels = projections[0].out_features // config.num_attention_heads * heads
        for projection in projections:
            _cut(projection, rows=channels)
        _cut(layer.get_submodule(layout.merge), columns=channels)
        _cut(layer.get_submodule(layout.widen), rows=neurons)
        _cut(layer.get_submodule(layout.narrow), columns=neurons)
        counts = dict.fromkeys(layout.head_counts, heads) | dict.fromkeys(layout.channel_counts, channels)
        for name, count in counts.items():
            if hasattr(attention, name):
                setattr(attention, name, count)


def _cut(linear: Any, rows: int | None = None, columns: int | None = None) -> None:
    linear.weight = nn.Parameter(linear.weight.detach()[:rows, :columns].clone())
    if linear.bias is not None:
        linear.bias = nn.Parameter(linear.bias.detach()[:rows].clone())
    linear.out_features, linear.in_features = linear.weight.shape


def __getattr__(name: str) -> Any:
    """Makes a class when it is first asked for, so that of all the stock ones only those in use are imported."""
    if not name.startswith(_PREFIX) or not hasattr(transformers, name.removeprefix(_PREFIX)):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _made(name)


def _made(name: str) -> Any:
    if name not in globals():
        stock = getattr(transformers, name.removeprefix(_PREFIX))
        body = {"__module__": __name__} | (_config_body() if name.endswith("Config") else _model_body(stock))
        globals()[name] = type(name, (stock,), body)
    return globals()[name]


def _config_body() -> dict[str, Any]:
    return {"_auto_class": "AutoConfig"}  # saving copies this file


def _model_body(stock: Any) -> dict[str, Any]:
    def __init__(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        stock.__init__(self, config, *args, **kwargs)
        resize(self)

    return {"__init__": __init__, "config_class": _made(f"{_PREFIX}{stock.config_class.__name__}")}
