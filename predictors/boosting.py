"""Boosted trees."""

from sklearn.ensemble import GradientBoostingRegressor

from predictors.arrays import Floats
from predictors.crossfit import CrossFit
from predictors.registry import register

FEW_ROWS = 10  # below, a random 70 % of the rows may be none


@register("gradient_boosting")
class GradientBoosting(CrossFit):
    """Stochastic gradient boosting of shallow trees (Friedman 2002), for targets with interactions and jumps.

    Exact splits rather than histograms: one-hot columns have one split each, and few rows leave nothing to bin.
    """

    def __init__(
        self,
        n_trees: int = 100,
        depth: int = 3,
        learning_rate: float = 0.1,
        n_folds: int = 5,
        random_state: int = 0,
    ) -> None:
        """Settings are checked in `fit`."""
        self.n_trees = n_trees
        self.depth = depth
        self.learning_rate = learning_rate
        self.n_folds = n_folds
        self.random_state = random_state

    def _model(self, X: Floats, z: Floats, settings: dict[str, float]) -> GradientBoostingRegressor:
        model = GradientBoostingRegressor(
            n_estimators=self.n_trees,
            max_depth=self.depth,
            learning_rate=self.learning_rate,
            subsample=0.7 if len(z) >= FEW_ROWS else 1.0,
            max_features=0.3,
            random_state=self.random_state,
        )
        return model.fit(X, z)
