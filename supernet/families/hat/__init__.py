"""HAT's translation super-networks (arXiv:2005.14187)."""

from supernet.families.hat.family import HatTransformer, hat_transformer
from supernet.families.hat.model import Memory, TranslationTransformer
from supernet.families.hat.published import LATENCY_FEATURES, latency_features, nested
from supernet.families.hat.settings import HatSettings, available_spaces

__all__ = [
    "LATENCY_FEATURES",
    "HatSettings",
    "HatTransformer",
    "Memory",
    "TranslationTransformer",
    "available_spaces",
    "hat_transformer",
    "latency_features",
    "nested",
]
