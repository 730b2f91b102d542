"""Accuracy and latency of every architecture of a space, at once: stand-ins for measurements."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from supernet.architecture import Architecture
from supernet.space import Choice, Genes, SearchSpace, within_depth

Floats = NDArray[np.float64]
Values = Callable[[list[Architecture]], Floats]

STAGES = (4, 4, 4, 4, 4)
SYNTHETIC = ("mobilenet", "resnet50", "transformer")
UNORDERED = {"cell": (6, 5), "chain": (20, 4)}
_SAMPLE, _SAMPLE_SEED = 2000, 12345


@dataclass(frozen=True, eq=False)
class Landscape:
    """Accuracy in percent, to maximise, and latency, to minimise.

    Args:
        name: unique.
        space: of the architectures.
        accuracy: without noise.
        latency: exact.
        reference: accuracy and latency from which hypervolume is measured.
        hypervolume: the largest that is known; None: nobody has said so yet.
    """

    name: str
    space: SearchSpace
    accuracy: Values
    latency: Values
    reference: tuple[float, float]
    hypervolume: float | None = None

    def cap(self, quantile: float) -> float:
        """That quantile of the latencies of uniform draws."""
        sample = self.space.sample(min(_SAMPLE, self.space.size), seed=_SAMPLE_SEED)
        return float(np.quantile(self.latency(sample), quantile))

    def measured(self, noise: float, seed: int) -> Values:
        """Accuracy with normal noise of this standard deviation, the same for an architecture each time."""

        def accuracy(architectures: list[Architecture]) -> Floats:
            exact = self.accuracy(architectures)
            return exact + noise * normal(self.space.encode(architectures), seed) if noise else exact

        return accuracy


def mobilenet_space() -> SearchSpace:
    """The space of OFA MobileNetV3 at one resolution: 45 genes, 3 values each."""
    active = within_depth("d", STAGES)
    return SearchSpace(
        Choice("ks", (3, 5, 7), repeat=20, active=active),
        Choice("e", (3, 4, 6), repeat=20, active=active),
        Choice("d", (2, 3, 4), repeat=5),
    )


def synthetic(shape: str) -> Landscape:
    """A made-up landscape over the space of a shipped family: "mobilenet", "resnet50" or "transformer".

    Accuracy saturates in a weighted capacity, with interactions of pairs. Latency adds up over active blocks in the
    first, and is the number of multiply-accumulates, in billions, in the others.
    """
    if shape == "mobilenet":
        space = mobilenet_space()
        return landscape(f"synthetic/{shape}", space, saturating(space, 0.25), additive(space))
    import supernet

    families = {
        "resnet50": partial(supernet.create, "ofa_resnet50"),
        "transformer": partial(supernet.create, "hat_transformer", space="wmt14_en_de", vocab_size=1000),
    }
    if shape not in families:
        raise ValueError(f"unknown synthetic landscape {shape!r}: there are {', '.join(SYNTHETIC)}")
    net = families[shape]()
    return landscape(
        f"synthetic/{shape}",
        net.space,
        saturating(net.space, 0.5),
        lambda architectures: net.costs(architectures)["macs"] / 1e9,
    )


def unordered(shape: str) -> Landscape:
    """Operations without an order: "cell" has 6 genes of 5 (15,625 architectures), "chain" 20 of 4.

    What an operation is worth and what it costs have nothing to do with each other; pairs of operations interact.
    """
    n_genes, n_operations = UNORDERED[shape]
    operations = tuple("abcdefgh"[:n_operations])
    space = SearchSpace(*(Choice(f"gene{i}", operations) for i in range(n_genes)))
    rng = np.random.default_rng(2024)
    n_features = n_genes * n_operations
    gain, cost = rng.normal(size=n_features), rng.random(n_features)
    pairs = np.triu(rng.normal(0, 0.5 / np.sqrt(n_genes), (n_features, n_features)), 1)
    return landscape(
        f"unordered/{shape}",
        space,
        lambda architectures: 70 + _capacity(space, architectures, gain, pairs),
        lambda architectures: 1 + space.features(architectures).astype(np.float64) @ cost,
    )


def released(directory: Path, device: str, accuracy: str) -> Landscape:
    """One of the landscapes in a folder that holds landscapes.py, its data and reference.json."""
    file = directory / "landscapes.py"
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist: --landscapes needs a folder with landscapes.py and its data")
    specification = importlib.util.spec_from_file_location("released_landscapes", file)
    if specification is None or specification.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    references = json.loads((directory / "reference.json").read_text())[accuracy]
    if device not in references:
        raise ValueError(f"{directory} has no device {device!r}: it has {', '.join(references)}")
    known = references[device]
    model = module.OfaMobileNetV3Landscape(device, accuracy=accuracy)

    def rows(architectures: Sequence[Architecture]) -> list[list[int]]:
        return [[*a["ks"], *a["e"], *a["d"]] for a in architectures]

    return Landscape(
        f"{accuracy}/{device}",
        mobilenet_space(),
        lambda architectures: model.evaluate(rows(architectures))["accuracy"],
        lambda architectures: model.latency(rows(architectures)),
        (known["reference_point"]["accuracy"], known["reference_point"]["latency"]),
        known["hypervolume"],
    )


def landscape(name: str, space: SearchSpace, accuracy: Values, latency: Values) -> Landscape:
    """With the worst values of uniform draws as reference."""
    sample = space.sample(min(_SAMPLE, space.size), seed=_SAMPLE_SEED)
    return Landscape(name, space, accuracy, latency, (float(accuracy(sample).min()), float(latency(sample).max())))


def grades(space: SearchSpace) -> Floats:
    """How large each value of each gene is, shape (n_features,)."""
    return np.concatenate([np.linspace(0.4, 1.0, n) for n in space.n_values])


def saturating(space: SearchSpace, roughness: float) -> Values:
    """Accuracy that saturates in a weighted sum of active genes and of some pairs of them."""
    rng = np.random.default_rng(2022)
    n_features = int(space.n_values.sum())
    gain = grades(space) * rng.uniform(0.2, 1.0, n_features)
    pairs = rng.normal(0, roughness, (n_features, n_features)) * (rng.random((n_features, n_features)) < 0.02)
    typical = _capacity(space, space.sample(min(500, space.size), seed=1), gain, pairs).mean()

    def accuracy(architectures: list[Architecture]) -> Floats:
        return 70 + 10 * (1 - np.exp(-2 * _capacity(space, architectures, gain, pairs) / typical))

    return accuracy


def _capacity(space: SearchSpace, architectures: Sequence[Architecture], gain: Floats, pairs: Floats) -> Floats:
    features = space.features(architectures).astype(np.float64)
    return np.asarray(features @ gain + ((features @ pairs) * features).sum(axis=1))


def additive(space: SearchSpace) -> Values:
    """A cost of each active gene that grows with its value, summed."""
    rng = np.random.default_rng(2023)
    scale = np.repeat(rng.uniform(0.5, 2.0, space.n_genes), space.n_values)
    cost = grades(space) * rng.uniform(0.1, 1.0, len(scale)) * scale
    return lambda architectures: 2 + space.features(architectures).astype(np.float64) @ cost


def normal(genes: Genes, seed: int) -> Floats:
    """Standard normal values that depend on the genes and the seed alone, shape (len(genes),)."""
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in genes]
    return np.array([np.random.default_rng([seed, int.from_bytes(d, "little")]).normal() for d in digests])
