"""Tasks: the data and the metrics that sub-networks are trained, calibrated and measured with."""

from supernet.tasks.augmentation import Augmentation
from supernet.tasks.base import Task
from supernet.tasks.datasets import cifar10, digits, image_folder, imagenet
from supernet.tasks.images import ImageClassification
from supernet.tasks.splits import ImageArray, ImageFiles
from supernet.tasks.text.classification import TextClassification
from supernet.tasks.text.datasets import sst2, text_classification
from supernet.tasks.text.tokenization import TokenizerError

__all__ = [
    "Augmentation",
    "ImageArray",
    "ImageClassification",
    "ImageFiles",
    "Task",
    "TextClassification",
    "TokenizerError",
    "cifar10",
    "digits",
    "image_folder",
    "imagenet",
    "sst2",
    "text_classification",
]
