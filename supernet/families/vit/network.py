"""Vision transformers as super-networks: elastic depth, width, heads, MLP sizes and resolution."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from supernet.architecture import Architecture
from supernet.families.vit import positions as embeddings
from supernet.families.vit import space
from supernet.families.vit.costs import count
from supernet.families.vit.stock import Stock
from supernet.importance import Batch, Importance, Loss, reorder
from supernet.layout import Layout
from supernet.network import SuperNetwork
from supernet.registry import register
from supernet.sharing import leading_slice
from supernet.space import Genes

_HEAD_DIM = 64


@register("vit")
class ElasticViT(SuperNetwork):
    """A weight-sharing vision transformer whose sub-networks are stock `timm` `VisionTransformer` models.

    Architectures are `{"num_layers": ..., "hidden_size": ..., "num_attention_heads": [...], "intermediate_size": [...],
    "r": ...}`: the first `num_layers` layers run; each has its own number of heads and of neurons in its MLP; `r` is
    the resolution in pixels. Sub-networks use the leading channels, heads and neurons, as in AutoFormer
    (arXiv:2107.00651); queries, keys and values are cut each by themselves, and the size of a head stays. Position
    embeddings of smaller images are resampled as timm resamples them.

    Args:
        model: a timm model such as "vit_small_patch16_224", which is the largest sub-network unless other values are
            given; None: a bare `VisionTransformer` of the given sizes (ViT-B/16 where none are).
        depths, hidden_sizes, heads, mlp_sizes, resolutions: what may vary; by default parts of the model's, and its own
            resolution alone.
        head_dim: channels of one head; by default the model's.
        mean, std: of the input channels, as the network's transforms normalise them; by default the model's.
        positions: what position embeddings start from: "random" small numbers, as in timm, or "sincos": waves, with
            which networks learn sooner from few images.
        pretrained: start from the weights that timm publishes for the model (downloads them).
        new_head: leave the classifier of a timm checkpoint out where it is for another number of classes.
        family: name in checkpoints and reports.
        settings: further arguments of timm: `num_classes`, `in_chans`, `patch_size`, `class_token`, `global_pool`,
            `qk_norm`, `init_values`, ...

    Raises ValueError for a model whose blocks, attention or pooling are not those of the standard vision transformer,
    and for values that it cannot have.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        depths: Sequence[int] | None = None,
        hidden_sizes: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        mlp_sizes: Sequence[int] | None = None,
        resolutions: Sequence[int] | None = None,
        head_dim: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        positions: Literal["random", "sincos"] = "random",
        pretrained: bool = False,
        new_head: bool = False,
        family: str = "vit",
        **settings: Any,
    ) -> None:
        depths, hidden_sizes, heads, mlp_sizes, resolutions = (
            None if values is None else space.ascending(name, values)
            for name, values in {
                "depths": depths,
                "hidden_sizes": hidden_sizes,
                "heads": heads,
                "mlp_sizes": mlp_sizes,
                "resolutions": resolutions,
            }.items()
        )
        self.family, self.new_head = family, new_head
        self.stock = stock = Stock(model, settings, {} if model else _bare(depths, hidden_sizes, head_dim))
        full = stock.template
        self.head_dim = head_dim or (stock.head_dim if model else _HEAD_DIM)
        width = max(hidden_sizes or (full.embed_dim,))
        n_heads = stock.num_attention_heads if width == full.embed_dim else max(1, width // self.head_dim)
        neurons = stock.intermediate_size * width // full.embed_dim
        self.space = space.space_of(
            depths=depths or space.default_depths(len(full.blocks)),
            hidden_sizes=hidden_sizes or self._default_hidden_sizes(full),
            heads=heads or space.default_heads(n_heads),
            mlp_sizes=mlp_sizes or space.default_mlp_sizes(neurons),
            resolutions=resolutions or full.patch_embed.img_size,
        )
        self._check(full)
        self.mean, self.std = (
            tuple(given or _per_channel(stock.pretrained_cfg.get(name, (0.5,)), stock.in_chans))
            for name, given in (("mean", mean), ("std", std))
        )
        super().__init__()
        self._start_positions(positions)
        if pretrained:
            self._load_pretrained()

    @property
    def name(self) -> str:
        """The family's name, as in checkpoints and reports."""
        return self.family

    @property
    def title(self) -> str:
        """The family and timm's name of the model."""
        return self.family if self.stock.model is None else f"{self.family} of {self.stock.model}"

    def build(self, architecture: Architecture) -> VisionTransformer:
        """A stock timm model; its `pretrained_cfg` names the input size and normalisation that its transforms use."""
        model = self.stock.build(**self._sizes(architecture))
        model.pretrained_cfg = model.default_cfg = self._pretrained_cfg(architecture)
        return model

    def example_inputs(self, architecture: Architecture, batch_size: int = 1) -> tuple[Tensor, ...]:
        """Normal images at the architecture's resolution."""
        shape = (batch_size, self.stock.in_chans, architecture["r"], architecture["r"])
        return (torch.randn(shape, generator=torch.Generator().manual_seed(0)),)

    def slice_shared(self, name: str, owner: nn.Module, shape: torch.Size) -> Tensor:
        """Leading slices: of each of the matrices that one holds, and of position embeddings for the size of image."""
        tensor = self._tensors[name]
        if name == "pos_embed":
            return leading_slice(self._resampled(tensor, shape[1]), shape)
        n_matrices = next((n for layer, n in self.stock.packed.items() if f".{layer}." in name), 1)
        if n_matrices == 1 or tensor.shape == shape:
            return super().slice_shared(name, owner, shape)
        matrices = tensor.unflatten(0, (n_matrices, -1))
        return leading_slice(matrices, (n_matrices, shape[0] // n_matrices, *shape[1:])).flatten(0, 1)

    def blocks_of(self, model: nn.Module) -> dict[str, list[nn.Module]]:
        """Patches, layers, and what is behind them: on all tokens, and on what they are pooled to."""
        slots = {
            "patches": [model.get_submodule("patch_embed")],
            "norm_pre": [model.get_submodule("norm_pre")],
            **{f"blocks.{i}": [block] for i, block in model.get_submodule("blocks").named_children()},
            "norm": [model.get_submodule("norm")],
            "pool": [pool] if isinstance(pool := getattr(model, "attn_pool", None), nn.Module) else [],
            "head": [model.get_submodule(name) for name in ("fc_norm", "head_drop", "head")],
        }
        idle = (nn.Identity, nn.Dropout)
        return {slot: parts for slot, parts in slots.items() if not all(isinstance(part, idle) for part in parts)}

    def block_genes(self) -> dict[str, list[str]]:
        """All see width and resolution; layers also their own heads and neurons."""
        ends = ["hidden_size", "r"]
        depth = ["num_layers"] if self.stock.settings.get("drop_path_rate") else []  # it rises up to the last layer
        layers = {
            f"blocks.{i}": [*depth, "hidden_size", f"num_attention_heads[{i}]", f"intermediate_size[{i}]", "r"]
            for i in range(max(self.space.choice("num_layers").values))
        }
        return {"patches": ends, "norm_pre": ends, **layers, "norm": ends, "pool": ends, "head": ends}

    def costs(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> dict[str, NDArray[np.int64]]:
        """Exact `macs` (one sample) and `params` of each architecture, in closed form."""
        return count(self.space, self.stock, self.head_dim, self.space.genes_of(architectures))

    def reorder(self, batches: Iterable[Batch], loss: Loss) -> Importance:
        """Puts heads and neurons of each layer in the order of their importance: sub-networks keep what matters.

        The largest sub-network computes the same as before. Do it before the training of the super-network, with the
        weights of a trained model: smaller sub-networks then start from what matters (DynaBERT, arXiv:2004.04037).

        Args:
            batches: images and labels; some hundred images are enough.
            loss: of scores and labels, a mean over the images, such as `task.loss`.

        Returns the importance of heads and neurons in their old order. Raises ValueError without batches.
        """
        return reorder(self.shared, *self.stock.units(self.shared), batches, loss)

    def published_layout(self) -> Layout:
        """timm's: the state dict of the largest sub-network, for any size of image."""
        return Layout("timm", {f"shared.{name}": name for name in self.shared.state_dict()}, fitted=self._fitted)

    def library_code(self, architecture: Architecture) -> str:
        """Python that builds the sub-network with timm alone and loads `model.safetensors`, for deployment bundles."""
        return self.stock.library_code(**self._sizes(architecture))

    # --- internals ---

    def _sizes(self, architecture: Architecture) -> dict[str, Any]:
        heads, neurons = (architecture[name][: architecture["num_layers"]] for name in space.LAYER_CHOICES)
        return {
            "layers": list(zip(heads, neurons, strict=True)),
            "head_dim": self.head_dim,
            "hidden_size": architecture["hidden_size"],
            "resolution": architecture["r"],
        }

    def _pretrained_cfg(self, architecture: Architecture) -> dict[str, Any]:
        full, resolution = self.stock.template, architecture["r"]
        return {
            **self.stock.pretrained_cfg,
            "architecture": self.stock.model or self.family,
            "input_size": (self.stock.in_chans, resolution, resolution),
            "mean": self.mean,
            "std": self.std,
            "num_classes": full.num_classes,
        }

    def _resampled(self, positions: Tensor, n_tokens: int) -> Tensor:
        """Position embeddings [1, tokens, width] for another square grid."""
        full = self.stock.template
        prefix = 0 if full.no_embed_class else full.num_prefix_tokens
        old, new = (math.isqrt(max(0, n - prefix)) for n in (positions.shape[1], n_tokens))
        if old == new or old**2 + prefix != positions.shape[1]:
            return positions
        found: Tensor = resample_abs_pos_embed(positions, [new, new], [old, old], num_prefix_tokens=prefix)
        return found

    def _fitted(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """A timm state dict with position embeddings for our images and, where we want a new one, our classifier."""
        own = self._tensors
        fitted = dict(found)
        if "pos_embed" in found and "pos_embed" in own and found["pos_embed"].ndim == 3:
            fitted["pos_embed"] = self._resampled(found["pos_embed"], own["pos_embed"].shape[1])
        for name in ("head.weight", "head.bias"):
            if self.new_head and name in own and (name not in found or found[name].shape != own[name].shape):
                fitted[name] = own[name].detach()
        return fitted

    def _default_hidden_sizes(self, full: VisionTransformer) -> Sequence[int]:
        return space.default_hidden_sizes(full.embed_dim) if full.attn_pool is None else (full.embed_dim,)

    def _check(self, full: VisionTransformer) -> None:
        widths = self.space.choice("hidden_size").values
        if full.attn_pool is not None and widths != (full.embed_dim,):
            raise ValueError(
                f"vit: hidden_sizes must be ({full.embed_dim},), got {widths}: an attention pool keeps its width"
            )
        patch, smallest = full.patch_embed.patch_size[0], self.space.choice("r").values[0]
        if smallest < patch:
            raise ValueError(f"vit: resolutions must be at least a patch of {patch} pixels, got {smallest}")

    def _start_positions(self, kind: str) -> None:
        if kind not in ("random", "sincos"):
            raise ValueError(f"vit: positions must be random or sincos, got {kind!r}")
        if kind == "random":
            return
        own = self._tensors.get("pos_embed")
        if own is None:
            raise ValueError("vit: positions='sincos' needs a model with position embeddings")
        side = self.largest["r"] // self.stock.template.patch_embed.patch_size[0]
        with torch.no_grad():
            own[:, own.shape[1] - side**2 :] = embeddings.sincos(side, own.shape[2])

    def _load_pretrained(self) -> None:
        if self.stock.model is None:
            raise ValueError("vit: pretrained weights need the name of a timm model: give model=...")
        published = self.stock.pretrained(self.largest["r"]).state_dict()
        own = self.shared.state_dict()
        if differing := [n for n in own if n not in published or own[n].shape != published[n].shape]:
            raise ValueError(
                f"vit: the largest sub-network must be {self.stock.model} itself to start from its weights: "
                f"{differing[0]} differs"
            )
        self.shared.load_state_dict(published)


def _bare(depths: Sequence[int] | None, hidden_sizes: Sequence[int] | None, head_dim: int | None) -> dict[str, int]:
    """Sizes of the largest sub-network where timm has no name for it."""
    width = max(hidden_sizes or (768,))
    heads, rest = divmod(width, head_dim or _HEAD_DIM)
    return {"embed_dim": width, "depth": max(depths or (12,)), "num_heads": 1 if rest else heads}


def _per_channel(values: Sequence[float], n_channels: int) -> Sequence[float]:
    """One value per channel: the mean where the model was made for another number of them."""
    return values if len(values) == n_channels else (sum(values) / len(values),) * n_channels
