"""Array types of the predictors."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Estimate = tuple[Floats, Floats]
"""Mean and standard deviation, each of shape [n]."""
