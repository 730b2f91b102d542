"""`auto`: a weighted mean of several predictors, with weights from cross-validation."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from predictors import metrics
from predictors.arrays import Estimate, Floats
from predictors.base import Predictor
from predictors.folds import assign_folds
from predictors.registry import create, register

FEW_ROWS, MANY_ROWS = 40, 300  # 10 folds below, 3 from there on
COSTLY = ("gradient_boosting",)
COSTLY_ROWS = 30  # fewest rows for which costly candidates are tried
UNEXPLAINED = 0.1  # share of the variance that the others have to leave unexplained for them to be tried
SMALLEST_WEIGHT = 0.05
CAUTION = 3.0  # rows that the shrinkage towards equal weights is worth
CALIBRATION_ROWS = 15.0  # rows that the prior belief in the candidates' own deviations is worth


@dataclass(frozen=True)
class Scores:
    """Out-of-fold scores of one candidate: rank correlations, and root mean squared error in the targets' unit."""

    kendall: float
    spearman: float
    rmse: float


@register("auto")
class Auto(Predictor):
    """A weighted mean of candidate predictors: stacking (Breiman 1996) by cross-validation.

    All candidates have the same folds: 10 below 40 rows, 3 from 300 on, else 5; equal rows share a fold. The weights
    minimise the squared error of the weighted out-of-fold estimates; they are not negative, sum to 1, and are shrunk
    towards equal weights, which matters for few rows. Candidates with a weight below 0.05 are left out. Gradient
    boosting takes longer than all others, and is tried only if these explain less than 90 % of the variance of 30 rows
    or more. With fewer than `min_rows` distinct rows, the first candidate is taken without cross-validation.

    The variance is the mean of the candidates' variances plus the variance between their means. It is calibrated to the
    out-of-fold errors, the more so the more rows there are.

    Fitted attributes: `weights_` (by name), `chosen_` (the name with the largest weight, or "constant" if there was
    nothing to learn) and `scores_` (`Scores` by name of each candidate tried; empty without cross-validation).

    Args:
        candidates: names that `create` takes.
        min_rows: number of distinct rows from which on candidates are compared.
        random_state: of folds and candidates.
    """

    def __init__(
        self,
        candidates: tuple[str, ...] = ("gp", "svr", "ridge", "gradient_boosting"),
        min_rows: int = 8,
        random_state: int = 0,
    ) -> None:
        """Settings are checked in `fit`."""
        self.candidates = candidates
        self.min_rows = min_rows
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """As in `Predictor`. Also raises ValueError for no or unknown candidates."""
        if not self.candidates:
            raise ValueError("candidates is empty: name at least one predictor")
        self.chosen_ = "constant"
        self.weights_: dict[str, float] = {}
        self.scores_: dict[str, Scores] = {}
        return super().fit(X, y)

    def _fit(self, X: Floats, z: Floats) -> None:
        self._std_factor = 1.0
        if len(np.unique(X, axis=0)) < self.min_rows or len(self.candidates) == 1:
            self._predictors = [self._candidate(self.candidates[0]).fit_prepared(X, z)]
            self.weights_ = {self.candidates[0]: 1.0}
        else:
            self._fit_stack(X, z)
        self.chosen_ = max(self.weights_, key=self.weights_.__getitem__)

    def _fit_stack(self, X: Floats, z: Floats) -> None:
        n_folds = 10 if len(z) < FEW_ROWS else 5 if len(z) < MANY_ROWS else 3
        fold = assign_folds(X, n_folds, self.random_state)
        predictors: dict[str, Predictor] = {}
        estimates: dict[str, Estimate] = {}
        unexplained = float(np.mean(z**2))
        for name in sorted(self.candidates, key=COSTLY.__contains__):
            if name in COSTLY and predictors and (unexplained < UNEXPLAINED or len(z) < COSTLY_ROWS):
                continue
            predictors[name] = self._candidate(name)
            estimates[name] = predictors[name].fit_out_of_fold(X, z, fold)
            unexplained = min(unexplained, float(np.mean((z - estimates[name][0]) ** 2)))
            self.scores_[name] = self._scores(z, estimates[name][0])
        means = np.stack([mean for mean, _ in estimates.values()])
        weights = _stacked(means, z)
        self.weights_ = {name: float(w) for name, w in zip(predictors, weights, strict=True) if w > 0.0}
        self._predictors = [predictors[name] for name in self.weights_]
        self._std_factor = _std_factor(z, *self._joined([estimates[name] for name in self.weights_]))

    def _predict(self, X: Floats) -> Estimate:
        mean, std = self._joined([predictor.predict(X) for predictor in self._predictors])
        return mean, self._std_factor * std

    def _joined(self, estimates: list[Estimate]) -> Estimate:
        weights = np.array(list(self.weights_.values()))
        means, stds = np.stack([mean for mean, _ in estimates]), np.stack([std for _, std in estimates])
        mean = weights @ means
        return mean, np.sqrt(weights @ (stds**2 + (means - mean) ** 2))

    def _candidate(self, name: str) -> Predictor:
        predictor = create(name)
        if "random_state" in predictor.get_params():
            predictor.set_params(random_state=self.random_state)
        return predictor

    def _scores(self, z: Floats, mean: Floats) -> Scores:
        rmse = self.preparation_.scale * metrics.rmse(z, mean)
        return Scores(metrics.kendall(z, mean), metrics.spearman(z, mean), rmse)


def _stacked(means: Floats, z: Floats) -> Floats:
    """Weights [candidates] from out-of-fold means [candidates, n] and targets z [n]; small ones become 0."""
    n_candidates = len(means)
    smallest_error = float(np.min(np.mean((means - z) ** 2, axis=1)))
    pull = np.sqrt(CAUTION * smallest_error)
    one = 1e3 * np.sqrt(len(z))  # the sum of the weights counts for as much as a million rows
    design = np.vstack([means.T, pull * np.eye(n_candidates), np.full(n_candidates, one)])
    weights, _ = nnls(design, np.concatenate([z, np.full(n_candidates, pull / n_candidates), [one]]))
    weights = np.where(weights < min(SMALLEST_WEIGHT, weights.max()), 0.0, weights)
    stacked: Floats = weights / weights.sum()
    return stacked


def _std_factor(z: Floats, mean: Floats, std: Floats) -> float:
    """Factor by which to multiply standard deviations so that they match the out-of-fold errors."""
    ratio = np.sqrt(np.mean(((z - mean) / np.maximum(std, np.finfo(np.float64).tiny)) ** 2))
    return float(max(ratio, 1e-3) ** (len(z) / (len(z) + CALIBRATION_ROWS)))
