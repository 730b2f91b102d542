"""Vision transformers as super-networks."""

from supernet.families.vit.network import ElasticViT

__all__ = ["ElasticViT"]
