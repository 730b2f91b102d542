"""What decides the structure of a translation Transformer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerSizes:
    """What may differ between layers.

    Args:
        ffn: neurons of the feed-forward network.
        heads: of self-attention.
        memory_heads: of a decoder layer's attention to the encoder.
        memory: the encoder layers (indices) whose outputs a decoder layer attends to, one behind the other.
    """

    ffn: int
    heads: int
    memory_heads: int = 0
    memory: tuple[int, ...] = ()


@dataclass(frozen=True)
class Side:
    """Encoder or decoder.

    Args:
        words: size of its vocabulary.
        width: channels between layers.
        full_width: that of the super-network. Positions are made at this width before the first `width` channels are
            taken, and dropout is scaled by `width / full_width`.
        layers: from the first to the last.
    """

    words: int
    width: int
    full_width: int
    layers: tuple[LayerSizes, ...]


@dataclass(frozen=True)
class Sizes:
    """Everything that decides the structure of a `TranslationTransformer`.

    Args:
        encoder, decoder: the two sides.
        qkv: channels of queries, of keys and of values, all heads together.
        shared: which word tables are one: "all" (source, target, output), "decoder" (target, output) or "none".
        positions: most tokens of a source or of a target.
        dropout, activation_dropout: of embeddings and residuals, and of neurons, at full width.
        attention_dropout: of attention weights.
    """

    encoder: Side
    decoder: Side
    qkv: int
    shared: str
    positions: int
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
