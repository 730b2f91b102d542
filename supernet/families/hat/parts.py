"""Encoder and decoder step as separate modules, for runtimes other than PyTorch."""

import torch
from torch import Tensor, nn

from supernet.families.hat.layers import EOS, PAD, UNK
from supernet.families.hat.model import Memory, TranslationTransformer
from supernet.parts import BATCH, Part

_SENTENCES, _BEAM, _TOKENS, _STEPS = 2, 3, 7, 2  # of the example inputs


class EncoderPart(nn.Module):
    """Source tokens to the mask of their padding, and keys and values of each decoder layer's attention to them."""

    def __init__(self, model: TranslationTransformer) -> None:
        super().__init__()
        self.encoder, self.projections = model.encoder, model.decoder.memories

    def forward(self, src_tokens: Tensor) -> tuple[Tensor, ...]:
        """The mask, then keys and values layer by layer."""
        memory: Memory = self.encoder(src_tokens)
        projected = [projection(*memory.seen_by(projection)) for projection in self.projections]
        return memory.mask, *(tensor for keys, values, _ in projected for tensor in (keys, values))


class DecoderPart(nn.Module):
    """One more token of every hypothesis to logits, and to keys and values of all tokens so far."""

    def __init__(self, model: TranslationTransformer) -> None:
        super().__init__()
        self.decoder = model.decoder
        self.n_memories = [len(layer.memory) for layer in model.sizes.decoder.layers]

    def forward(self, tokens: Tensor, position: Tensor, visible: Tensor, mask: Tensor, *keys_values: Tensor) -> Tensor:
        """Logits, then keys and values layer by layer.

        Args:
            tokens: of shape (sentences, beam).
            position: number of the tokens before, shape (1).
            visible: 0 where a hypothesis sees an earlier token, -inf elsewhere; shape (sentences, 1, beam, tokens).
            mask: as the encoder gives it.
            keys_values: of the memory, layer by layer, as the encoder gives them; then those of the earlier tokens.
        """
        half = len(keys_values) // 2
        memories, pasts = keys_values[:half], keys_values[half:]
        x = self.decoder.embed(tokens, (position + PAD + 1).expand_as(tokens))
        own = torch.eye(tokens.shape[1], dtype=mask.dtype).log()  # 0 within, -inf elsewhere
        visible = torch.cat([visible, own.expand(tokens.shape[0], 1, -1, -1)], dim=-1)
        present: list[Tensor] = []
        for i, layer in enumerate(self.decoder.layers):
            here = slice(2 * i, 2 * i + 2)
            own_mask = torch.cat([mask] * self.n_memories[i], dim=-1)
            x, keys, values = layer(x, *memories[here], own_mask, *pasts[here], visible)
            present += [keys, values]
        return self.decoder.output(x), *present  # type: ignore[return-value] # a tuple, which exporters take apart


def translation_parts(model: TranslationTransformer) -> dict[str, Part]:
    """The parts `encoder` and `decoder`, for any number of sentences, tokens, hypotheses and steps."""
    words = model.sizes.encoder.words
    src_tokens = torch.randint(UNK + 1, words, (_SENTENCES, _TOKENS), generator=torch.Generator().manual_seed(0))
    src_tokens[:, -1], src_tokens[0, 0] = EOS, PAD
    layers = range(len(model.decoder.layers))
    memories = [f"memory_{kind}_{i}" for i in layers for kind in ("keys", "values")]
    pasts = [f"past_{kind}_{i}" for i in layers for kind in ("keys", "values")]
    present = [f"{kind}_{i}" for i in layers for kind in ("keys", "values")]
    encoder = EncoderPart(model).eval()
    with torch.no_grad():
        mask, *projected = encoder(src_tokens)
    n_past = _STEPS * _BEAM + 1
    inputs = {
        "tokens": torch.full((_SENTENCES, _BEAM), UNK + 1),
        "position": torch.tensor([_STEPS]),
        "visible": torch.zeros(_SENTENCES, 1, _BEAM, n_past),
        "mask": mask,
        **dict(zip(memories, projected, strict=True)),
    }
    for i, layer in zip(layers, model.sizes.decoder.layers, strict=True):
        shape = (_SENTENCES, layer.heads, n_past, model.sizes.qkv // layer.heads)
        inputs |= {f"past_keys_{i}": torch.zeros(shape), f"past_values_{i}": torch.zeros(shape)}
    inputs = {name: inputs[name] for name in ("tokens", "position", "visible", "mask", *memories, *pasts)}
    attended = [len(layer.memory) for layer in model.sizes.decoder.layers for _ in ("keys", "values")]
    lengths = ("source_length" if n == 1 else f"{n}*source_length" for n in attended)
    of_memory = {name: {0: BATCH, 2: length} for name, length in zip(memories, lengths, strict=True)}
    of_memory["mask"] = {0: BATCH, 3: "source_length"}
    given: dict[str, dict[int, str]] = {
        "tokens": {0: BATCH, 1: "beam"},
        "visible": {0: BATCH, 2: "beam", 3: "past_length"},
        **dict.fromkeys(pasts, {0: BATCH, 2: "past_length"}),
        "logits": {0: BATCH, 1: "beam"},
        **dict.fromkeys(present, {0: BATCH, 2: "present_length"}),
    }
    most = {"source_length": model.sizes.positions}
    source = {"src_tokens": {0: BATCH, 1: "source_length"}}
    return {
        "encoder": Part(encoder, {"src_tokens": src_tokens}, ("mask", *memories), of_memory | source, most),
        "decoder": Part(DecoderPart(model).eval(), inputs, ("logits", *present), of_memory | given, most),
    }
