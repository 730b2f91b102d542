"""Costs of HAT's translation Transformers in closed form, in this package's convention and in the authors'."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supernet.families.hat.published import n_attended
from supernet.families.hat.settings import HatSettings
from supernet.space import Genes, SearchSpace
from supernet.tally import indices_of

Counts = NDArray[np.int64]


@dataclass
class Totals:
    """What a sub-network has and does in one pass over a source and a target, arrays of shape (n_architectures,).

    Attributes:
        layers: parameters of all layers.
        tables: parameters of the word tables, each shared one once.
        linear: multiply-accumulates of linear layers, that to the words included.
        projection: those of the layer to the words alone.
        products: multiply-accumulates of queries with keys and of weights with values (full rectangles).
        normed: outputs of layer norms.
        scaled: products of embeddings and queries with their scales, and of positions, as the authors' tracer counts.
    """

    layers: Counts
    tables: Counts
    linear: Counts
    projection: Counts
    products: Counts
    normed: Counts
    scaled: Counts


def totals(settings: HatSettings, space: SearchSpace, genes: Genes, words: tuple[int, int]) -> Totals:
    """Counts of sub-networks with vocabularies of `words` (source, target) on `source_length` and `target_length`."""
    at = indices_of(space, genes)
    values = {name: np.array(space.choice(name).values)[index] for name, index in at.items()}
    counted = _Counter(settings, values)
    return counted.result(words)


class _Counter:
    """Adds up layer by layer."""

    def __init__(self, settings: HatSettings, values: Mapping[str, Counts]) -> None:
        self.settings, self.values = settings, values
        self.encoder, self.decoder = values["encoder_embed_dim"][:, 0], values["decoder_embed_dim"][:, 0]
        zeros = np.zeros(len(self.encoder), dtype=np.int64)
        self.params, self.linear, self.products, self.normed = (zeros.copy() for _ in range(4))
        source, target = settings.source_length, settings.target_length
        self.scaled = source * (self.encoder + 1) + target * (self.decoder + 1)
        self.exists = np.ones(len(zeros), dtype=bool)

    def result(self, words: tuple[int, int]) -> Totals:
        source, target, qkv = self.settings.source_length, self.settings.target_length, self.settings.qkv_dim
        for layer, ffn in enumerate(self.values["encoder_ffn_embed_dim"].T):
            self.exists = layer < self.values["encoder_layer_num"][:, 0]
            self.attention(self.encoder, source, source)
            self.dense(self.encoder, 3 * qkv, source)
            self.feed_forward(self.encoder, ffn, source)
        attended = np.vectorize(n_attended, otypes=[np.int64])(self.values["decoder_arbitrary_ende_attn"])
        for layer, ffn in enumerate(self.values["decoder_ffn_embed_dim"].T):
            self.exists = layer < self.values["decoder_layer_num"][:, 0]
            self.attention(self.decoder, target, target)
            self.dense(self.decoder, 3 * qkv, target)
            self.attention(self.decoder, target, attended[:, layer] * source)
            self.dense(self.decoder, qkv, target)
            self.dense(self.encoder, 2 * qkv, attended[:, layer] * source)
            self.feed_forward(self.decoder, ffn, target)
        projection = target * self.decoder * words[1]
        return Totals(
            self.params,
            self._tables(words),
            self.linear + projection,
            projection,
            self.products,
            self.normed,
            self.scaled,
        )

    def dense(self, inputs: Counts, outputs: Counts | int, positions: Counts | int) -> None:
        """A linear layer with bias."""
        self.params += self.exists * (inputs + 1) * outputs
        self.linear += self.exists * inputs * outputs * positions

    def norm(self, width: Counts, positions: int) -> None:
        """A layer norm."""
        self.params += self.exists * 2 * width
        self.normed += self.exists * width * positions

    def attention(self, width: Counts, queries: int, keys: Counts | int) -> None:
        """The products, the projection behind them and the layer norm; not the projections before them."""
        qkv = self.settings.qkv_dim
        self.products += self.exists * np.int64(2 * queries * qkv) * keys
        self.scaled += self.exists * np.int64(queries * qkv + 3)
        self.dense(np.full_like(width, qkv), width, queries)
        self.norm(width, queries)

    def feed_forward(self, width: Counts, ffn: Counts, positions: int) -> None:
        """Both layers and the layer norm."""
        self.dense(width, ffn, positions)
        self.dense(ffn, width, positions)
        self.norm(width, positions)

    def _tables(self, words: tuple[int, int]) -> Counts:
        source, target = words
        if self.settings.shared_embeddings == "all":
            return source * np.maximum(self.encoder, self.decoder)
        n_target_tables = 1 if self.settings.shared_embeddings == "decoder" else 2
        return source * self.encoder + n_target_tables * target * self.decoder
