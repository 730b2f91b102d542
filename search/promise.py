"""Which candidates promise to grow the fronts the most, chosen one by one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from search.improvement import Region
from search.pareto import non_dominated
from search.surrogate import Belief, Model, Surrogate

Floats = NDArray[np.float64]
_SHORTLIST = 200
_MARGIN = 0.1
_LIKELY = np.log(0.5)
_LEAST = np.log(1e-6)  # of the volume of a front


def promising(surrogate: Surrogate, measured: Belief, pending: Belief, candidates: Belief, n: int) -> NDArray[np.intp]:
    """Rows of up to `n` candidates, in order of choice; those that promise next to nothing are left out."""
    fronts = [
        Front.of(measured, candidates, columns, view).with_points(pending.mean)
        for view, columns in enumerate(surrogate.problem.optimised)
    ]
    short = np.argsort(-_score(fronts, candidates, candidates.std), kind="stable")[:_SHORTLIST]
    listed = _Conditioned.of(surrogate, candidates[short].joined(pending))
    for row in range(len(short), len(listed.belief)):
        listed.measure(row)
    least = _LEAST if any(front.any_feasible for front in fronts) else -np.inf
    chosen: list[int] = []
    while len(chosen) < min(n, len(short)):
        score = _score(fronts, listed.belief, listed.std)[: len(short)]
        score[chosen] = -np.inf
        best = int(np.argmax(score))
        if score[best] == -np.inf or score[best] < least:
            break
        chosen.append(best)
        fronts = [front.with_points(listed.belief.mean[[best]]) for front in fronts]
        listed.measure(best)
    return short[chosen]


def _score(fronts: Sequence["Front"], belief: Belief, std: Floats) -> Floats:
    """Logarithm of what measuring is expected to bring to all fronts together."""
    return np.asarray(np.logaddexp.reduce([front.promise(belief, std) for front in fronts], axis=0))


@dataclass(frozen=True, eq=False)
class Front:
    """What the feasible measured architectures dominate in one view, seen from a little beyond the ends of its front.

    Args:
        region: of the view's objectives.
        columns: these among all objectives.
        view: its column of `Belief.log_feasible`.
        size: volume between the reference and the best of each objective, which makes the fronts of views comparable.
        any_feasible: whether there is anything on the front.
    """

    region: Region
    columns: NDArray[np.intp]
    view: int
    size: float
    any_feasible: bool

    @classmethod
    def of(cls, measured: Belief, candidates: Belief, columns: NDArray[np.intp], view: int) -> Self:
        """From what was measured; seen from where it would end with those candidates that surely are on the front.

        That is by one standard deviation. Else a front that begins narrow could only creep beyond its ends.
        """
        mean = measured.mean[:, columns]
        feasible = mean[measured.log_feasible[:, view] == 0]
        front = feasible[non_dominated(feasible, ["min"] * len(columns))] if len(feasible) else feasible
        likely = candidates[candidates.log_feasible[:, view] >= _LIKELY]
        sure = np.concatenate([front, (likely.mean + likely.std)[:, columns]])
        ahead = sure[non_dominated(sure, ["min"] * len(columns))]
        seen = np.concatenate([front, ahead]) if len(front) else mean
        width = np.ptp(seen, axis=0)
        width = np.where(width > 0, width, np.ptp(mean, axis=0))
        width = np.where(width > 0, width, np.maximum(np.abs(seen).max(axis=0), 1.0))
        region = Region.of(seen.max(axis=0) + _MARGIN * width, front)
        return cls(region, columns, view, float(np.prod(width)), bool(len(feasible)))

    def with_points(self, minimised: Floats) -> Self:
        """As if these had been measured and were feasible; shape (n, n_objectives) of the whole problem."""
        region = self.region
        for point in minimised[:, self.columns]:
            region = region.with_point(point)
        return replace(self, region=region)

    def promise(self, belief: Belief, std: Floats) -> Floats:
        """Logarithm of the expected improvement; while nothing is feasible, of the chance to change that."""
        log_feasible = belief.log_feasible[:, self.view]
        if not self.any_feasible:
            return log_feasible
        gain = self.region.expected_improvement(belief.mean[:, self.columns], std[:, self.columns])
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(gain / self.size) + log_feasible)


@dataclass
class _Conditioned:
    """How sure beliefs would be, had some of the architectures been measured with the predicted result."""

    belief: Belief
    std: Floats
    models: dict[int, Model]
    covariances: dict[int, Floats]

    @classmethod
    def of(cls, surrogate: Surrogate, belief: Belief) -> "_Conditioned":
        models = surrogate.models if len(belief) else {}
        covariances = {column: model.covariance(belief.genes) for column, model in models.items()}
        return cls(belief, belief.std.copy(), models, covariances)

    def measure(self, row: int) -> None:
        """From now on, this one has been measured too."""
        for column, covariance in self.covariances.items():
            variance = covariance[row, row] + self.models[column].noise ** 2
            if variance > 0:
                covariance -= np.outer(covariance[row], covariance[row]) / variance
                self.std[:, column] = np.sqrt(np.maximum(np.diag(covariance), 0.0))
