"""Small classifiers of several types, with weights that differ everywhere."""

import torch
import transformers

SIZES = {
    "vocab_size": 40,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 20,
    "max_position_embeddings": 20,
    "num_labels": 3,
}
SPACE = {"depths": (1, 2, 3), "heads": (1, 3, 4), "ffn_sizes": (6, 20), "sequence_length": 9}
TYPES = {
    "Bert": {},
    "Camembert": {},
    "Data2VecText": {},
    "DebertaV2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": False,
        "position_biased_input": False,
        "norm_rel_ebd": "layer_norm",
        "position_buckets": 4,
    },
    "DistilBert": {"hidden_dim": 20},
    "Electra": {"embedding_size": 16},
    "Ernie": {},
    "MegatronBert": {},
    "RemBert": {"input_embedding_size": 16, "classifier_dropout_prob": 0.1},
    "RoFormer": {"embedding_size": 16},
    "Roberta": {},
    "RobertaPreLayerNorm": {},
    "XLMRoberta": {},
    "XLMRobertaXL": {},
}
USUAL_TYPES = ("Bert", "DebertaV2", "DistilBert", "Electra", "Roberta")


def classifier(kind="Bert", **changes):
    """A stock classifier of this type whose weights and biases are all random."""
    settings = SIZES | TYPES[kind] | changes
    config = getattr(transformers, f"{kind}Config")(**settings)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = getattr(transformers, f"{kind}ForSequenceClassification")(config)
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model.eval()


def sentences(n=3, length=9, seed=0):
    """What a tokenizer gives: sentences of several lengths, padded on the right."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, SIZES["vocab_size"], (n, length), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(1, n):
        mask[row, length - row :] = 0
    return {"input_ids": ids * mask + (1 - mask), "attention_mask": mask}
