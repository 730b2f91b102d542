"""The predictor that suits the data at hand."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from predictors import metrics
from predictors.arrays import Estimate, Floats
from predictors.base import Predictor
from predictors.folds import assign_folds
from predictors.registry import create, register

MANY_ROWS = 300  # from here on 3 folds: they rank the candidates as well, and cost half
CALIBRATED_LEVEL = 0.9
NORMAL_QUANTILE = 1.6449  # half width of the central 90 % interval
MAX_WIDENING = 2.0


@dataclass(frozen=True)
class Scores:
    """Out-of-fold agreement of one candidate: rank correlations, and root mean squared error in the target's unit."""

    kendall: float
    spearman: float
    rmse: float


@register("auto")
class Auto(Predictor):
    """The best of `candidates` by cross-validation, which also calibrates its standard deviation.

    All candidates see the same folds (5, or 3 from 300 rows on; equal rows share a fold). A candidate's loss is the
    geometric mean of its error (RMSE) and its share of wrongly ordered pairs (1 - Kendall's tau), both relative to
    the best candidate's. The first in the order of `candidates` whose loss is at most 1 + `tolerance` / sqrt(n) times
    the smallest wins, so neither rounding nor the luck of few rows decides. With fewer than `min_rows` distinct rows,
    folds say nothing: the first is taken.

    If less than 90 % of the out-of-fold residuals lie in the winner's 90 % interval, its standard deviation is widened
    until they do, by at most a factor of 2, and less with few rows. It is never narrowed.

    Fitted: `chosen_` (a name, or "constant" if there was nothing to learn), `predictor_`, and `scores_`, one `Scores`
    per candidate (empty without cross-validation).
    """

    def __init__(
        self,
        candidates: tuple[str, ...] = ("gp", "svr", "ridge", "gradient_boosting"),
        min_rows: int = 10,
        tolerance: float = 0.5,
        random_state: int = 0,
    ) -> None:
        """Settings are checked in `fit`."""
        self.candidates = candidates
        self.min_rows = min_rows
        self.tolerance = tolerance
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """As in `Predictor`. Raises ValueError also for no or unknown candidates."""
        if not self.candidates:
            raise ValueError("candidates is empty: name at least one predictor")
        self.chosen_ = "constant"
        self.scores_: dict[str, Scores] = {}
        return super().fit(X, y)

    def _fit(self, X: Floats, z: Floats) -> None:
        self.std_factor_ = 1.0
        self.chosen_ = self.candidates[0]
        fold = assign_folds(X, 5 if len(z) < MANY_ROWS else 3, self.random_state)
        if len(np.unique(X, axis=0)) >= self.min_rows and len(self.candidates) > 1:
            estimates = {name: self._candidate(name).out_of_fold(X, z, fold) for name in self.candidates}
            self.scores_ = {name: self._scores(z, mean) for name, (mean, _) in estimates.items()}
            self.chosen_ = _best(self.scores_, self.tolerance / np.sqrt(len(z)))
            self.std_factor_ = _std_factor(z, *estimates[self.chosen_])
        self.predictor_ = self._candidate(self.chosen_).fit_prepared(X, z)

    def _predict(self, X: Floats) -> Estimate:
        mean, std = self.predictor_.predict(X)
        return mean, self.std_factor_ * std

    def _candidate(self, name: str) -> Predictor:
        predictor = create(name)
        if "random_state" in predictor.get_params():
            predictor.set_params(random_state=self.random_state)
        return predictor

    def _scores(self, z: Floats, mean: Floats) -> Scores:
        return Scores(
            metrics.kendall(z, mean), metrics.spearman(z, mean), self.preparation_.scale * metrics.rmse(z, mean)
        )


def _best(scores: dict[str, Scores], tolerance: float) -> str:
    """First name whose loss is within `tolerance` of the smallest."""
    tiny = np.finfo(np.float64).tiny
    error = np.array([max(score.rmse, tiny) for score in scores.values()])
    disorder = np.array([max(1.0 - score.kendall, 1e-6) for score in scores.values()])
    loss = np.sqrt(error / error.min() * disorder / disorder.min())
    return list(scores)[int(np.argmax(loss <= (1.0 + tolerance) * loss.min()))]


def _std_factor(z: Floats, mean: Floats, std: Floats) -> float:
    ratio = np.abs(z - mean) / np.maximum(std, np.finfo(np.float64).tiny)
    wanted = np.clip(np.quantile(ratio, CALIBRATED_LEVEL) / NORMAL_QUANTILE, 1.0, MAX_WIDENING)
    return float(wanted ** (len(z) / (len(z) + 20.0)))
