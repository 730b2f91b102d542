"""Settings of a HAT super-network: what may vary, what it shares, what one inference is; read from YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import yaml

from supernet.families.hat.published import LISTS, translated
from supernet.space import Choice, SearchSpace, within_depth

_SHARING = ("all", "decoder", "none")
_SIDES = ("encoder", "decoder")


@dataclass(frozen=True, kw_only=True)
class HatSettings:
    """A space of translation Transformers in HAT's vocabulary; values of choices in any order.

    Args:
        encoder_embed_dim, decoder_embed_dim: channels between layers.
        encoder_layer_num, decoder_layer_num: layers.
        encoder_ffn_embed_dim, decoder_ffn_embed_dim: neurons of feed-forward networks, layer by layer.
        encoder_self_attention_heads, decoder_self_attention_heads, decoder_ende_attention_heads: layer by layer; heads
            divide `qkv_dim` between them.
        decoder_arbitrary_ende_attn: layer by layer; -1, 1, 2, ...: attends to the last 1, 2, 3, ... encoder layers.
        qkv_dim: channels of queries, keys and values, all heads together.
        shared_embeddings: word tables that are one: "all" (source, target, output), "decoder" (target, output), "none".
        max_positions: most tokens of a source or a target.
        source_length, target_length: tokens (end of sentence included) of the inference whose costs and latency count.
        beam: hypotheses of that inference.
        dropout, attention_dropout, activation_dropout: in training, of the largest sub-network.

    Raises ValueError for values that do not go together.
    """

    encoder_embed_dim: tuple[int, ...]
    encoder_layer_num: tuple[int, ...]
    encoder_ffn_embed_dim: tuple[int, ...]
    encoder_self_attention_heads: tuple[int, ...]
    decoder_embed_dim: tuple[int, ...]
    decoder_layer_num: tuple[int, ...]
    decoder_ffn_embed_dim: tuple[int, ...]
    decoder_self_attention_heads: tuple[int, ...]
    decoder_ende_attention_heads: tuple[int, ...]
    decoder_arbitrary_ende_attn: tuple[int, ...]
    qkv_dim: int
    shared_embeddings: str
    max_positions: int = 1024
    source_length: int = 30
    target_length: int = 30
    beam: int = 4
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.type == tuple[int, ...]):
            object.__setattr__(self, name, _ascending(name, getattr(self, name)))
        for name in ("qkv_dim", "max_positions", "source_length", "target_length", "beam"):
            _positive(name, getattr(self, name))
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)!r}")
        self._check_heads()
        self._check_memory()
        self._check_sharing()

    def _check_heads(self) -> None:
        for name in (name for name in LISTS if name.endswith("heads")):
            for n_heads in getattr(self, name):
                if self.qkv_dim % n_heads:
                    raise ValueError(f"{name}: {n_heads} heads do not divide qkv_dim={self.qkv_dim}")

    def _check_memory(self) -> None:
        deepest = max(self.encoder_layer_num)
        for value in self.decoder_arbitrary_ende_attn:
            if value == 0 or value < -1 or value >= deepest:
                raise ValueError(
                    f"decoder_arbitrary_ende_attn: {value} is neither -1 (the last encoder layer) nor a number of "
                    f"further ones in 1..{deepest - 1}"
                )

    def _check_sharing(self) -> None:
        if self.shared_embeddings not in _SHARING:
            raise ValueError(f"shared_embeddings: {self.shared_embeddings!r} is not one of {_SHARING}")
        if self.shared_embeddings == "all" and max(self.encoder_embed_dim) != max(self.decoder_embed_dim):
            raise ValueError(
                "shared_embeddings: all needs encoder and decoder of the same largest width, got "
                f"{max(self.encoder_embed_dim)} and {max(self.decoder_embed_dim)}"
            )
        if max(self.source_length, self.target_length) > self.max_positions:
            raise ValueError(f"source_length and target_length must not exceed max_positions={self.max_positions}")

    @classmethod
    def read(cls, space: "str | Path | Mapping[str, Any] | HatSettings") -> Self:
        """Settings by name (see `available_spaces`), from a YAML file, or from a mapping.

        Raises ValueError for an unknown name, and for unknown, missing and wrong settings.
        """
        if isinstance(space, cls):
            return space
        content: Any = space if isinstance(space, Mapping) else _file_content(str(space))
        what = "the space" if isinstance(space, Mapping) else f"space {str(space)!r}"
        if not isinstance(content, Mapping):
            raise ValueError(f"{what} must be a mapping of settings, got {content!r}")
        known = {field.name: field for field in fields(cls)}
        if unknown := [name for name in content if name not in known]:
            raise ValueError(f"{what} has an unknown setting {unknown[0]!r}: there are {', '.join(known)}")
        try:
            return cls(**content)
        except TypeError as error:
            raise ValueError(f"{what} is incomplete or has values of a wrong type: {error}") from error

    def search_space(self) -> SearchSpace:
        """What may vary, in HAT's names; `validate` takes its nested configurations."""
        choices = []
        for side in _SIDES:
            depth = f"{side}_layer_num"
            n_layers = max(getattr(self, depth))
            choices += [Choice(f"{side}_embed_dim", getattr(self, f"{side}_embed_dim"))]
            choices += [Choice(depth, getattr(self, depth))]
            choices += [
                Choice(name, getattr(self, name), n_layers, within_depth(depth, [n_layers]))
                for name in LISTS
                if name.startswith(side)
            ]
        translate = partial(
            translated,
            defaults={choice.name: choice.values[0] for choice in choices},
            repeats={choice.name: choice.repeat for choice in choices},
        )
        return SearchSpace(*choices, translate=translate)


def available_spaces() -> list[str]:
    """Names of the spaces that come with this package."""
    return sorted(path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml"))


def _folder() -> Any:
    return files("supernet.families.hat") / "spaces"


def _file_content(space: str) -> Any:
    if space in available_spaces():
        return yaml.safe_load((_folder() / f"{space}.yaml").read_text(encoding="utf-8"))
    path = Path(space).expanduser()
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        raise ValueError(
            f"unknown space {space!r}: it is neither one of {', '.join(available_spaces())} nor a YAML file"
        )
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error


def _positive(name: str, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")


def _ascending(name: str, values: Any) -> tuple[int, ...]:
    listed = [values] if isinstance(values, int) else list(values)
    if not listed or len(set(listed)) != len(listed):
        raise ValueError(f"{name} needs distinct values, at least one, got {values!r}")
    for value in listed:
        if name != "decoder_arbitrary_ende_attn":
            _positive(name, value)
        elif type(value) is not int:
            raise ValueError(f"{name}: {value!r} is not an integer")
    return tuple(sorted(listed))
