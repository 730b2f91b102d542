"""Trains the translation super-network on Multi30k (English to German), and tells the BLEU of its sub-networks.

    python benchmarks/supernet/multi30k.py train DATA OUTPUT [--minutes 6] [--dropout 0.3] [--learning-rate 2e-3] ...
    python benchmarks/supernet/multi30k.py score DATA OUTPUT

DATA holds `train.en`, `val.en`, `test_2016_flickr.en` and their translations (may be packed by gzip). `train` needs no
sacreBLEU: it leaves the weights in half precision, the tokenizer, and what smallest, largest and ten random
sub-networks make of the validation and test sentences. `score` counts BLEU of that, for OUTPUT or all folders in it.
"""

import argparse
import copy
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import supernet
from supernet import SuperNetwork
from supernet.tasks import Translation, multi30k
from supernet.training import Recipe, train

N_RANDOM = 10
SEARCH = {"beam": 5, "length_penalty": 1.0, "max_length": 80}
SPLITS = ("validation", "test")


def main() -> None:
    """Trains or scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("train", "score"))
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=6.0, help="of training; decides the number of epochs")
    parser.add_argument("--most-epochs", type=int, default=150)
    parser.add_argument("--batch-size", type=int, default=4096, help="tokens")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--distillation", type=float, default=0.5)
    parser.add_argument("--random", type=int, default=1, help="random sub-networks a step")
    parser.add_argument("--vocab-size", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--sentences", type=int, help="of each split, for a first try; default: all")
    given = parser.parse_args()
    if given.what == "train":
        trained(given)
    else:
        for file in sorted(given.output.rglob("hypotheses.json")):
            scored(given.data, file.parent)


# --- training ---


def trained(given: argparse.Namespace) -> None:
    """Trains, and translates with the weights as they are kept."""
    torch.set_float32_matmul_precision("high")
    task = multi30k(given.data, vocab_size=given.vocab_size, metrics=("loss",), batch_tokens=40_000, search=SEARCH)
    if given.sentences:
        task = shortened(task, given.sentences)
    torch.manual_seed(given.seed)  # of the initial weights
    net = made(task, dropout=given.dropout)
    recipe = {
        "batch_size": given.batch_size,
        "optimiser": "adamw",
        "learning_rate": given.learning_rate,
        "weight_decay": 1e-4,
        "warmup_steps": 800,
        "label_smoothing": 0.1,
        "n_random": given.random,
        "distillation": given.distillation,
        "gradient_clip": 1.0,
        "average": 0.999,
        "precision": given.precision,
        "evaluate_every": 5,
        "n_evaluated": 0,
        "seed": given.seed,
    }
    watched, folder = Watched(task), given.output / "training"
    for _ in range(2):  # the second one is warm
        once = train(copy.deepcopy(net), watched, Recipe(epochs=1, **recipe), folder, resume=False, progress=False)
    epochs = max(1, min(given.most_epochs, int(60 * given.minutes / once.seconds)))
    print(f"{once.seconds:.1f} s an epoch of {task.n_batches(given.batch_size)} steps: {epochs} epochs", flush=True)
    done = train(net, watched, Recipe(epochs=epochs, **recipe), folder, resume=False, progress=False)
    kept = given.output / "weights.safetensors"
    copy.deepcopy(net).half().save_checkpoint(kept, {"task": task.name, "task_fingerprint": task.fingerprint})
    for name, content in task.files.items():
        (given.output / name).write_bytes(content)
    told = {"settings": {k: str(v) for k, v in vars(given).items()}, "epochs": epochs, "seconds": done.seconds}
    told |= {"validation_loss": {name: values["loss"] for name, values in done.metrics.items()}, "machine": machine()}
    write(given.output / "training.json", told)
    write(given.output / "hypotheses.json", translated(task, kept))
    for path in folder.glob("*"):  # the full state is of no more use
        if path.is_file():
            path.unlink()


class Watched:
    """The task, saying how the validation loss goes."""

    def __init__(self, task: Translation) -> None:
        self.task, self.started = task, time.perf_counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def evaluate(self, model: torch.nn.Module, split: str = "validation") -> dict[str, float]:
        """As the task does."""
        found = self.task.evaluate(model, split)
        n = sum(p.numel() for p in model.parameters())
        print(f"{time.perf_counter() - self.started:6.0f} s  {n:9,} parameters  loss {found['loss']:.4f}", flush=True)
        return found


def made(task: Translation, **settings: Any) -> SuperNetwork:
    """The super-network for the task's vocabulary."""
    return supernet.create("hat_transformer", space="multi30k_en_de", vocab_size=task.vocabulary.size, **settings)


def shortened(task: Translation, n: int) -> Translation:
    """The task with the first `n` pairs of each split."""
    splits = {split: pairs.subset(np.arange(min(n, len(pairs)))) for split, pairs in task.splits.items()}
    fields = {
        name: getattr(task, name) for name in ("source_language", "target_language", "vocabulary", "metrics", "search")
    }
    return Translation(name=task.name, splits=splits, **fields)


def translated(task: Translation, weights: Path) -> dict[str, Any]:
    """What each sub-network makes of validation and test sentences, and how long that takes."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = made(task)
    net.load_checkpoint(weights)
    architectures = {"smallest": net.smallest, "largest": net.largest}
    architectures |= {f"random-{i}": a for i, a in enumerate(net.space.sample(N_RANDOM, seed=0))}
    found = {}
    for name, architecture in architectures.items():
        model, started = net.extract(architecture).to(device), time.perf_counter()
        texts = {split: task.translate(model, task.splits[split].sources) for split in SPLITS}
        costs = {cost: int(values[0]) for cost, values in net.costs([architecture]).items()}
        found[name] = {
            "architecture": dict(architecture),
            **costs,
            "seconds": round(time.perf_counter() - started, 2),
            "hypotheses": texts,
        }
        print(f"{name}: translated in {found[name]['seconds']} s", flush=True)
    return found


def machine() -> dict[str, str]:
    """Where it was trained."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {"device": name, "torch": torch.__version__, "python": platform.python_version()}


# --- scoring ---


def scored(data: Path, folder: Path) -> None:
    """Counts and prints BLEU; keeps it in `results.json`."""
    task = multi30k(data, tokenizer=folder / "tokenizer.json", search=SEARCH, metrics=("bleu", "tokenized_bleu"))
    training = json.loads((folder / "training.json").read_text())
    found = json.loads((folder / "hypotheses.json").read_text())
    rows = {}
    for name, one in found.items():
        texts = one.pop("hypotheses")
        scores = {split: task.score(texts[split], task.splits[split].targets[: len(texts[split])]) for split in SPLITS}
        rows[name] = one | {f"{split}_{key}": round(v, 2) for split in SPLITS for key, v in scores[split].items()}
    write(folder / "results.json", {"training": training, "methods": dict(task.methods), "sub_networks": rows})
    machine, minutes = training["machine"], training["seconds"] / 60
    print(f"\n{folder}: {training['epochs']} epochs in {minutes:.1f} minutes on {machine['device']}")
    print("| sub-network | parameters | MACs | BLEU validation | BLEU test 2016 | tokenised BLEU test |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        values = [row[key] for key in ("validation_bleu", "test_bleu", "test_tokenized_bleu")]
        print(f"| {name} | {row['params']:,} | {row['macs']:,} | " + " | ".join(f"{v:.1f}" for v in values) + " |")


def write(path: Path, content: Any) -> None:
    """As JSON."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
