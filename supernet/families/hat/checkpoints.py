"""HAT's checkpoints, in the layout of fairseq: names of tensors, training arguments, what a file looks like."""

import argparse
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from supernet.families.hat.settings import HatSettings, available_spaces
from supernet.layout import Layout, Shapes, recogniser

_LAYER = {
    "self_attn.in_proj.weight": "self_attn.in_proj_weight",
    "self_attn.in_proj.bias": "self_attn.in_proj_bias",
    "self_attn.out_proj": "self_attn.out_proj",
    "self_attn.norm": "self_attn_layer_norm",
    "memory_attn.q_proj.weight": "encoder_attn.in_proj_weight",
    "kv_proj.weight": "encoder_attn.in_proj_weight",
    "memory_attn.q_proj.bias": "encoder_attn.in_proj_bias",
    "kv_proj.bias": "encoder_attn.in_proj_bias",
    "memory_attn.out_proj": "encoder_attn.out_proj",
    "memory_attn.norm": "encoder_attn_layer_norm",
    "ffn.fc1": "fc1",
    "ffn.fc2": "fc2",
    "ffn.norm": "final_layer_norm",
}
_TABLES = {
    "encoder.embed.weight": "encoder.embed_tokens.weight",
    "decoder.embed.weight": "decoder.embed_tokens.weight",
    "decoder.output.weight": "decoder.embed_out",
}
_OLDER = {  # names of layer norms in early releases of fairseq
    "encoder": ("self_attn_layer_norm", "final_layer_norm"),
    "decoder": ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
}


def layout(settings: HatSettings, tensors: Iterable[str]) -> Layout | None:
    """The authors' layout for the tensors of the largest sub-network; None where it has none.

    Their decoder holds one matrix for the queries of its own channels and the keys and values of the encoder's, so both
    must be equally wide.
    """
    if max(settings.encoder_embed_dim) != max(settings.decoder_embed_dim):
        return None
    of_queries_first = sorted(tensors, key=lambda own: own.startswith("decoder.memories."))
    names = {f"shared.{own}": _published(own) for own in of_queries_first if not own.endswith(".positions")}
    sides = ("encoder", "decoder")
    constants = {f"{side}.version": torch.tensor([3.0]) for side in sides}
    constants |= {f"{side}.embed_positions._float_tensor": torch.zeros(1) for side in sides}
    return Layout(
        "hat",
        names,
        _spelling,
        copies={_TABLES["decoder.embed.weight"]: _TABLES["encoder.embed.weight"]}
        if settings.shared_embeddings == "all"
        else {},
        constants=constants,
        file=partial(_file, settings),
        objections=partial(_objections, settings),
    )


def _published(own: str) -> str:
    """`decoder.memories.2.kv_proj.bias` -> `decoder.layers.2.encoder_attn.in_proj_bias`."""
    if own in _TABLES:
        return _TABLES[own]
    side, _, index, rest = own.split(".", 3)
    module, _, kind = rest.rpartition(".")
    theirs = _LAYER[rest] if rest in _LAYER else f"{_LAYER[module]}.{kind}"
    return f"{side}.layers.{index}.{theirs}"


def _spelling(key: str) -> str:
    """One form for all names of a tensor, early releases' included."""
    parts = key.split(".")
    if len(parts) == 6 and parts[3] == "layer_norms" and parts[0] in _OLDER and parts[4].isdigit():
        norms = _OLDER[parts[0]]
        if int(parts[4]) < len(norms):
            return ".".join([*parts[:3], norms[int(parts[4])], parts[5]])
    if key.endswith(".embed_positions.weights"):  # the table of positions, which later releases leave out
        return key.replace(".weights", "._float_tensor")
    return key


