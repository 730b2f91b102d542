"""Batched beam search as fairseq's: its hypotheses and scores, on any device."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from supernet.decoding.hypotheses import Hypothesis, Records
from supernet.decoding.model import State, TranslationModel

PAD, EOS = 1, 2
"""Padding, and end of sentence, from which the decoder starts, too."""

_DROP_BELOW = 0.75  # share of sentences still open at which the others are dropped from the batch


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """Finds the best translations of a batch of sentences.

    A sentence is done when `beam` of its hypotheses have ended (early stop). A hypothesis ends when end of sentence is
    among the best `beam` continuations of all beams. Padding is never chosen.

    Args:
        beam: hypotheses that are kept per sentence; 1 is greedy search.
        length_penalty: scores are divided by the number of tokens to its power; 0: sums of log-probabilities.
        min_length: the fewest words before end of sentence.
        max_length: the most words, beside `max_length_per_token` times the tokens of the source.
        max_length_per_token: see there.
    """

    beam: int = 5
    length_penalty: float = 0.6
    min_length: int = 1
    max_length: int = 200
    max_length_per_token: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("beam", 1), ("min_length", 0), ("max_length", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
        if self.max_length_per_token < 0 or self.max_length_per_token + self.max_length == 0:
            raise ValueError("max_length and max_length_per_token must allow at least one word, and not be negative")
        if self.max_length_per_token == 0 and self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} exceeds max_length {self.max_length}")

    @torch.inference_mode()
    def __call__(self, model: TranslationModel, src_tokens: Tensor) -> list[list[Hypothesis]]:
        """For every sentence at most `beam` hypotheses, best first.

        Args:
            model: in eval mode; runs where its weights are.
            src_tokens: int64 of shape (sentences, positions), on the same device, padded on either side.

        Raises ValueError for sources that are empty, too long for the model, or hold tokens outside its vocabulary.
        """
        model.check_source(src_tokens)
        return self.decode(model, src_tokens, self._limits(model, src_tokens)).hypotheses(self.length_penalty, EOS)

    def decode(self, model: TranslationModel, src_tokens: Tensor, limits: list[int]) -> Records:
        """All steps, without a look at the sources; each sentence gets at most `limits[sentence]` words."""
        state = model.start(model.encode(src_tokens), self.beam, max(limits) + 1)
        return _Search(self, limits, src_tokens.device).run(model, state)

    def _limits(self, model: TranslationModel, src_tokens: Tensor) -> list[int]:
        """The most words of each sentence."""
        most = model.most_steps - 1
        if not self.max_length_per_token:
            return [min(self.max_length, most)] * len(src_tokens)
        lengths = src_tokens.ne(PAD).sum(dim=1).tolist()
        limits = [int(self.max_length_per_token * length + self.max_length) for length in lengths]
        return [min(max(limit, self.min_length, 1), most) for limit in limits]


def beam_search(model: TranslationModel, src_tokens: Tensor, **settings: Any) -> list[list[Hypothesis]]:
    """`BeamSearch(**settings)(model, src_tokens)`."""
    return BeamSearch(**settings)(model, src_tokens)


class _Search:
    """One batch on its way: which sentences are still in it, and the sums of log-probabilities of their beams."""

    def __init__(self, settings: BeamSearch, limits: list[int], device: torch.device) -> None:
        self._settings = settings
        self._records = Records(len(limits), settings.beam, device)
        self._shortest, self._longest = min(limits), max(limits)
        self._limits = torch.full((len(limits),), self._longest, device=device)
        if self._shortest < self._longest:  # copied to the device, which a CUDA graph could not capture
            self._limits = torch.tensor(limits, device=device)
        self._rows: Tensor | None = None  # the sentences that are left; None: all
        self._totals = torch.zeros(len(limits), settings.beam, device=device)
        self._totals[:, 1:] = -math.inf  # all beams begin alike: only the first counts

    def run(self, model: TranslationModel, state: State) -> Records:
        """Decodes until all sentences are done."""
        tokens = torch.full(self._totals.shape, EOS, dtype=torch.long, device=self._totals.device)
        for step in range(self._longest + 1):
            totals, parents, words = self._candidates(model.step(tokens, state), step)
            parents, tokens = self._advance(totals, parents, words)
            if step == self._longest:
                break
            if step >= min(self._settings.min_length, self._shortest):
                open_ = self._open()
                n_open = int(open_.sum())
                if n_open == 0:
                    break
                if n_open <= _DROP_BELOW * len(tokens):
                    kept = open_.nonzero()[:, 0]
                    self._keep(kept)
                    state.keep(kept)
                    parents, tokens = parents[kept], tokens[kept]
            state.reorder(parents)
        return self._records

    def _candidates(self, logits: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The best 2 * beam continuations of every sentence: sums, beams that they go on from, tokens."""
        beam, n_words = logits.shape[1:]
        scores = logits.log_softmax(dim=2, dtype=torch.float32)
        ending = scores[:, :, EOS].clone()
        scores[:, :, PAD] = -math.inf
        if step < self._settings.min_length:
            scores[:, :, EOS] = -math.inf
        if step >= self._shortest:  # sentences at their limit can only end
            at_limit = (self._limits <= step)[:, None, None]
            scores.masked_fill_(at_limit, -math.inf)
            scores[:, :, EOS] = torch.where(at_limit[:, :, 0], ending, scores[:, :, EOS])
        best, words = scores.topk(min(2 * beam, n_words), dim=2)
        totals = (best + self._totals[:, :, None]).flatten(1)
        totals, chosen = totals.topk(min(2 * beam, totals.shape[1]), dim=1)
        return totals, chosen // best.shape[2], words.flatten(1).gather(1, chosen)

    def _advance(self, totals: Tensor, parents: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Ends hypotheses; which beams the open ones go on from, and with which tokens."""
        beam = self._settings.beam
        ending = words.eq(EOS)
        ended = ending[:, :beam] & totals[:, :beam].isfinite()
        self._records.end(self._rows, ended, parents[:, :beam], totals[:, :beam])
        ranks = torch.arange(words.shape[1], device=words.device) + words.shape[1] * ending
        order = ranks.topk(beam, dim=1, largest=False).indices  # the best that do not end
        totals = totals.masked_fill(ending, -math.inf)
        self._totals, parents, words = (t.gather(1, order) for t in (totals, parents, words))
        self._records.step(self._rows, parents, words, self._totals)
        return parents, words

    def _open(self) -> Tensor:
        """Which sentences go on: those with room for more hypotheses and beams that may become such."""
        n_ended = self._records.n_ended if self._rows is None else self._records.n_ended[self._rows]
        return (n_ended < self._settings.beam) & self._totals.isfinite().any(dim=1)

    def _keep(self, kept: Tensor) -> None:
        self._rows = kept if self._rows is None else self._rows[kept]
        self._totals, self._limits = self._totals[kept], self._limits[kept]
