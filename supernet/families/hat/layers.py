"""Layers of a post-norm Transformer for translation, as HAT's (arXiv:2005.14187)."""

import math

import torch
from torch import Tensor, nn
from torch.jit import is_tracing  # type: ignore[attr-defined] # public, but not in its list of names
from torch.nn import functional

from supernet.families.hat.sizes import LayerSizes, Side, Sizes

PAD, EOS, UNK = 1, 2, 3
"""Padding, end of sentence (the decoder starts from it, too) and unknown word, as in fairseq's dictionaries."""

_FEW = 8  # rows up to which a product with a large table is quicker as (table x rows) than as (rows x table)


class Embedding(nn.Module):
    """Scaled words plus sinusoidal positions; the table of words may be wider than what is used of it."""

    positions: Tensor

    def __init__(self, sizes: Sizes, side: Side, table_width: int) -> None:
        super().__init__()
        self.width = side.width
        self.scale = math.sqrt(side.width)
        self.dropout = sizes.dropout * side.width / side.full_width
        self.weight = nn.Parameter(torch.empty(side.words, table_width))
        table = sinusoids(sizes.positions + PAD + 1, side.full_width)[:, : side.width]
        self.register_buffer("positions", table, persistent=False)
        nn.init.normal_(self.weight, std=side.full_width**-0.5)
        with torch.no_grad():
            self.weight[PAD].fill_(0.0)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Channels of tokens at positions (as `positions_of` numbers them), in one more dimension."""
        x = functional.embedding(tokens, self.weight, PAD)[..., : self.width] * self.scale
        x = x + functional.embedding(positions, self.positions)
        return functional.dropout(x, self.dropout, self.training)


class Output(nn.Module):
    """Logits of words; the table may be wider than what is used of it."""

    def __init__(self, n_words: int, table_width: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.empty(n_words, table_width))
        nn.init.normal_(self.weight, std=table_width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of words, shape (..., words), for channels of shape (..., width)."""
        weight = self.weight[:, : self.width]
        if x.device.type == "cpu" and 1 < x[..., 0].numel() <= _FEW and not is_tracing():
            # as one beam search on a CPU: reading the large table takes the time, and this order reads it once
            logits = torch.mm(weight, x.flatten(0, -2).t()).t().contiguous()
            return logits.view(*x.shape[:-1], len(weight))
        return functional.linear(x, weight)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU in between, around them the residual and a layer norm."""

    def __init__(self, sizes: Sizes, side: Side, n_neurons: int) -> None:
        super().__init__()
        self.dropout = sizes.dropout * side.width / side.full_width
        self.activation_dropout = sizes.activation_dropout * side.width / side.full_width
        self.fc1 = _linear(side.width, n_neurons)
        self.fc2 = _linear(n_neurons, side.width)
        self.norm = nn.LayerNorm(side.width)

    def forward(self, x: Tensor) -> Tensor:
        """Channels of positions, shape (sentences, positions, width), to as many."""
        neurons = functional.dropout(functional.relu(self.fc1(x)), self.activation_dropout, self.training)
        normed: Tensor = self.norm(x + functional.dropout(self.fc2(neurons), self.dropout, self.training))
        return normed


class Attention(nn.Module):
    """Attention of queries to keys and values that are given, with output projection, residual and layer norm."""

    def __init__(self, sizes: Sizes, side: Side, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.dropout = dropout
        self.attention_dropout = sizes.attention_dropout
        self.out_proj = _linear(sizes.qkv, side.width)
        self.norm = nn.LayerNorm(side.width)

    def attended(self, x: Tensor, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """`x` with what its queries found; without a mask, each position sees itself and those before it."""
        rate = self.attention_dropout if self.training else 0.0
        found = functional.scaled_dot_product_attention(queries, keys, values, mask, rate, is_causal=mask is None)
        found = self.out_proj(found.transpose(1, 2).flatten(2))
        normed: Tensor = self.norm(x + functional.dropout(found, self.dropout, self.training))
        return normed


class SelfAttention(Attention):
    """Attention of a sequence to itself."""

    def __init__(self, sizes: Sizes, side: Side, n_heads: int, dropout: float) -> None:
        super().__init__(sizes, side, n_heads, dropout)
        self.in_proj = _linear(side.width, 3 * sizes.qkv)

    def projected(self, x: Tensor) -> list[Tensor]:
        """Queries, keys and values, each of shape (sentences, heads, positions, channels of a head)."""
        return _heads(self.in_proj(x), 3, self.n_heads)


class MemoryAttention(Attention):
    """Attention to keys and values of the encoder's outputs."""

    def __init__(self, sizes: Sizes, side: Side, n_heads: int, dropout: float) -> None:
        super().__init__(sizes, side, n_heads, dropout)
        self.q_proj = _linear(side.width, sizes.qkv)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """`x` with what it found in the memory, same shape.

        Args:
            x: positions of the target, shape (sentences, positions, width).
            keys: of the memory, as `MemoryProjection` gives them.
            values: likewise.
            mask: likewise.
        """
        (queries,) = _heads(self.q_proj(x), 1, self.n_heads)
        return self.attended(x, queries, keys, values, mask)