def _file(settings: HatSettings, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What fairseq reads to make the super-network again."""
    return {
        "args": argparse.Namespace(**_arguments(settings)),
        "model": dict(tensors),
        "optimizer_history": [
            {
                "criterion_name": "LabelSmoothedCrossEntropyCriterion",
                "optimizer_name": "FairseqAdam",
                "lr_scheduler_state": {},
                "num_updates": 0,
            }
        ],
        "extra_state": {"train_iterator": {"epoch": 0, "iterations_in_epoch": 0}, "val_loss": None},
    }


def _arguments(settings: HatSettings) -> dict[str, Any]:
    arguments: dict[str, Any] = {"arch": "transformersuper", "task": "translation", "qkv_dim": settings.qkv_dim}
    for side in ("encoder", "decoder"):
        arguments |= {
            f"{side}_embed_dim": max(getattr(settings, f"{side}_embed_dim")),
            f"{side}_ffn_embed_dim": max(getattr(settings, f"{side}_ffn_embed_dim")),
            f"{side}_layers": max(getattr(settings, f"{side}_layer_num")),
            f"{side}_attention_heads": max(getattr(settings, f"{side}_self_attention_heads")),
            f"{side}_normalize_before": False,
            f"{side}_learned_pos": False,
        }
    arguments |= {theirs: list(getattr(settings, ours)) for theirs, ours in _CHOICES.items()}
    return arguments | {
        "share_all_embeddings": settings.shared_embeddings == "all",
        "share_decoder_input_output_embed": settings.shared_embeddings != "none",
        "max_source_positions": settings.max_positions,
        "max_target_positions": settings.max_positions,
        "dropout": settings.dropout,
        "attention_dropout": settings.attention_dropout,
        "activation_dropout": settings.activation_dropout,
        "activation_fn": "relu",
        "vocab_original_scaling": False,
        "no_token_positional_embeddings": False,
        "adaptive_softmax_cutoff": None,
    }


_CHOICES = {
    "encoder_embed_choice": "encoder_embed_dim",
    "decoder_embed_choice": "decoder_embed_dim",
    "encoder_layer_num_choice": "encoder_layer_num",
    "decoder_layer_num_choice": "decoder_layer_num",
    "encoder_ffn_embed_dim_choice": "encoder_ffn_embed_dim",
    "decoder_ffn_embed_dim_choice": "decoder_ffn_embed_dim",
    "encoder_self_attention_heads_choice": "encoder_self_attention_heads",
    "decoder_self_attention_heads_choice": "decoder_self_attention_heads",
    "decoder_ende_attention_heads_choice": "decoder_ende_attention_heads",
    "decoder_arbitrary_ende_attn_choice": "decoder_arbitrary_ende_attn",
}
"""HAT's arguments of a space -> settings."""

_MUST_BE = {
    "encoder_normalize_before": False,
    "decoder_normalize_before": False,
    "encoder_learned_pos": False,
    "decoder_learned_pos": False,
    "vocab_original_scaling": False,
    "no_token_positional_embeddings": False,
    "activation_fn": "relu",
    "adaptive_softmax_cutoff": None,
}
"""Arguments of networks that this family computes; with others the same tensors mean another network."""


def _objections(settings: HatSettings, arguments: Mapping[str, Any]) -> list[str]:
    """Differences that shapes of tensors do not show."""
    found = [
        f"it was trained with {name}={arguments[name]!r}, this family has {value!r}"
        for name, value in _MUST_BE.items()
        if arguments.get(name, value) != value
    ]
    for name in (name for name in _CHOICES if name.endswith("heads_choice")):
        trained, wanted = arguments.get(name), getattr(settings, _CHOICES[name])
        if (
            isinstance(trained, (list, tuple))
            and not arguments.get("train_subtransformer")
            and not set(wanted) <= set(trained)
        ):
            found.append(f"it was trained with {_CHOICES[name]} of {sorted(trained)}, this space has {list(wanted)}")
    return found


@recogniser
def looks_like(shapes: Shapes) -> str | None:
    """The spaces and vocabularies whose published tensors these are."""
    spelt = {_spelling(key): shape for key, shape in shapes.items()}
    try:
        sizes = _sizes(spelt)
        words = [spelt[f"{side}.embed_tokens.weight"][0] for side in ("encoder", "decoder")]
    except (KeyError, IndexError):
        return None
    fitting = [name for name in available_spaces() if _largest(HatSettings.read(name)) == sizes]
    space = (
        " or ".join(f'"{name}"' for name in fitting)
        or "of its own (" + ", ".join(f"{k} {v}" for k, v in sizes.items()) + ")"
    )
    target = "" if words[0] == words[1] else f", target_vocab_size={words[1]}"
    return f"hat_transformer with space {space}, vocab_size={words[0]}{target}"


def _sizes(spelt: Shapes) -> dict[str, Any]:
    layers = {
        side: 1 + max((int(key.split(".")[2]) for key in spelt if key.startswith(f"{side}.layers.")), default=-1)
        for side in ("encoder", "decoder")
    }
    return {
        **{f"{side}_embed_dim": spelt[f"{side}.embed_tokens.weight"][1] for side in layers},
        **{f"{side}_layer_num": n for side, n in layers.items()},
        **{f"{side}_ffn_embed_dim": spelt[f"{side}.layers.0.fc1.weight"][0] for side in layers},
        "qkv_dim": spelt["encoder.layers.0.self_attn.in_proj_weight"][0] // 3,
        "shared_embeddings": "decoder.embed_out" not in spelt,
    }


def _largest(settings: HatSettings) -> dict[str, Any]:
    names = [
        f"{side}_{what}" for what in ("embed_dim", "layer_num", "ffn_embed_dim") for side in ("encoder", "decoder")
    ]
    return {
        **{name: max(getattr(settings, name)) for name in names},
        "qkv_dim": settings.qkv_dim,
        "shared_embeddings": settings.shared_embeddings != "none",
    }
