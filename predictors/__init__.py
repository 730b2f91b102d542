"""Predictors for few training rows: arrays in, mean and standard deviation out."""

from predictors import metrics
from predictors.base import Predictor
from predictors.registry import available, create, register
from predictors.selection import Selective

__all__ = ["Predictor", "Selective", "available", "create", "metrics", "register"]