class MemoryProjection(nn.Module):
    """Keys and values of the encoder's outputs for one decoder layer, which may attend to several encoder layers."""

    def __init__(self, sizes: Sizes, layer: LayerSizes) -> None:
        super().__init__()
        self.memory = layer.memory
        self.n_heads = layer.memory_heads
        self.kv_proj = _linear(sizes.encoder.width, 2 * sizes.qkv)

    def forward(self, mask: Tensor, *outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values of shape (sentences, heads, positions, channels of a head), and their mask.

        Args:
            mask: of the source.
            outputs: of the encoder layers that are attended to.
        """
        keys, values = _heads(self.kv_proj(torch.cat(outputs, dim=1)), 2, self.n_heads)
        return keys, values, torch.cat([mask] * len(outputs), dim=-1)


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward network."""

    def __init__(self, sizes: Sizes, layer: LayerSizes) -> None:
        super().__init__()
        side = sizes.encoder
        # as HAT trains: dropout behind the encoder's self-attention is not scaled with the width
        self.self_attn = SelfAttention(sizes, side, layer.heads, sizes.dropout)
        self.ffn = FeedForward(sizes, side, layer.ffn)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The layer's output for `x` of shape (sentences, positions, width), same shape.

        `mask` is added to attention scores: -inf at padding.
        """
        queries, keys, values = self.self_attn.projected(x)
        x = self.self_attn.attended(x, queries, keys, values, mask)
        fed: Tensor = self.ffn(x)
        return fed


class DecoderLayer(nn.Module):
    """Self-attention, attention to the encoder, and feed-forward network."""

    def __init__(self, sizes: Sizes, layer: LayerSizes) -> None:
        super().__init__()
        side = sizes.decoder
        dropout = sizes.dropout * side.width / side.full_width
        self.self_attn = SelfAttention(sizes, side, layer.heads, dropout)
        self.memory_attn = MemoryAttention(sizes, side, layer.memory_heads, dropout)
        self.ffn = FeedForward(sizes, side, layer.ffn)

    def forward(
        self,
        x: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
        memory_mask: Tensor,
        past_keys: Tensor | None = None,
        past_values: Tensor | None = None,
        visible: Tensor | None = None,
        first: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The layer's output, and keys and values of all positions so far.

        Args:
            x: new positions, shape (sentences, positions, width).
            memory_keys: as `MemoryProjection` gives them.
            memory_values: likewise.
            memory_mask: likewise.
            past_keys: of earlier positions; None: the sequence begins with `x`, and each position sees itself and
                those before it.
            past_values: likewise.
            visible: added to attention scores: which positions, earlier and new, each new one sees.
            first: where in `past_keys` and `past_values` the new positions are written; None: they are appended.
        """
        queries, keys, values = self.self_attn.projected(x)
        if past_keys is not None and past_values is not None:
            keys, values = _extended(past_keys, keys, first), _extended(past_values, values, first)
        x = self.self_attn.attended(x, queries, keys, values, visible)
        x = self.memory_attn(x, memory_keys, memory_values, memory_mask)
        return self.ffn(x), keys, values


def sinusoids(n_positions: int, width: int) -> Tensor:
    """Table of positions: sines in the first half of the channels, cosines in the second; zero at `PAD`."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * (-math.log(10000.0) / (half - 1)))
    angles = torch.arange(n_positions, dtype=torch.float32)[:, None] * frequencies
    table = torch.cat([angles.sin(), angles.cos(), angles.new_zeros(n_positions, width % 2)], dim=1)
    table[PAD] = 0.0
    return table


def _linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def _heads(x: Tensor, n_parts: int, n_heads: int) -> list[Tensor]:
    """Parts side by side in the last dimension, each of shape (sentences, heads, positions, channels of a head)."""
    return list(x.unflatten(-1, (n_parts, n_heads, -1)).permute(2, 0, 3, 1, 4).unbind())


def _extended(past: Tensor, new: Tensor, first: int | None) -> Tensor:
    if first is None or is_tracing():  # a graph does not write in place
        return torch.cat([past[:, :, :first], new], dim=2)
    past[:, :, first : first + new.shape[2]] = new
    return past[:, :, : first + new.shape[2]]
