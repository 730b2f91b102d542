"""Whether a tactic is ever worse than random search: spaces of all sizes, objectives that models get wrong, any budget.

    python benchmarks/search/never_worse.py                                          # about half an hour
    python benchmarks/search/never_worse.py --spaces 10 mobilenet --objectives flat trap --budgets 20 50 --seeds 6

Spaces: made-up ones by their size, and those of the shipped super-networks. Objectives, to maximise: "smooth"; "flat"
is constant; "noise" is drawn anew for each architecture; "trap" is the sum over groups of three genes, each worth most
where all three are the hidden ones, and else the more the fewer are; "basin" likewise falls towards a hidden
architecture, and is highest close to it, where one random draw in a hundred lies, or less. "front" is the hypervolume
together with a cheap cost, "single" the best value.

Prints, for each budget, the probability that the tactic finds at least as much as random search (ties count half), and
"worse" where its median is lower and chance explains that in less than one case in twenty (one-sided rank test).
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from comparison.landscapes import Floats, Landscape, Values, additive, landscape, mobilenet_space, normal, saturating
from scipy.stats import mannwhitneyu

import search
from supernet.architecture import Architecture
from supernet.space import Choice, SearchSpace

GOALS = ("max", "min")
_GROUP = 3
_BASIN = 0.01


def _made(*n_values: int) -> SearchSpace:
    return SearchSpace(*(Choice(f"gene{i}", tuple(range(n))) for i, n in enumerate(n_values)))


def _shipped(family: str, **settings: object) -> SearchSpace:
    import supernet

    return supernet.create(family, **settings).space


SPACES: dict[str, Callable[[], SearchSpace]] = {
    "10": lambda: _made(5, 2),
    "144": lambda: _made(4, 4, 3, 3),
    "4096": lambda: _made(*[4] * 6),
    "1e6": lambda: _made(*[10] * 6),
    "mobilenet": mobilenet_space,
    "1e30": lambda: _made(*[10] * 30),
    "ofa_mobilenetv3": partial(_shipped, "ofa_mobilenetv3"),
    "ofa_proxyless": partial(_shipped, "ofa_proxyless"),
    "ofa_resnet50": partial(_shipped, "ofa_resnet50"),
    "digits_mobilenetv3": partial(_shipped, "digits_mobilenetv3"),
    "hat_wmt14_en_de": partial(_shipped, "hat_transformer", space="wmt14_en_de", vocab_size=1000),
    "vit_small": partial(_shipped, "vit", model="vit_small_patch16_224"),
    "bert": partial(_shipped, "bert", vocab_size=1000),
}


def smooth(space: SearchSpace, seed: int) -> Values:
    """Saturates in what genes are worth, with some interactions."""
    return saturating(space, 0.25)


def flat(space: SearchSpace, seed: int) -> Values:
    """The same everywhere."""
    return lambda architectures: np.ones(len(architectures))


def noise(space: SearchSpace, seed: int) -> Values:
    """Nothing to learn."""
    return lambda architectures: normal(space.encode(architectures), seed)


def trap(space: SearchSpace, seed: int) -> Values:
    """Groups of three genes (after Deb and Goldberg, 1993): 1 for the hidden values, else the more the further off."""
    hidden = space.sample_genes(1, np.random.default_rng([4, seed]))[0]

    def accuracy(architectures: list[Architecture]) -> Floats:
        hits = space.encode(architectures) == hidden
        groups = np.array_split(hits, max(1, space.n_genes // _GROUP), axis=1)
        return np.asarray(sum(np.where(g.all(axis=1), 1.0, 0.8 * (1 - g.mean(axis=1))) for g in groups))

    return accuracy


def basin(space: SearchSpace, seed: int) -> Values:
    """Falls with the number of genes shared with a hidden architecture, and jumps up where they are many."""
    hidden = space.sample_genes(1, np.random.default_rng([5, seed]))[0]
    drawn = space.canonical(np.random.default_rng(6).integers(0, space.n_values, size=(4000, space.n_genes)))
    shares = (drawn == hidden).mean(axis=1)
    least = next((level for level in np.unique(shares) if (shares >= level).mean() <= _BASIN), 1.0)

    def accuracy(architectures: list[Architecture]) -> Floats:
        shared = (space.encode(architectures) == hidden).mean(axis=1)
        return np.where(shared >= least, 1.0 + shared, 0.5 * (1 - shared))

    return accuracy


OBJECTIVES: dict[str, Callable[[SearchSpace, int], Values]] = {
    "smooth": smooth,
    "flat": flat,
    "noise": noise,
    "trap": trap,
    "basin": basin,
}


def scores(land: Landscape, alone: bool, tactic: str, budget: int, seed: int) -> Floats:
    """Best value, or hypervolume, after each evaluation."""
    objectives = [search.Objective("accuracy", goal="max", measure=land.accuracy)]
    if not alone:
        objectives.append(search.Objective("latency", goal="min", measure=land.latency, expensive=False))
    result = search.run(land.space, objectives, tactic=tactic, budget=budget, seed=seed, progress=False)
    values = result.history.values
    if alone:
        return np.maximum.accumulate(values[:, 0])
    reference = (land.reference[0] - 1e-3, land.reference[1] * 1.001)
    return search.pareto.hypervolume_curve(values, reference, GOALS)


def compared(
    tactic: str, lands: Sequence[Landscape], alone: bool, budgets: Sequence[int], chance: float = 0.05
) -> list[tuple[float, bool]]:
    """Searches with seeds 0, 1, ..., each in a landscape of its own.

    Returns, per budget: the probability of at least as much as random search, and whether the tactic is worse: a lower
    median that has at most this chance.
    """
    baseline = [scores(land, alone, "random", max(budgets), seed) for seed, land in enumerate(lands)]
    found = []
    for budget in budgets:
        random = np.array([curve[min(budget, len(curve)) - 1] for curve in baseline])
        own = np.array([scores(land, alone, tactic, budget, seed)[-1] for seed, land in enumerate(lands)])
        random, own = np.round(random, 9), np.round(own, 9)
        ahead = (own[:, None] > random).mean() + 0.5 * (own[:, None] == random).mean()
        lower = np.median(own) < np.median(random)
        found.append((ahead, bool(lower and mannwhitneyu(own, random, alternative="less").pvalue < chance)))
    return found


def made(name: str, space: SearchSpace, objective: str, seed: int) -> Landscape:
    """With a cost that adds up, as second objective."""
    return landscape(f"{name}/{objective}", space, OBJECTIVES[objective](space, seed), additive(space))


def main() -> None:
    """Prints one row per space, objective and kind of score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tactic", default="bayesian")
    parser.add_argument("--spaces", nargs="+", choices=SPACES, default=list(SPACES))
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES))
    parser.add_argument("--kinds", nargs="+", choices=["front", "single"], default=["front", "single"])
    parser.add_argument("--budgets", type=int, nargs="+", default=[5, 10, 20, 50, 100])
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    budgets = sorted(options.budgets)
    n_cells, n_worse = 0, 0
    print("| space | size | objective | score |" + "".join(f" {budget} |" for budget in budgets))
    print("| --- | --- | --- | --- |" + " --- |" * len(budgets))
    for name in options.spaces:
        space = SPACES[name]()
        for objective in options.objectives:
            lands = [made(name, space, objective, seed) for seed in range(options.seeds)]
            for kind in options.kinds:
                found = compared(options.tactic, lands, kind == "single", budgets)
                cells = [f"{ahead:.2f}{' worse' if worse else ''}" for ahead, worse in found]
                print(f"| {name} | {space.size:.2g} | {objective} | {kind} | {' | '.join(cells)} |", flush=True)
                n_cells, n_worse = n_cells + len(found), n_worse + sum(worse for _, worse in found)
    print(f"\n{options.tactic} is worse than random search in {n_worse} of {n_cells} cells, {options.seeds} seeds")


if __name__ == "__main__":
    main()
