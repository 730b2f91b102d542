"""A text classification that a small model learns within seconds, and a stock classifier for it in a folder."""

import numpy as np
import torch
import transformers

from supernet.tasks import text_classification

GOOD, BAD = ("fine", "great", "warm", "witty"), ("dull", "cold", "poor", "flat")
OTHERS = ("the", "film", "plot", "is", "was", "a", "cast", "and", "story", "scene")


def write_sentences(folder, n=200, seed=0):
    """`train.tsv` and `dev.tsv` with columns `text` and `label`: the mood of the only word that has one."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in (("train", n), ("dev", n // 2)):
        lines = ["text\tlabel"]
        for i in range(size):
            words = list(rng.choice(OTHERS, int(rng.integers(3, 9))))
            words.insert(int(rng.integers(len(words) + 1)), str(rng.choice((BAD, GOOD)[i % 2])))
            lines.append(f"{' '.join(words)}\t{('bad', 'good')[i % 2]}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def sentence_task(folder, **settings):
    """The task on files that `write_sentences` wrote."""
    return text_classification(folder, **{"max_length": 16, "vocab_size": 80} | settings)


def write_classifier(task, folder, **changes):
    """A folder as of the hub: a small BERT with random weights, and the task's tokenizer."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
    config = transformers.BertConfig(
        vocab_size=task.tokenizer.get_vocab_size(),
        max_position_embeddings=24,
        hidden_dropout_prob=0.0,
        initializer_range=0.2,
        attention_probs_dropout_prob=0.0,
        **sizes | changes,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertForSequenceClassification(config).save_pretrained(folder)
    task.tokenizer.save(str(folder / "tokenizer.json"))
    return folder
