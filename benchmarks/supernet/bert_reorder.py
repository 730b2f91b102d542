"""What re-ordering heads and neurons by importance is worth: accuracy of sub-networks that were never trained as such.

    python benchmarks/supernet/bert_reorder.py SST2_FOLDER [--epochs 3] [--seeds 3]

Trains a small BERT from random weights on SST-2, the largest sub-network alone, with the package's own training. Then
cuts it down to fewer heads and neurons in every layer (its depth stays), as it is and after `net.reorder`, and gives
mean and standard deviation of the accuracy on the validation split over seeds.
"""

import argparse
import platform
import tempfile

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

import supernet
from hardware.provenance import cpu_model
from supernet.tasks import TextClassification, sst2
from supernet.training import Recipe, train
from supernet.validation import Validation

WIDTH, N_LAYERS, HEADS, NEURONS = 48, 3, (1, 2, 4, 8), (12, 24, 48, 96)
N_RANKED = 32


def main() -> None:
    """Trains, cuts, prints."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", help="holds train.tsv and dev.tsv")
    arguments.add_argument("--epochs", type=int, default=3)
    arguments.add_argument("--seeds", type=int, default=3)
    given = arguments.parse_args()
    task = sst2(given.folder, vocab_size=4000, max_length=48)
    print(f"{cpu_model()}, torch {torch.__version__}, Python {platform.python_version()}, seeds {given.seeds}\n")
    results = np.array([accuracies(task, given.epochs, seed) for seed in range(given.seeds)])
    means, spreads = results.mean(axis=0), results.std(axis=0)
    print("| heads of 8 | neurons of 96 | as trained | reordered | gain |")
    print("|---|---|---|---|---|")
    for (heads, neurons), mean, spread in zip(sizes(), means, spreads, strict=True):
        before, after = (f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, spread, strict=True))
        print(f"| {heads} | {neurons} | {before} | {after} | {mean[1] - mean[0]:+.1f} |")


def sizes() -> list[tuple[int, int]]:
    """Heads and neurons of every layer, the whole model first."""
    return [(heads, neurons) for heads in HEADS[::-1] for neurons in NEURONS[::-1]]


def accuracies(task: TextClassification, epochs: int, seed: int) -> list[list[float]]:
    """Validation accuracy of each of `sizes`, before and after."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=task.tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=HEADS[-1],
        intermediate_size=NEURONS[-1],
        max_position_embeddings=task.max_length,
        initializer_range=0.06,  # the usual 0.02 suits a width of 768: layers of a narrow model would do little
    )
    model = BertForSequenceClassification(config)
    net = supernet.create("bert", model=model, depths=(N_LAYERS,), heads=HEADS, ffn_sizes=NEURONS)
    recipe = Recipe(
        epochs=epochs,
        batch_size=32,
        optimiser="adamw",
        learning_rate=1e-3,
        schedule="linear",
        warmup_epochs=0.5,
        weight_decay=0.01,
        label_smoothing=0.0,
        gradient_clip=1.0,
        largest_epochs=epochs,
        evaluate_every=0,
        n_evaluated=0,
        device="cpu",
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        train(net, task, recipe, folder, progress=False)
    validate = Validation(net, task, metric="accuracy")
    chosen = [
        net.space.validate({"num_layers": N_LAYERS, "num_attention_heads": heads, "intermediate_size": neurons})
        for heads, neurons in sizes()
    ]
    before = validate(chosen)
    batches = task.train_batches(net.shared, batch_size=32, rng=np.random.default_rng(seed))
    net.reorder((batch for batch, _ in zip(batches, range(N_RANKED), strict=False)), task.loss)
    return np.stack([before, validate(chosen)], axis=1).tolist()


if __name__ == "__main__":
    main()
