"""What holds the default tactic back: the same search with parts of it replaced by the truth.

    python benchmarks/search/limits.py DIR                  # a folder with landscapes.py and reference.json; minutes
    python benchmarks/search/limits.py DIR --accuracy measured --budget 100 --seeds 2

"process" is the tactic as it is; "choice" has a process lead the search for candidates, among which the truth chooses;
"model" has the truth instead of a process; "foreknown" has a process that knows beforehand what each gene adds to
accuracies around the best front, and how the remainder varies. Prints the share of the best known hypervolume, and how
the process judges the best front that evolutions of the truth find: how far that is above the front of the search and
above what the process expects there, in percent and in its standard deviations, and how many genes away from all
measured ones; and the remainder's standard deviation, and its correlation over one and over four differing genes.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from comparison.landscapes import Floats, Landscape, released
from comparison.roughness import Roughness
from numpy.typing import NDArray

import search
from hardware.provenance import cpu_model
from search.candidates import explore
from search.history import History
from search.objective import Goal
from search.pareto import hypervolume_curve, non_dominated
from search.promise import promising
from search.sampling import corners
from search.surrogate import Belief, Model, Surrogate, learnt
from search.tactics.base import Proposal
from search.tactics.bayesian import Bayesian
from supernet.space import Genes

_GOALS: Sequence[Goal] = ("max", "min")


@dataclass(frozen=True, eq=False)
class Truth:
    """A model that knows; see `search.surrogate.Model`."""

    landscape: Landscape
    noise: float = 0.0

    def told(self, history: History) -> "Truth":
        """Nothing more to learn."""
        return self

    def predict(self, genes: Genes) -> tuple[Floats, Floats]:
        """Accuracies, and deviations of 0."""
        return self.landscape.accuracy(self.landscape.space.decode(genes)), np.zeros(len(genes))

    def covariance(self, genes: Genes) -> Floats:
        """Zeros."""
        return np.zeros((len(genes), len(genes)))


@dataclass(frozen=True)
class Knowing(Bayesian):
    """The default tactic, in which another model of accuracy chooses candidates, and with `leads` finds them, too."""

    tell: Callable[[History], Model] | None = None
    leads: bool = False

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Proposal:
        """See `Tactic`."""
        if self.tell is None or len(history) < self.initial:
            return super().propose(history, n, rng)
        told = Surrogate(history.problem, {0: self.tell(history)})
        leading = told if self.leads else learnt(history, None, self._memory)
        measured, pending = told.measured(history), told.judge(history.pending)
        found = told.judge(self._candidates(history, leading, measured.joined(pending), rng).genes)
        return Proposal(found.genes[promising(told, measured, pending, found, n)])


def searched(landscape: Landscape, tactic: Bayesian, budget: int, seed: int) -> search.Result:
    """A search on one landscape."""
    objectives = [
        search.Objective("accuracy", goal="max", measure=landscape.accuracy),
        search.Objective("latency", goal="min", measure=landscape.latency, expensive=False),
    ]
    return search.run(landscape.space, objectives, tactic=tactic, budget=budget, seed=seed, progress=False)


def best_front(landscape: Landscape, n_runs: int) -> Belief:
    """The non-dominated of some evolutions of the truth, 16,000 judged architectures each."""
    space = landscape.space

    def judge(genes: Genes) -> Belief:
        architectures = space.decode(genes)
        values = np.stack([-landscape.accuracy(architectures), landscape.latency(architectures)], axis=1)
        return Belief(genes, values, np.zeros_like(values), np.zeros((len(genes), 1)))

    found = judge(corners(space))
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        start, front = judge(corners(space)), [np.arange(2)]
        more = explore(space, judge, start, frozenset(), front, rng, population=200, generations=80, optimism=0.0)
        found = found.joined(more)
    return found[np.flatnonzero(non_dominated(found.mean, ["min", "min"]))]


def far(result: search.Result, front: Belief) -> NDArray[np.float64]:
    """Medians of a front: accuracy above the measured front, above the process (in %, deviations); genes from it."""
    history = result.history
    mean, std = learnt(history, None, {}).models[0].predict(front.genes)
    accuracy, latency = -front.mean[:, 0], front.mean[:, 1]
    within = history.values[:, 1] <= latency[:, None]
    ours = np.where(within, history.values[:, 0], -np.inf).max(axis=1)
    genes = (front.genes[:, None] != history.genes).sum(axis=2).min(axis=1)
    columns = np.stack([accuracy - ours, accuracy - mean, (accuracy - mean) / std, genes], axis=1)
    return np.asarray(np.median(columns[within.any(axis=1) & (genes > 0)], axis=0))


def main() -> None:
    """Prints one line per device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("landscapes", type=Path)
    parser.add_argument("--devices", nargs="+", default=["titan_xp_1", "v100_64", "2080ti_32"])
    parser.add_argument("--accuracy", default="predictor", choices=["predictor", "measured"])
    parser.add_argument("--budget", type=int, default=180)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(f"{cpu_model()}; {options.accuracy}, {options.budget} evaluations, medians of {options.seeds} seeds")
    for device in options.devices:
        landscape = released(options.landscapes, device, options.accuracy)
        front = best_front(landscape, options.seeds)
        roughness = Roughness.around(landscape, front.genes, np.random.default_rng(0))
        truth = Truth(landscape)
        tactics = {
            "process": Bayesian(),
            "choice": Knowing(tell=truth.told),
            "model": Knowing(tell=truth.told, leads=True),
            "foreknown": Knowing(tell=roughness.told, leads=True),
        }
        shares: dict[str, float] = {}
        own: list[search.Result] = []
        for name, tactic in tactics.items():
            results = [searched(landscape, tactic, options.budget, seed) for seed in range(options.seeds)]
            shares[name] = float(np.median([_share(landscape, result.history.values) for result in results]))
            own = own or results
        gap, unexpected, deviations, genes = np.median([far(result, front) for result in own], axis=0)
        levels = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
        print(
            f"{device:11} {levels}; evolutions of the truth {_share(landscape, front.mean * [-1, 1]):.3f}: {gap:.2f} % "
            f"above the search, {unexpected:.2f} % = {deviations:.1f} std above the process, {genes:.0f} genes off; "
            f"remainder {roughness.deviation:.2f} %, kept {roughness.kept[0]:.2f} and {roughness.kept[1]:.2f}",
            flush=True,
        )


def _share(landscape: Landscape, values: NDArray[np.float64] | Sequence[Sequence[float]]) -> float:
    return float(hypervolume_curve(np.asarray(values), landscape.reference, _GOALS)[-1]) / (landscape.hypervolume or 1)


if __name__ == "__main__":
    main()
