"""HAT's published vocabulary (arXiv:2005.14187): nested configurations, and the inputs of its latency predictor."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supernet.architecture import ArchitectureError

LISTS = (
    "encoder_ffn_embed_dim",
    "encoder_self_attention_heads",
    "decoder_ffn_embed_dim",
    "decoder_self_attention_heads",
    "decoder_ende_attention_heads",
    "decoder_arbitrary_ende_attn",
)
"""Choices with one value per layer."""

LATENCY_FEATURES = (
    "encoder_embed_dim",
    "encoder_layer_num",
    "encoder_ffn_embed_dim_avg",
    "encoder_self_attention_heads_avg",
    "decoder_embed_dim",
    "decoder_layer_num",
    "decoder_ffn_embed_dim_avg",
    "decoder_self_attention_heads_avg",
    "decoder_ende_attention_heads_avg",
    "decoder_arbitrary_ende_attn_avg",
)
"""Columns of `latency_features`, as in the authors' tables of measured latencies."""


def flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the names of choices as keys.

    Takes the nested form `{"encoder": {...}, "decoder": {...}}`, and the names of the authors' YAML files
    (`decoder-ffn-embed-dim-all-subtransformer`).
    """
    values: dict[str, Any] = {}
    for name, value in mapping.items():
        if name in ("encoder", "decoder") and isinstance(value, Mapping):
            values |= value
        elif isinstance(name, str) and name.endswith("-subtransformer"):
            values[name.removesuffix("-subtransformer").removesuffix("-all").replace("-", "_")] = value
        else:
            values[name] = value
    return values


def nested(architecture: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The configuration of an architecture as the authors' code takes it; lists end with the last active layer."""
    sides: dict[str, dict[str, Any]] = {"encoder": {}, "decoder": {}}
    for name, value in architecture.items():
        side = name.partition("_")[0]
        n_layers = architecture[f"{side}_layer_num"]
        sides[side][name] = list(value[:n_layers]) if name in LISTS else value
    return sides


def translated(
    mapping: Mapping[str, Any], defaults: Mapping[str, Any], repeats: Mapping[str, int | None]
) -> Mapping[str, Any]:
    """A published configuration in the space's vocabulary.

    Lists may end with the last active layer; what they hold for layers beyond it is without effect.

    Args:
        mapping: as `flat` takes it.
        defaults: one value per choice, which fills what is inactive.
        repeats: length of each list, None for scalars.

    Raises ArchitectureError for lists that are shorter than the depth.
    """
    values = flat(mapping)
    for name in LISTS:
        depth, given, n_layers = values.get(f"{name.partition('_')[0]}_layer_num"), values.get(name), repeats[name] or 0
        if isinstance(depth, (list, tuple)) and len(depth) == 1:
            depth = depth[0]
        if type(depth) is not int or not isinstance(given, (list, tuple)) or not len(given) <= n_layers >= depth:
            continue
        if len(given) < depth:
            raise ArchitectureError(f"{name} needs a value for each of {depth} layers, got {len(given)}: {given!r}")
        values[name] = [*given[:depth], *[defaults[name]] * (n_layers - depth)]
    return values


def latency_features(architectures: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """The inputs of HAT's latency predictor, shape (n_architectures, 10), columns `LATENCY_FEATURES`.

    Takes architectures and published configurations. Means are over active layers; `decoder_arbitrary_ende_attn` counts
    the encoder layers that a decoder layer attends to.
    """
    return np.array([_features(flat(architecture)) for architecture in architectures]).reshape(
        -1, len(LATENCY_FEATURES)
    )


def n_attended(arbitrary_ende_attn: int) -> int:
    """How many encoder layers a decoder layer attends to."""
    return 1 if arbitrary_ende_attn == -1 else 1 + arbitrary_ende_attn


def _features(values: Mapping[str, Any]) -> list[float]:
    features = []
    for column in LATENCY_FEATURES:
        name = column.removesuffix("_avg")
        if name not in LISTS:
            features.append(float(values[name]))
            continue
        active = values[name][: values[f"{name.partition('_')[0]}_layer_num"]]
        if name == "decoder_arbitrary_ende_attn":
            active = [n_attended(value) for value in active]
        features.append(sum(active) / len(active))
    return features
