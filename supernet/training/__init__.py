"""Training super-networks: sandwich rule with in-place distillation, checkpoints that resume, progress, TensorBoard."""

from supernet.training.loop import TrainingSummary, train
from supernet.training.recipe import Recipe
from supernet.training.state import TrainingError

__all__ = ["Recipe", "TrainingError", "TrainingSummary", "train"]
