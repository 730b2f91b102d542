"""HAT's weight-sharing Transformer for translation (arXiv:2005.14187)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from supernet.architecture import Architecture
from supernet.families.hat.checkpoints import layout
from supernet.families.hat.counts import Totals, totals
from supernet.families.hat.inference import Translation
from supernet.families.hat.layers import EOS, UNK
from supernet.families.hat.model import TranslationTransformer
from supernet.families.hat.parts import translation_parts
from supernet.families.hat.published import LISTS, n_attended
from supernet.families.hat.settings import HatSettings
from supernet.families.hat.sizes import LayerSizes, Side, Sizes
from supernet.layout import Layout
from supernet.network import SuperNetwork
from supernet.parts import Part
from supernet.registry import register
from supernet.space import Genes


class HatTransformer(SuperNetwork):
    """An encoder-decoder Transformer with elastic widths, neurons, heads, depth and attention to the encoder.

    Architectures have HAT's names, `{"encoder_embed_dim": 640, "encoder_ffn_embed_dim": [...], ...}`; `space.validate`
    takes its nested configurations. Sub-networks are `TranslationTransformer`s: `model(src_tokens,
    prev_output_tokens)` gives logits. Smaller ones use the first layers, channels and neurons; queries, keys and values
    keep all their channels, which the heads divide between them; positions are made at full width.

    Args:
        settings: what may vary.
        vocab_size: words of the source, and of the target where `target_vocab_size` is None.
        target_vocab_size: words of the target.
        title: names the super-network in messages.

    Raises ValueError for vocabularies that are too small, or differ where all embeddings are shared.
    """

    def __init__(
        self, settings: HatSettings, *, vocab_size: int, target_vocab_size: int | None = None, title: str = "a space"
    ) -> None:
        self.settings = settings
        self.words = (vocab_size, vocab_size if target_vocab_size is None else target_vocab_size)
        if any(type(words) is not int or words <= UNK + 1 for words in self.words):
            raise ValueError(f"vocab_size must be an integer above {UNK + 1}, got {' and '.join(map(str, self.words))}")
        if settings.shared_embeddings == "all" and len(set(self.words)) > 1:
            raise ValueError(
                f"this space shares all embeddings: source and target have one vocabulary, got sizes {self.words}"
            )
        self.space = settings.search_space()
        self._title = title
        super().__init__()

    @property
    def name(self) -> str:
        """The family's name, as in checkpoints and reports."""
        return "hat_transformer"

    @property
    def title(self) -> str:
        """The family, its space and its vocabulary."""
        words = f"{self.words[0]} words" if len(set(self.words)) == 1 else "{} and {} words".format(*self.words)
        return f"{self.name} of {self._title} with {words}"

    def build(self, architecture: Architecture) -> TranslationTransformer:
        """A plain translation Transformer."""
        return TranslationTransformer(self.sizes(architecture))

    def sizes(self, architecture: Mapping[str, Any]) -> Sizes:
        """The structure of a sub-network."""
        settings = self.settings
        deepest, last = max(settings.encoder_layer_num), architecture["encoder_layer_num"] - 1
        encoder = [
            LayerSizes(ffn, heads)
            for ffn, heads in zip(
                architecture["encoder_ffn_embed_dim"], architecture["encoder_self_attention_heads"], strict=True
            )
        ]
        decoder = [
            LayerSizes(
                ffn, heads, memory_heads, tuple(min(deepest - 1 - i, last) for i in range(n_attended(arbitrary)))
            )
            for ffn, heads, memory_heads, arbitrary in zip(*(architecture[n] for n in LISTS[2:]), strict=True)
        ]
        return Sizes(
            encoder=self._side("encoder", architecture, encoder),
            decoder=self._side("decoder", architecture, decoder),
            qkv=settings.qkv_dim,
            shared=settings.shared_embeddings,
            positions=settings.max_positions,
            dropout=settings.dropout,
            attention_dropout=settings.attention_dropout,
            activation_dropout=settings.activation_dropout,
        )

    def _side(self, side: str, architecture: Mapping[str, Any], layers: Sequence[LayerSizes]) -> Side:
        width, n_layers = architecture[f"{side}_embed_dim"], architecture[f"{side}_layer_num"]
        full_width = max(getattr(self.settings, f"{side}_embed_dim"))
        return Side(self.words[side == "decoder"], width, full_width, tuple(layers[:n_layers]))

    def example_inputs(self, architecture: Architecture, batch_size: int = 1) -> tuple[Tensor, ...]:
        """Random sentences: sources of `source_length` tokens, targets of `target_length` that begin with `EOS`."""
        generator = torch.Generator().manual_seed(0)
        lengths = self.settings.source_length, self.settings.target_length
        source, target = (
            torch.randint(UNK + 1, words, (batch_size, length), generator=generator)
            for words, length in zip(self.words, lengths, strict=True)
        )
        source[:, -1] = EOS
        target[:, 0] = EOS
        return source, target

    def inference(self, model: nn.Module, architecture: Architecture) -> nn.Module:
        """Encoding, and decoding with the settings' beam; the latency that counts is that of a whole translation."""
        if not isinstance(model, TranslationTransformer):
            raise ValueError(f"{self.name} measures translation Transformers, got a {type(model).__name__}")
        return Translation(model, self.settings.beam)

    def parts(self, model: nn.Module, architecture: Architecture) -> Mapping[str, Part]:
        """Encoder and decoder step."""
        if not isinstance(model, TranslationTransformer):
            raise ValueError(f"{self.name} exports translation Transformers, got a {type(model).__name__}")
        return translation_parts(model)

    def blocks_of(self, model: nn.Module) -> dict[str, list[nn.Module]]:
        """Embeddings, layers, the decoder's projections of the encoder's outputs, and the projection to words."""
        stacks = ("encoder.layers", "decoder.memories", "decoder.layers")
        layers = {f"{s}.{name}": [m] for s in stacks for name, m in model.get_submodule(s).named_children()}
        ends = ("encoder.embed", "decoder.embed", "decoder.output")
        return {name: [model.get_submodule(name)] for name in ends} | layers

    def block_genes(self) -> dict[str, list[str]]:
        """A layer sees its side's width and what is elastic in it; a decoder layer also how long its memory is."""
        widths = ["encoder_embed_dim", "decoder_embed_dim"]
        genes = {name: widths for name in ("encoder.embed", "decoder.embed", "decoder.output")}
        for i in range(max(self.settings.encoder_layer_num)):
            genes[f"encoder.layers.{i}"] = ["encoder_embed_dim", *(f"{name}[{i}]" for name in LISTS[:2])]
        for i in range(max(self.settings.decoder_layer_num)):
            memory = [f"{name}[{i}]" for name in ("decoder_ende_attention_heads", "decoder_arbitrary_ende_attn")]
            genes[f"decoder.memories.{i}"] = ["encoder_embed_dim", "encoder_layer_num", *memory]
            genes[f"decoder.layers.{i}"] = ["decoder_embed_dim", *(f"{name}[{i}]" for name in LISTS[2:])]
        return genes

    def totals(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> Totals:
        """What `costs` and `published_costs` are made of."""
        return totals(self.settings, self.space, self.space.genes_of(architectures), self.words)

    def costs(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> dict[str, NDArray[np.int64]]:
        """Exact `macs` and `params` of each architecture, in closed form, shape (n_architectures,).

        `params` are all learnable values, shared tables counted once; `macs` those of linear layers and attention, the
        projection to words included, for one sentence of `source_length` and `target_length` tokens with all target
        positions at once. See `published_costs` for the authors' numbers.
        """
        found = self.totals(architectures)
        return {"macs": found.linear + found.products, "params": found.layers + found.tables}

    def published_costs(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> dict[str, NDArray[np.int64]]:
        """`params` and `flops` of each architecture as HAT reports them, shape (n_architectures,).

        `params` are those of all layers, without word tables. `flops` are twice the multiplications that its tracer
        counts (linear layers, attention, layer norms, scales) without the projection to words.
        """
        found = self.totals(architectures)
        macs = found.linear - found.projection + found.products + found.normed + found.scaled
        return {"params": found.layers, "flops": 2 * macs}

    def published_layout(self) -> Layout | None:
        """The authors', of fairseq; None where encoder and decoder are not equally wide."""
        return layout(self.settings, list(self._tensors))


@register("hat_transformer")
def hat_transformer(
    space: str | Path | Mapping[str, Any] | HatSettings,
    vocab_size: int,
    target_vocab_size: int | None = None,
    **changes: Any,
) -> HatTransformer:
    """HAT's translation super-network.

    Args:
        space: a name ("wmt14_en_de", "wmt14_en_fr", "wmt19_en_de", "iwslt14_de_en", "multi30k_en_de"), a YAML file, or
            a mapping with the settings of `HatSettings`.
        vocab_size: words of the source, and of the target where `target_vocab_size` is None.
        target_vocab_size: words of the target, in spaces that do not share all embeddings.
        changes: settings that replace those of the space (`beam`, `source_length`, `dropout`, ...).
    """
    settings = HatSettings.read(space)
    title = f"space {Path(space).stem}" if isinstance(space, (str, Path)) else "a space"
    if changes:
        settings = replace(settings, **changes)
    return HatTransformer(settings, vocab_size=vocab_size, target_vocab_size=target_vocab_size, title=title)
