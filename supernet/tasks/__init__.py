"""Tasks: the data and the metrics that sub-networks are trained, calibrated and measured with."""

from supernet.tasks.arrays import ArrayTask, arrays
from supernet.tasks.augmentation import Augmentation
from supernet.tasks.base import Task
from supernet.tasks.datasets import cifar10, digits, image_folder, imagenet
from supernet.tasks.images import ImageClassification
from supernet.tasks.packed import packed_images
from supernet.tasks.splits import ImageArray, ImageFiles
from supernet.tasks.text.classification import TextClassification
from supernet.tasks.text.corpora import fairseq_translation, multi30k, translation
from supernet.tasks.text.datasets import sst2, text_classification
from supernet.tasks.text.parallel import ParallelText
from supernet.tasks.text.tokenization import TokenizerError
from supernet.tasks.text.translation import Translation
from supernet.tasks.text.vocabulary import Vocabulary

__all__ = [
    "ArrayTask",
    "Augmentation",
    "ImageArray",
    "ImageClassification",
    "ImageFiles",
    "ParallelText",
    "Task",
    "TextClassification",
    "TokenizerError",
    "Translation",
    "Vocabulary",
    "arrays",
    "cifar10",
    "digits",
    "fairseq_translation",
    "image_folder",
    "imagenet",
    "multi30k",
    "packed_images",
    "sst2",
    "text_classification",
    "translation",
]
