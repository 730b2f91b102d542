"""Gradient-boosted trees."""

from sklearn.ensemble import GradientBoostingRegressor

from predictors.arrays import Floats
from predictors.crossfit import CrossFit
from predictors.registry import register

FEW_ROWS = 10  # below, each tree learns from all rows rather than a random 70 % of them


@register("gradient_boosting")
class GradientBoosting(CrossFit):
    """Stochastic gradient boosting of shallow trees (Friedman 2002), for targets with interactions and jumps.

    Args:
        n_trees: number of trees.
        depth: most splits from root to leaf.
        learning_rate: shrinkage of each tree.
        n_folds: of the cross-fitting, at least 2, see `CrossFit`.
        random_state: of rows, columns and folds.
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
