"""Translates tokens by beam search, in numpy; encoder and decoder run elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

PAD, EOS = 1, 2

Model = Callable[[dict[str, Any]], list[Any]]


class Translator:
    """Beam search as fairseq's, sentence by sentence.

    The hypotheses of a sentence stand where positions stand in training: each step adds `beam` positions, and a mask
    says which of them a hypothesis sees. So keys and values stay where they are when hypotheses change places.

    Args:
        encoder: `src_tokens` -> `mask`, and keys and values of each decoder layer's memory.
        decoder: `tokens`, `position`, `visible`, `mask`, `memory_*` and `past_*` -> logits, and keys and values so far.
        search: `beam`, `length_penalty`, `min_length`, `max_length`, `max_length_per_token`.
        pasts: heads, and channels of a head, of each decoder layer's self-attention.
        positions: the most tokens of a source or a translation.
    """

    def __init__(
        self,
        encoder: Model,
        decoder: Model,
        search: dict[str, Any],
        pasts: list[list[int]],
        positions: int,
    ) -> None:
        self.encoder, self.decoder, self.search = encoder, decoder, search
        self.pasts, self.positions = pasts, positions

    def translate(self, source: list[int], n_words: int | None = None) -> tuple[list[int], float]:
        """The best hypothesis (its last token is end of sentence) and its score.

        Args:
            source: tokens, of which end of sentence is the last.
            n_words: makes all hypotheses that long, for measuring; None: as long as they are.

        Raises ValueError for a source without words, or with more tokens than there are positions.
        """
        if len(source) < 2:
            raise ValueError("nothing to translate: the source is empty")
        if len(source) > self.positions:
            raise ValueError(f"the source has {len(source)} tokens, the model takes {self.positions}: split it")
        least, most = self._limits(len(source)) if n_words is None else (n_words, n_words)
        beam = int(self.search["beam"])
        state = _State(self, source, beam)
        totals = np.where(np.arange(beam) == 0, 0.0, -np.inf)  # all begin alike: only the first counts
        words: list[list[int]] = [[] for _ in range(beam)]
        tokens = [EOS] * beam
        found: list[tuple[list[int], float]] = []
        for step in range(most + 1):
            scores = totals[:, None] + _allowed(state.step(tokens), step, least, most)
            best = _best(scores.reshape(-1), 2 * beam)
            parents, chosen = np.unravel_index(best, scores.shape)
            sums = scores.reshape(-1)[best]
            for parent, word, total in list(zip(parents, chosen, sums))[:beam]:
                if word == EOS and np.isfinite(total) and len(found) < beam:
                    penalty = (len(words[parent]) + 1) ** self.search["length_penalty"]
                    found.append(([*words[parent], EOS], float(total) / penalty))
            ending = chosen == EOS
            going = np.argsort(ending, kind="stable")[:beam]  # the best that do not end
            totals, parents, tokens = np.where(ending, -np.inf, sums)[going], parents[going], chosen[going].tolist()
            if len(found) >= beam or not np.isfinite(totals).any():
                break
            words = [[*words[parent], token] for parent, token in zip(parents, tokens)]
            state.reorder(parents)
        return max(found, key=lambda hypothesis: hypothesis[1])

    def log_probabilities(self, source: list[int], target: list[int]) -> Any:
        """Log-probability of each token of a translation, given the source and the tokens before it."""
        state, previous = _State(self, source, 1), [EOS, *target[:-1]]
        return np.array([_log_softmax(state.step([p]))[0, token] for p, token in zip(previous, target)])

    def _limits(self, n_tokens: int) -> tuple[int, int]:
        """The fewest and the most words."""
        most = int(self.search["max_length_per_token"] * n_tokens + self.search["max_length"])
        least = int(self.search["min_length"])
        return least, min(max(most, least, 1), self.positions - 1)


class _State:
    """Keys, values and visibility of all hypotheses of one sentence."""

    def __init__(self, translator: Translator, source: list[int], beam: int) -> None:
        mask, *memory = translator.encoder({"src_tokens": np.array([source], dtype=np.int64)})
        self.decoder, self.n_steps = translator.decoder, 0
        self.fixed = {"mask": mask, **_named("memory", memory)}
        self.pasts: list[Any] = []
        for heads, channels in translator.pasts:
            unseen = np.zeros((1, heads, 1, channels), dtype=mask.dtype)  # of a token before the first, which none sees
            self.pasts += [unseen, unseen]
        self.own = np.where(np.eye(beam) > 0, 0.0, -np.inf).astype(mask.dtype)[None, None]
        self.visible = np.full_like(self.own[..., :1], -np.inf)

    def step(self, tokens: list[int]) -> Any:
        """Logits behind one more token of every hypothesis, shape (beam, words)."""
        new = {"tokens": np.array([tokens], dtype=np.int64), "position": np.array([self.n_steps], dtype=np.int64)}
        logits, *self.pasts = self.decoder({**self.fixed, **new, "visible": self.visible, **_named("past", self.pasts)})
        self.visible = np.concatenate([self.visible, self.own], axis=3)
        self.n_steps += 1
        return logits[0]

    def reorder(self, parents: Any) -> None:
        """Hypothesis i goes on from hypothesis `parents[i]`."""
        self.visible = self.visible[:, :, parents]


def _named(what: str, arrays: list[Any]) -> dict[str, Any]:
    return {f"{what}_{('keys', 'values')[i % 2]}_{i // 2}": array for i, array in enumerate(arrays)}


def _allowed(logits: Any, step: int, least: int, most: int) -> Any:
    """Log-probabilities, -inf for what may not follow."""
    found = _log_softmax(logits)
    ending = found[:, EOS].copy()
    found[:, PAD] = -np.inf
    if step < least:
        found[:, EOS] = -np.inf
    if step >= most:
        found[:] = -np.inf
        found[:, EOS] = ending
    return found


def _best(scores: Any, n: int) -> Any:
    """Indices of the `n` highest scores, highest first."""
    found = np.argpartition(-scores, n)[:n] if n < len(scores) else np.arange(len(scores))
    return found[np.argsort(-scores[found], kind="stable")]


def _log_softmax(logits: Any) -> Any:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def scored(translator: Translator, inputs: dict[str, Any]) -> Any:
    """Log-probabilities of the tokens of given translations, 0 at padding; as PyTorch's in a bundle's sample.

    Args:
        translator: to ask.
        inputs: `src_tokens`, padded on the left, and `target_tokens`, padded on the right; shape (sentences, tokens).
    """
    found = np.zeros(inputs["target_tokens"].shape)
    for row, source, target in zip(found, inputs["src_tokens"], inputs["target_tokens"]):
        words = target[target != PAD].tolist()
        row[: len(words)] = translator.log_probabilities(source[source != PAD].tolist(), words)
    return found
