"""Beam search with an encoder and a decoder that run elsewhere, in ONNX Runtime for example."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from supernet.families.hat.model import check_source
from supernet.families.hat.sizes import Sizes
from supernet.parts import PartRun


class OutsideTranslation:
    """A model for `supernet.decoding.BeamSearch` whose parts run elsewhere.

    Args:
        sizes: of the model.
        encoder: runs the part `encoder` of `translation_parts`.
        decoder: runs the part `decoder`.
    """

    def __init__(self, sizes: Sizes, encoder: PartRun, decoder: PartRun) -> None:
        self.sizes, self._encoder, self._decoder = sizes, encoder, decoder

    @property
    def most_steps(self) -> int:
        """The most tokens that it can decode, end of sentence included."""
        return self.sizes.positions

    def check_source(self, src_tokens: Tensor) -> None:
        """Raises ValueError for sources that cannot be translated."""
        check_source(src_tokens, self.sizes)

    def encode(self, src_tokens: Tensor) -> Sequence[Tensor]:
        """What the encoder gives for sources of shape (sentences, positions)."""
        return self._encoder([src_tokens])

    def start(self, memory: Sequence[Tensor], beam: int, most_steps: int) -> "OutsideState":
        """Begins decoding."""
        return OutsideState(self.sizes, list(memory), beam)

    def step(self, tokens: Tensor, state: "OutsideState") -> Tensor:
        """Logits behind one more token of every hypothesis."""
        logits, *pasts = self._decoder([tokens, *state.begun(), *state.memory, *state.pasts])
        state.stepped(pasts)
        return logits


class OutsideState:
    """What the decoder gave and needs again."""

    def __init__(self, sizes: Sizes, memory: list[Tensor], beam: int) -> None:
        self.memory = memory
        self.pasts = [
            memory[0].new_zeros(len(memory[0]), layer.heads, 1, sizes.qkv // layer.heads)  # of a token that none sees
            for layer in sizes.decoder.layers
            for _ in ("keys", "values")
        ]
        self._n_steps = 0
        self._own = torch.eye(beam).log().expand(len(memory[0]), 1, beam, beam)  # 0 within, -inf elsewhere
        self._visible = memory[0].new_full((len(memory[0]), 1, beam, 1), -math.inf)

    def begun(self) -> tuple[Tensor, Tensor]:
        """Begins a step: how many there were before, and what its tokens see of those."""
        return torch.tensor([self._n_steps]), self._visible

    def stepped(self, pasts: list[Tensor]) -> None:
        """Ends a step: keys and values now hold its tokens, each of which its hypothesis sees."""
        self.pasts = pasts
        self._visible = torch.cat([self._visible, self._own], dim=3)
        self._n_steps += 1

    def reorder(self, parents: Tensor) -> None:
        """Each hypothesis goes on from hypothesis `parents[sentence, i]` of its sentence."""
        self._visible = self._visible.gather(2, parents[:, None, :, None].expand_as(self._visible))

    def keep(self, sentences: Tensor) -> None:
        """Drops all sentences but these (indices)."""
        self.memory = [tensor[sentences] for tensor in self.memory]
        self.pasts = [tensor[sentences] for tensor in self.pasts]
        self._visible, self._own = self._visible[sentences], self._own[sentences]
