"""The best that is known of a landscape: what a long search of the true values finds, kept in a file."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import search
from comparison.landscapes import Landscape
from search.evolution import Pool, evolve
from search.sampling import corners
from supernet.space import Genes, SearchSpace

_POPULATION, _GENERATIONS = 200, 400
_SWEEPS = 10


@dataclass
class Known:
    """Best hypervolumes, and best accuracies under caps; found when first asked for.

    Args:
        path: JSON file.
    """

    path: Path
    values: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.values = json.loads(self.path.read_text()) if self.path.exists() else {}

    def best(self, landscape: Landscape, cap: float | None) -> float:
        """Hypervolume, or accuracy under the cap, which is a quantile of the latencies of uniform draws."""
        if cap is None and landscape.hypervolume is not None:
            return landscape.hypervolume
        name = landscape.name if cap is None else f"{landscape.name} below {cap:g}"
        if name not in self.values:
            bound = None if cap is None else landscape.cap(cap)
            self.values[name] = _found(landscape, bound)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.values, indent=1, sort_keys=True) + "\n")
        return self.values[name]


def _found(landscape: Landscape, cap: float | None) -> float:
    """NSGA-II from both ends and uniform draws, then single changes of all that is on the front (or of the best)."""
    space = landscape.space

    def judge(genes: Genes) -> Pool:
        architectures = space.decode(genes)
        accuracy, latency = landscape.accuracy(architectures), landscape.latency(architectures)
        if cap is None:
            return Pool(genes, np.stack([-accuracy, latency], axis=1), np.zeros(len(genes)))
        return Pool(genes, -accuracy[:, None], np.maximum(latency - cap, 0.0))

    rng = np.random.default_rng(1)
    raw = space.canonical(rng.integers(0, space.n_values, size=(_POPULATION, space.n_genes)))
    start = np.concatenate([corners(space), raw, space.sample_genes(_POPULATION, rng)])
    generations = _GENERATIONS if cap is None else _GENERATIONS // 4
    found = evolve(space, judge, start, population=_POPULATION, generations=generations, rng=rng)
    best = _front(found)
    for _ in range(_SWEEPS):
        better = _front(Pool.merged([best, judge(_neighbours(space, best.genes))]))
        if len(better) == len(best) and (np.sort(better.minimised, axis=0) == np.sort(best.minimised, axis=0)).all():
            break
        best = better
    if cap is not None:
        return float(-best.minimised.min())
    reference = (-landscape.reference[0], landscape.reference[1])
    return search.hypervolume(best.minimised, reference, ("min", "min"))


def _front(pool: Pool) -> Pool:
    allowed = pool[pool.violation == 0]
    if allowed.minimised.shape[1] == 1:
        return allowed[np.argsort(allowed.minimised[:, 0], kind="stable")[:20]]
    return allowed[search.pareto.non_dominated(allowed.minimised, ("min", "min"))]


def _neighbours(space: SearchSpace, genes: Genes) -> Genes:
    """All that differ in one gene from one of these."""
    changed = [genes]
    for gene, n in enumerate(space.n_values.tolist()):
        for value in range(n):
            other = genes.copy()
            other[:, gene] = value
            changed.append(other)
    return np.unique(space.canonical(np.concatenate(changed)), axis=0)
