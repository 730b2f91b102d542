"""Estimators from few measurements: arrays in, mean and standard deviation out."""

from predictors import metrics
from predictors.base import Predictor
from predictors.registry import available, create, register

__all__ = ["Predictor", "available", "create", "metrics", "register"]
