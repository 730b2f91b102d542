"""Multiply-accumulates and parameters of vision transformers in closed form."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from supernet.blocks import count_macs
from supernet.building import WithoutValues
from supernet.families.vit.stock import Stock
from supernet.space import Genes, SearchSpace
from supernet.tally import Counts, Tally, indices_of


def count(space: SearchSpace, stock: Stock, head_dim: int, genes: Genes) -> dict[str, NDArray[np.int64]]:
    """Exact `macs` (one sample; attention over all pairs of tokens) and `params`, each of shape (n_architectures,)."""
    at = {name: np.array(space.choice(name).values)[found] for name, found in indices_of(space, genes).items()}
    full, tally = stock.template, Tally(len(genes))
    width, resolution = at["hidden_size"][:, 0], at["r"][:, 0]
    patches = (resolution // full.patch_embed.patch_size[0]) ** 2
    tokens = patches + full.num_prefix_tokens
    _count_ends(tally, full, width, patches)
    if full.attn_pool is not None:
        _count_pool(tally, full, tokens if full.pool_include_prefix else patches)
    for layer in range(at["num_attention_heads"].shape[1]):
        exists = at["num_layers"][:, 0] > layer
        heads = at["num_attention_heads"][:, layer]
        _count_attention(tally, stock.block.attn, head_dim, heads, width, tokens, exists)
        _count_mlp(tally, stock, width, at["intermediate_size"][:, layer], tokens, exists)
        between = _per_channel(
            full.embed_dim, *(m for n, m in stock.block.named_children() if n not in ("attn", "mlp"))
        )
        tally.add(params=between * width, when=exists)
    return tally.result()


def _count_ends(tally: Tally, full: Any, width: Counts, patches: Counts) -> None:
    """What is before and behind the blocks."""
    patch = full.patch_embed.proj
    tally.linear(patch.weight[0].numel(), width, patches, bias=patch.bias is not None)
    norms = (full.patch_embed.norm, full.norm_pre, full.norm, full.fc_norm)
    tally.add(params=_per_channel(full.embed_dim, *norms) * width)
    tokens = full.num_prefix_tokens
    if full.pos_embed is not None:
        tokens = tokens + patches + (0 if full.no_embed_class else full.num_prefix_tokens)
    tally.add(params=tokens * width)
    if isinstance(full.head, nn.Linear):
        pooled = full.global_pool != ""
        tally.linear(width, full.num_classes, 1 if pooled else full.num_prefix_tokens + patches)


def _count_attention(
    tally: Tally,
    attention: Any,
    head_dim: int,
    heads: Counts,
    width: Counts,
    tokens: Counts,
    exists: NDArray[np.bool_],
) -> None:
    inner = heads * head_dim
    tally.linear(width, 3 * inner, tokens, bias=attention.qkv.bias is not None, when=exists)
    tally.linear(inner, width, tokens, bias=attention.proj.bias is not None, when=exists)
    tally.add(macs=2 * tokens**2 * inner, when=exists)  # scores, and the sum that they weight
    tally.add(params=_per_channel(attention.proj.in_features, attention.norm) * inner, when=exists)
    tally.add(params=_per_channel(attention.head_dim, attention.q_norm, attention.k_norm) * head_dim, when=exists)


def _count_mlp(
    tally: Tally, stock: Stock, width: Counts, neurons: Counts, tokens: Counts, exists: NDArray[np.bool_]
) -> None:
    mlp = stock.block.mlp
    for name, layer in mlp.named_children():
        if name == "fc2":
            tally.linear(neurons, width, tokens, bias=layer.bias is not None, when=exists)
        elif isinstance(layer, nn.Linear):
            rows = stock.packed.get(f"mlp.{name}", 1) * neurons
            tally.linear(width, rows, tokens, bias=layer.bias is not None, when=exists)
    tally.add(params=_per_channel(stock.intermediate_size, mlp.norm) * neurons, when=exists)


def _count_pool(tally: Tally, full: Any, tokens: Counts) -> None:
    """An attention pool, whose width does not vary."""
    pool, macs = full.attn_pool.eval(), np.zeros_like(tokens)
    for n in np.unique(tokens):
        with WithoutValues(on_meta=True):
            inputs = pool.latent.new_zeros((1, int(n), full.embed_dim))
        macs[tokens == n] = count_macs(pool, (inputs,))
    tally.add(macs, _per_channel(1, pool))


def _per_channel(width: int, *modules: Any) -> int:
    """Learnable values of layers that have as many for each of their channels."""
    return sum(int(p.numel()) for module in modules for p in module.parameters()) // width
