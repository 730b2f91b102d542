"""Linear regression."""

from sklearn.linear_model import BayesianRidge

from predictors.arrays import Estimate, Floats
from predictors.base import Predictor
from predictors.registry import register


@register("ridge")
class Ridge(Predictor):
    """Bayesian ridge regression: penalty and noise maximise the marginal likelihood (MacKay 1992).

    Args:
        max_iter: most steps of that maximisation.
    """

    def __init__(self, max_iter: int = 300) -> None:
        """Settings are checked in `fit`."""
        self.max_iter = max_iter

    def _fit(self, X: Floats, z: Floats) -> None:
        self.model_ = BayesianRidge(max_iter=self.max_iter).fit(X, z)

    def _predict(self, X: Floats) -> Estimate:
        mean, std = self.model_.predict(X, return_std=True)
        return mean, std
