"""timm's vision transformers: which of them can be made elastic, and how one with layers of its own is built."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import timm
from timm import create_model
from timm.layers import Attention, AttentionPoolLatent, GluMlp, Mlp, PatchEmbed, SwiGLU
from timm.models.vision_transformer import Block, ResPostBlock, VisionTransformer
from torch import nn

from supernet.building import build_on_meta
from supernet.families.vit.blocks import elastic_blocks
from supernet.importance import Units

_ELASTIC = {
    "embed_dim": "hidden_sizes",
    "depth": "depths",
    "num_heads": "heads",
    "mlp_ratio": "mlp_sizes",
    "img_size": "resolutions",
}
_SUPPORTED = (
    ("patch_embed", (PatchEmbed,)),
    ("blocks.0", (Block, ResPostBlock)),
    ("blocks.0.attn", (Attention,)),
    ("blocks.0.mlp", (Mlp, GluMlp, SwiGLU)),
    ("attn_pool", (AttentionPoolLatent, type(None))),
)

Layers = Sequence[tuple[int, int]]
"""For each layer the number of heads, and that of neurons between the linear layers of the MLP."""


@dataclass(frozen=True)
class Stock:
    """A vision transformer of timm whose sizes can be changed.

    Args:
        model: a name that `timm.create_model` knows, or None: a bare `VisionTransformer`.
        settings: further arguments of either; plain data, so that a bundle can name them.
        sizes: of a bare one, in timm's terms.
    """

    model: str | None
    settings: Mapping[str, Any]
    sizes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.settings.items():
            if name in _ELASTIC:
                raise ValueError(f"vit: {name!r} is what varies: give {_ELASTIC[name]} instead")
            if name == "block_fn" or not _is_plain(value):
                raise ValueError(
                    f"vit: {name}={value!r} is no plain data; timm takes layers by name too, as in norm_layer='rmsnorm'"
                )

    @cached_property
    def template(self) -> VisionTransformer:
        """The model as timm builds it, without weights.

        Raises ValueError for an unknown name, and for a model that is not a vision transformer of the usual parts.
        """
        if self.model is not None and not timm.is_model(self.model.partition(".")[0]):
            raise ValueError(f"vit: timm has no model {self.model!r}; timm.list_models('vit*') names those it has")
        try:
            model = build_on_meta(self._create)
        except (AssertionError, RuntimeError, TypeError) as error:  # unknown tags and settings, values that do not fit
            raise ValueError(f"vit: timm cannot make {self._title}: {error}") from error
        if type(model) is not VisionTransformer:
            raise ValueError(f"vit: {self._title} is a {type(model).__name__}, not a plain timm VisionTransformer")
        for path, kinds in _SUPPORTED:
            part = _part(model, path)
            if not isinstance(part, kinds):
                raise ValueError(
                    f"vit: {path} of {self._title} is a {type(part).__name__}, which cannot be made elastic"
                )
        embed: Any = model.patch_embed
        patch, image = embed.patch_size, embed.img_size
        if len(set(patch)) > 1 or len(set(image)) > 1:
            raise ValueError(f"vit: images and patches must be square, got images {image} and patches {patch}")
        return model

    @cached_property
    def pretrained_cfg(self) -> dict[str, Any]:
        """What timm knows of the model's input."""
        return dict(getattr(self.template, "pretrained_cfg", None) or {})

    @property
    def block(self) -> Any:
        """One of the equal blocks."""
        return self.template.blocks[0]

    @property
    def in_chans(self) -> int:
        """Channels of the images."""
        return int(self.template.get_submodule("patch_embed.proj").in_channels)

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return int(self.block.attn.head_dim)

    @property
    def num_attention_heads(self) -> int:
        """Heads of each block."""
        return int(self.block.attn.num_heads)

    @property
    def intermediate_size(self) -> int:
        """Neurons between the linear layers of each MLP."""
        return int(self.block.mlp.fc2.in_features)

    @property
    def packed(self) -> dict[str, int]:
        """Linear layers of a block whose rows are several matrices, one below the other -> how many."""
        return {"attn.qkv": 3} | ({"mlp.fc1": 2} if isinstance(self.block.mlp, GluMlp) else {})

    def units(self, model: VisionTransformer) -> tuple[list[Units], list[Units]]:
        """Heads and neurons of each layer of a model of this kind."""
        heads = [
            Units(b.attn.head_dim, [(b.attn.qkv, self.packed["attn.qkv"]), (b.attn.norm, 1)], b.attn.proj)
            for b in model.blocks
        ]
        neurons = [
            Units(
                1,
                [(part, self.packed.get(f"mlp.{n}", 1)) for n, part in b.mlp.named_children() if n != "fc2"],
                b.mlp.fc2,
            )
            for b in model.blocks
        ]
        return heads, neurons

    def build(self, layers: Layers, *, head_dim: int, hidden_size: int, resolution: int) -> VisionTransformer:
        """A model with fresh weights, of timm's classes throughout."""
        arguments = self._arguments(layers, head_dim, hidden_size, resolution)
        if ratios := self._ratios(layers, head_dim, hidden_size):
            arguments["block_fn"] = elastic_blocks(type(self.block), head_dim, ratios)
        return self._create(**arguments)

    def pretrained(self, resolution: int) -> VisionTransformer:
        """The model with the weights that timm downloads for it, adapted to its classes and resolution."""
        return self._create(pretrained=True, img_size=resolution)

    def library_code(self, layers: Layers, *, head_dim: int, hidden_size: int, resolution: int) -> str:
        """Python that builds the same model with timm alone and loads `model.safetensors`."""
        arguments = {**self.settings, **self._arguments(layers, head_dim, hidden_size, resolution)}
        given = [f"{name}={value!r}" for name, value in arguments.items()]
        kind = type(self.block).__name__
        imports, function = ["from timm.models.vision_transformer import VisionTransformer"], ""
        if self.model is not None:
            imports, given = ["import timm"], [repr(self.model), *given]
        if ratios := self._ratios(layers, head_dim, hidden_size):
            given.append(f"block_fn=elastic_blocks({kind}, {head_dim}, LAYERS)")
            imports = [
                "from collections.abc import Callable, Iterable",
                "from typing import Any",
                "",
                *imports,
                "from timm.layers import Attention",
                f"from timm.models.vision_transformer import {kind}",
                "from torch import nn",
            ]
            listed = "".join(f"    ({heads}, {ratio!r}),\n" for heads, ratio in ratios)
            function = f"\nLAYERS = [  # heads and MLP ratio\n{listed}]\n\n\n{inspect.getsource(elastic_blocks)}\n"
        return _LIBRARY_CODE.format(
            imports="\n".join([*imports, "from safetensors.torch import load_file"]),
            function=function,
            create="VisionTransformer" if self.model is None else "timm.create_model",
            arguments="".join(f"    {argument},\n" for argument in given),
        )

    # --- internals ---

    @property
    def _title(self) -> str:
        return self.model or "a bare VisionTransformer"

    def _create(self, **arguments: Any) -> VisionTransformer:
        given = {**self.settings, **self.sizes, **arguments}
        return VisionTransformer(**given) if self.model is None else create_model(self.model, **given)

    def _arguments(self, layers: Layers, head_dim: int, hidden_size: int, resolution: int) -> dict[str, Any]:
        """Arguments of timm: all of them where all layers are alike."""
        sizes: dict[str, Any] = {"img_size": resolution, "embed_dim": hidden_size, "depth": len(layers)}
        alike = not self._ratios(layers, head_dim, hidden_size)  # else these are an attention pool's
        heads, neurons = layers[0] if alike else (self.num_attention_heads, self.intermediate_size)
        return sizes | {"num_heads": heads, "mlp_ratio": self._ratio(neurons, hidden_size)}

    def _ratios(self, layers: Layers, head_dim: int, hidden_size: int) -> list[tuple[int, float]]:
        """Heads and MLP ratio of each layer; none where timm's own arguments say it."""
        own = (self.num_attention_heads, self.intermediate_size)
        alike = len(set(layers)) == 1 and layers[0][0] * head_dim == hidden_size
        if alike and (self.template.attn_pool is None or layers[0] == own):
            return []
        return [(heads, self._ratio(neurons, hidden_size)) for heads, neurons in layers]

    def _ratio(self, neurons: int, hidden_size: int) -> float:
        """The ratio of which timm makes this number of neurons."""
        rows = neurons * self.packed.get("mlp.fc1", 1)
        ratio = rows / hidden_size
        return ratio if int(hidden_size * ratio) == rows else (rows + 0.5) / hidden_size


_LIBRARY_CODE = """\
{imports}
{function}
model = {create}(
{arguments})
model.load_state_dict(load_file("model.safetensors"))
model.eval()
"""


def _part(model: nn.Module, path: str) -> Any:
    part: Any = model
    for name in path.split("."):
        part = part[int(name)] if name.isdigit() else getattr(part, name, None)
    return part


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))
