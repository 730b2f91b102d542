"""Metrics of predictions against measurements.

Each takes measured values `y` [n] and predictions `prediction` [n], n >= 1, and returns a float. All raise ValueError
for empty input, different lengths, NaN or infinity.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri


def mape(y: ArrayLike, prediction: ArrayLike) -> float:
    """Mean absolute percentage error, in percent; infinite if a measured 0 is not predicted exactly."""
    measured, predicted = _checked(y, prediction)
    error = np.abs(predicted - measured)
    relative = np.full(len(error), np.inf)
    np.divide(error, np.abs(measured), out=relative, where=measured != 0)
    relative[error == 0] = 0.0
    return float(100.0 * relative.mean())


def rmse(y: ArrayLike, prediction: ArrayLike) -> float:
    """Root of the mean squared error, in the unit of `y`."""
    measured, predicted = _checked(y, prediction)
    return float(np.sqrt(np.mean((predicted - measured) ** 2)))


def r2(y: ArrayLike, prediction: ArrayLike) -> float:
    """Coefficient of determination (share of variance explained); for constant `y` 1 if predicted exactly, else 0."""
    measured, predicted = _checked(y, prediction)
    residual = float(np.sum((predicted - measured) ** 2))
    total = float(np.sum((measured - measured.mean()) ** 2))
    if total == 0.0:
        return 1.0 if residual == 0.0 else 0.0
    return 1.0 - residual / total


def spearman(y: ArrayLike, prediction: ArrayLike) -> float:
    """Spearman's rank correlation, with mean ranks for ties; 0 if either side is constant."""
    measured, predicted = _checked(y, prediction)
    if _constant(measured) or _constant(predicted):
        return 0.0
    from scipy import stats  # here, and below: it takes long to import, and few programs need it

    return float(np.corrcoef(stats.rankdata(measured), stats.rankdata(predicted))[0, 1])


def kendall(y: ArrayLike, prediction: ArrayLike) -> float:
    """Kendall's tau-b; 0 if either side is constant."""
    measured, predicted = _checked(y, prediction)
    if _constant(measured) or _constant(predicted):
        return 0.0
    from scipy import stats

    return float(stats.kendalltau(measured, predicted).statistic)


def coverage(y: ArrayLike, mean: ArrayLike, std: ArrayLike, level: float = 0.9) -> float:
    """Share of measurements within the central normal interval of probability `level` around `mean`.

    A calibrated `std` gives `level`. Also raises ValueError for a negative `std`, or a `level` outside (0, 1).
    """
    measured, predicted = _checked(y, mean)
    spread = _checked(y, std)[1]
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    if (spread < 0.0).any():
        raise ValueError(f"std is negative in row {int(np.argmax(spread < 0.0))}")
    half_width = float(ndtri(0.5 + level / 2.0)) * spread
    return float(np.mean(np.abs(measured - predicted) <= half_width))


def _constant(values: NDArray[np.float64]) -> bool:
    return bool((values == values[0]).all())


def _checked(y: ArrayLike, prediction: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    measured = np.asarray(y, dtype=np.float64)
    predicted = np.asarray(prediction, dtype=np.float64)
    if measured.ndim != 1 or measured.shape != predicted.shape or not len(measured):
        raise ValueError(f"two equally long, non-empty vectors are needed, got {measured.shape} and {predicted.shape}")
    for name, values in (("y", measured), ("prediction", predicted)):
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise ValueError(f"{name} is not finite in row {row}: {values[row]}")
    return measured, predicted
