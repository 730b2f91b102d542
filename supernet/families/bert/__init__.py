"""BERT-like sequence classifiers of Hugging Face as super-networks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from supernet.registry import register

if TYPE_CHECKING:
    from supernet.families.bert.network import ElasticBert


@register("bert")
def bert(
    model: Any = None,
    *,
    depths: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    ffn_sizes: Sequence[int] | None = None,
    sequence_length: int | None = None,
    **settings: Any,
) -> "ElasticBert":
    """A BERT-like sequence classifier with elastic depth, heads and neurons; see `network.ElasticBert`.

    Args:
        model: a local directory or the name on the Hugging Face hub of any classifier that is laid out as BERT is
            (RoBERTa, ELECTRA, DistilBERT, DeBERTa-v2, ...), or such a model itself. None: BERT base, random weights.
        depths: numbers of layers that are allowed, by default (as DyNAS-T) 6 to 12 of 12.
        heads: likewise numbers of attention heads of a layer, 6, 8, 10 and 12 of 12.
        ffn_sizes: likewise numbers of neurons of a layer, 1024, 2048 and 3072 of 3072.
        sequence_length: tokens of the sentences that costs and latencies are of; None: 128, or as many as fit.
        settings: changes of the model's configuration, such as `vocab_size`, `num_labels` or `hidden_dropout_prob`.

    Raises ValueError for a model that is laid out otherwise and for sizes that do not fit it, OSError for no model.
    """
    from supernet.families.bert.loading import classifier
    from supernet.families.bert.network import ElasticBert

    whole = classifier(model, settings)
    return ElasticBert(whole, depths=depths, heads=heads, ffn_sizes=ffn_sizes, sequence_length=sequence_length)
