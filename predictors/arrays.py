"""Types of the arrays that predictors work with."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Estimate = tuple[Floats, Floats]
"""Mean [n] and standard deviation [n]."""
