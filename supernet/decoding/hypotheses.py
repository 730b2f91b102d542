"""Hypotheses of beam search, and how they are read back from the records of its steps."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Hypothesis:
    """A translation.

    Attributes:
        tokens: its words; end of sentence is the last.
        score: sum of the log-probabilities / number of tokens ** length penalty.
        positional_scores: log-probabilities of the tokens.
    """

    tokens: tuple[int, ...]
    score: float
    positional_scores: tuple[float, ...]


class Records:
    """What happened in each step to every beam, and which hypotheses ended; on the device of the model.

    Rows are sentences of the batch as it began, also after some were dropped from it. Hypotheses of a sentence stand in
    the order in which they ended.
    """

    def __init__(self, n_sentences: int, beam: int, device: torch.device) -> None:
        self._shape = n_sentences, beam
        self._device = device
        self._steps: list[tuple[Tensor, Tensor, Tensor]] = []
        self._ended = torch.zeros(n_sentences, beam + 1, dtype=torch.long, device=device)  # the last column is waste
        self._totals = torch.zeros(n_sentences, beam + 1, device=device)
        self.n_ended = torch.zeros(n_sentences, dtype=torch.long, device=device)

    def end(self, rows: Tensor | None, ended: Tensor, parents: Tensor, totals: Tensor) -> None:
        """Notes hypotheses that end in this step, as long as a sentence has room for them.

        Args:
            rows: the sentences; None: all.
            ended: which of the candidates do, shape (rows, beam), best first.
            parents: the beams that they go on from.
            totals: sums of log-probabilities.
        """
        beam = self._shape[1]
        n_before = self.n_ended if rows is None else self.n_ended[rows]
        column = (n_before[:, None] + ended.cumsum(dim=1) - 1).clamp(max=beam).masked_fill(~ended, beam)
        codes = len(self._steps) * beam + parents
        if rows is None:
            self._ended.scatter_(1, column, codes)
            self._totals.scatter_(1, column, totals)
            self.n_ended = (self.n_ended + ended.sum(dim=1)).clamp(max=beam)
        else:
            self._ended[rows[:, None], column] = codes
            self._totals[rows[:, None], column] = totals
            self.n_ended[rows] = (n_before + ended.sum(dim=1)).clamp(max=beam)

    def step(self, rows: Tensor | None, parents: Tensor, tokens: Tensor, totals: Tensor) -> None:
        """Notes how the beams go on: from which one, with which token, and the sums of log-probabilities."""
        if rows is None:
            self._steps.append((parents, tokens, totals))
            return
        whole = []
        for part in (parents, tokens, totals):
            empty = part.new_zeros(self._shape)
            empty[rows] = part
            whole.append(empty)
        self._steps.append((whole[0], whole[1], whole[2]))

    @property
    def tokens(self) -> Tensor:
        """What every beam went on with in every step, shape (steps, sentences, beam)."""
        return torch.stack([tokens for _, tokens, _ in self._steps])

    def hypotheses(self, length_penalty: float, end: int) -> list[list[Hypothesis]]:
        """The ended hypotheses of every sentence, best first; `end` is the token that ends them."""
        n_sentences, beam = self._shape
        history = [torch.stack(parts).cpu().numpy() for parts in zip(*self._steps, strict=True)] or [
            np.zeros((0, n_sentences, beam), dtype=np.int64)
        ] * 3
        ended, totals, n_ended = (t.cpu().numpy() for t in (self._ended, self._totals, self.n_ended))
        found = []
        for row in range(n_sentences):
            columns = [part[:, row] for part in history]
            hypotheses = [
                _read_back(columns, *divmod(int(ended[row, i]), beam), totals[row, i], length_penalty, end)
                for i in range(n_ended[row])
            ]
            found.append(sorted(hypotheses, key=lambda hypothesis: -hypothesis.score))
        return found


def _read_back(
    history: list[NDArray[np.generic]], step: int, parent: int, total: np.float32, length_penalty: float, end: int
) -> Hypothesis:
    """The hypothesis that ended in `step` and went on from beam `parent`."""
    parents, words, sums = history
    tokens, totals = [end], [total]
    for earlier in reversed(range(step)):
        tokens.append(int(words[earlier, parent]))
        totals.append(sums[earlier, parent])
        parent = int(parents[earlier, parent])
    score = float(total) / len(tokens) ** length_penalty
    steps = np.diff(np.array(totals[::-1], dtype=np.float32), prepend=np.float32(0.0))
    return Hypothesis(tuple(tokens[::-1]), score, tuple(steps.tolist()))
