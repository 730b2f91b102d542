"""What a user of a translation model waits for: encoding a source, then decoding it with a beam."""

from collections.abc import Mapping

import torch
from torch import Tensor

from supernet.decoding import BeamSearch, TranslationModel
from supernet.families.hat.model import TranslationTransformer
from supernet.families.hat.outside import OutsideTranslation
from supernet.families.hat.parts import translation_parts
from supernet.parts import Part, PartedInference, PartRun


class Translation(PartedInference):
    """Beam search over a fixed number of steps: `src_tokens` into as many tokens as `prev_output_tokens` has.

    It is what `BeamSearch` does, without early stop, so that it takes the same time whatever the weights are.
    """

    def __init__(self, model: TranslationTransformer, beam: int) -> None:
        super().__init__()
        self.model = model
        self.beam = beam

    def forward(self, src_tokens: Tensor, prev_output_tokens: Tensor) -> Tensor:
        """Tokens that the beams went on with at each step, shape (steps, sentences, beam)."""
        if src_tokens.is_meta:
            return self._shapes(src_tokens, int(prev_output_tokens.shape[1]))
        return self._search(self.model, src_tokens, prev_output_tokens)

    def parts(self) -> Mapping[str, Part]:
        """Encoder and decoder."""
        return translation_parts(self.model)

    def through(self, runs: Mapping[str, PartRun], *inputs: Tensor) -> Tensor:
        """As `forward`, with encoder and decoder run elsewhere."""
        return self._search(OutsideTranslation(self.model.sizes, runs["encoder"], runs["decoder"]), *inputs)

    def _search(self, model: TranslationModel, src_tokens: Tensor, prev_output_tokens: Tensor) -> Tensor:
        n_words = int(prev_output_tokens.shape[1]) - 1
        search = BeamSearch(beam=self.beam, min_length=n_words, max_length=n_words)
        with torch.no_grad():
            return search.decode(model, src_tokens, [n_words] * len(src_tokens)).tokens

    def _shapes(self, src_tokens: Tensor, n_steps: int) -> Tensor:
        """The same steps where there are no values to choose by: what sees only shapes need not wait for a search."""
        state = self.model.start(self.model.encode(src_tokens), self.beam, n_steps)
        tokens = src_tokens.new_empty(len(src_tokens), self.beam)
        for _ in range(n_steps):
            self.model.step(tokens, state)
        return tokens.expand(n_steps, -1, -1)
