"""Transformer blocks of timm with a number of heads and a hidden size of their own; bundles quote this function."""

from collections.abc import Callable, Iterable
from typing import Any

from timm.layers import Attention
from torch import nn


def elastic_blocks(kind: type[nn.Module], head_dim: int, layers: Iterable[tuple[int, float]]) -> Callable[..., Any]:
    """The `block_fn` of a VisionTransformer whose layers differ: `layers` are their heads and MLP ratios, in order."""
    remaining = iter(layers)

    def block(dim: int, num_heads: int, mlp_ratio: float, **settings: Any) -> nn.Module:
        heads, ratio = next(remaining)
        whole = heads * head_dim == dim
        made = kind(dim, num_heads=heads if whole else 1, mlp_ratio=ratio, **settings)
        if not whole:
            made.attn = Attention(
                dim,
                num_heads=heads,
                attn_head_dim=head_dim,
                qkv_bias=settings["qkv_bias"],
                qk_norm=settings["qk_norm"],
                scale_norm=settings["scale_attn_norm"],
                proj_bias=settings["proj_bias"],
                attn_drop=settings["attn_drop"],
                proj_drop=settings["proj_drop"],
                norm_layer=settings["norm_layer"],
            )
        return made

    return block
