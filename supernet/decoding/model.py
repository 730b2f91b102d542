"""What beam search asks of a model."""

from typing import Any, Protocol

from torch import Tensor


class State(Protocol):
    """What a model keeps of a batch of sentences between steps, `beam` hypotheses each."""

    def reorder(self, parents: Tensor) -> None:
        """Hypothesis `i` of a sentence goes on from `parents[sentence, i]`; shape (sentences, beam)."""
        ...

    def keep(self, sentences: Tensor) -> None:
        """Drops all sentences but these (indices, shape (n,))."""
        ...


class TranslationModel(Protocol):
    """An encoder-decoder model that decodes step by step."""

    def check_source(self, src_tokens: Tensor) -> None:
        """Raises ValueError for a batch that the model cannot translate."""
        ...

    def encode(self, src_tokens: Tensor) -> Any:
        """What the decoder needs of a batch of sources, shape (sentences, positions)."""
        ...

    def start(self, memory: Any, beam: int, most_steps: int) -> State:
        """Begins decoding."""
        ...

    def step(self, tokens: Tensor, state: Any) -> Tensor:
        """Logits behind one more token of every hypothesis: (sentences, beam) -> (sentences, beam, words)."""
        ...

    @property
    def most_steps(self) -> int:
        """The most tokens that it can decode, end of sentence included."""
        ...
