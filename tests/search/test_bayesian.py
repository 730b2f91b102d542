"""What Bayesian search does beyond the contract of tactics."""

from dataclasses import replace

import numpy as np
import pytest

import search
from search import History, Objective, SearchError, tactics
from search.problem import Problem
from supernet.space import Choice, SearchSpace

QUICK = {"population": 30, "generations": 6}


@pytest.fixture
def bayesian():
    return tactics.create("bayesian", **QUICK)


def proposed(tactic, history, n, seed=0):
    return tactic.propose(history, n, np.random.default_rng(seed))


def with_ends(history):
    """A history, then the smallest and the largest architecture, as a search begins with them."""
    ends = [history.space.smallest, history.space.largest]
    values = np.stack([objective.values(ends) for objective in history.objectives], axis=1)
    return history.extended(history.space.encode(ends), values, batch=0)


def test_the_first_batch_is_spread_from_the_smallest_to_the_largest(bayesian, space, landscape, make_history):
    genes = proposed(bayesian, make_history(space, landscape.objectives(), 0), 10).genes
    latency = np.sort(landscape.latency(space.decode(genes)))
    ends = landscape.latency([space.smallest, space.largest])
    np.testing.assert_allclose(latency[[0, -1]], ends)
    assert np.diff(latency).max() < 0.3 * np.ptp(ends)


def test_few_measurements_beat_many_random_ones(bayesian, space, landscape):
    sample = space.sample(500)
    reference = [landscape.accuracy(sample).min(), landscape.latency(sample).max()]

    def volume(tactic, budget):
        found = search.run(space, landscape.objectives(), tactic=tactic, budget=budget, seed=1, progress=False)
        return found.hypervolume(reference)

    assert volume(bayesian, 40) > 1.1 * volume("random", 400)


def test_what_a_tactic_remembers_changes_nothing(bayesian, space, landscape, make_history):
    history = make_history(space, landscape.objectives(), 40)
    shorter = History.empty(history.problem).extended(history.genes[:30], history.values[:30], batch=0)
    proposed(bayesian, shorter, 4)
    proposed(bayesian, make_history(space, landscape.objectives(), 25, seed=9), 4)
    fresh = tactics.create("bayesian", **QUICK)
    np.testing.assert_array_equal(proposed(bayesian, history, 4).genes, proposed(fresh, history, 4).genes)


def test_the_front_grows_as_far_as_it_is_predicted_to_reach(bayesian, space, landscape):
    """Of cheap architectures only is anything known, and those that cost more are better: it need not creep there."""
    genes = np.unique(space.canonical(np.minimum(space.sample_genes(40, np.random.default_rng(0)), 1)), axis=0)
    values = np.stack([o.values(space.decode(genes)) for o in landscape.objectives()], axis=1)
    history = History.empty(Problem.of(space, landscape.objectives())).extended(genes, values, batch=0)
    cost = values[history.pareto, 1]
    found = landscape.latency(space.decode(proposed(bayesian, history, 5).genes))
    assert found.max() > cost.max() + 0.5 * np.ptp(cost)


def test_to_maximise_is_to_minimise_the_negative(bayesian, space, landscape, make_history):
    def flipped(objective):
        other = {"max": "min", "min": "max"}[objective.goal]
        return replace(objective, goal=other, measure=lambda a: -np.asarray(objective.measure(a)))

    objectives = landscape.objectives(3)
    there = proposed(bayesian, make_history(space, objectives, 20), 5)
    back = proposed(bayesian, make_history(space, list(map(flipped, objectives)), 20), 5)
    np.testing.assert_array_equal(there.genes, back.genes)
    np.testing.assert_allclose(there.predicted, -back.predicted)


def test_predictions_are_of_expensive_objectives_and_good(bayesian, space, landscape, make_history):
    history = with_ends(make_history(space, landscape.objectives(), 60))
    proposal = proposed(bayesian, history, 8)
    truth = landscape.accuracy(space.decode(proposal.genes))
    assert np.abs(proposal.predicted[:, 0] - truth).max() < 0.15 * np.ptp(history.values[:, 0])
    assert np.isnan(proposal.predicted[:, 1]).all()


def test_pending_architectures_count_as_measured(bayesian, space, landscape, make_history):
    """Asked again while its first answer is pending, it proposes what goes well with that: as good as one batch."""
    history = make_history(space, landscape.objectives(), 40)

    def volume(genes):
        values = np.stack([o.values(space.decode(genes)) for o in history.objectives], axis=1)
        return history.extended(genes, values, batch=1).hypervolume

    gains = []
    for seed in range(3):
        first = proposed(bayesian, history, 6, seed).genes
        again = proposed(bayesian, history.awaiting(first), 6, seed).genes
        whole = proposed(bayesian, history, 12, seed).genes
        gains.append([volume(g) - history.hypervolume for g in (first, np.concatenate([first, again]), whole)])
    first, both, whole = np.median(gains, axis=0)
    assert both > 1.1 * first
    assert both > 0.9 * whole


def test_a_bound_on_an_expensive_objective_is_met_by_most(bayesian, space, landscape, make_history):
    plain = make_history(space, landscape.objectives(), 60)
    bound = float(np.quantile(plain.values[:, 0], 0.7))
    history = make_history(space, landscape.objectives(), 60, {"accuracy": (">=", bound)})
    genes = proposed(bayesian, history, 10).genes
    assert (landscape.accuracy(space.decode(genes)) >= bound).sum() >= 8


def test_where_nothing_is_feasible_it_goes_towards_the_bound(bayesian, space, landscape, make_history):
    bound = 1.01 * float(landscape.accuracy(space.sample(2000)).max())
    history = make_history(space, landscape.objectives(), 40, {"accuracy": (">=", bound)})
    assert not history.feasible.any()
    found = landscape.accuracy(space.decode(proposed(bayesian, history, 5).genes))
    assert np.median(found) > history.values[:, 0].max()


def test_a_broken_architecture_does_not_hide_all_others(bayesian, space, landscape, make_history):
    history = with_ends(make_history(space, landscape.objectives(), 60))
    values = history.values.copy()
    values[7, 0] = -1e6
    broken = History.empty(history.problem).extended(history.genes, values, batch=0)
    proposal = proposed(bayesian, broken, 5)
    truth = landscape.accuracy(space.decode(proposal.genes))
    assert np.median(np.abs(proposal.predicted[:, 0] - truth)) < 0.6 * history.values[:, 0].std()


def test_the_best_of_a_small_space_is_found_early():
    space = SearchSpace(Choice("a", tuple(range(9))), Choice("b", tuple(range(9))), Choice("c", tuple(range(9))))

    def peak(architectures):
        return [-((a["a"] - 6) ** 2) - (a["b"] - 2) ** 2 - (a["c"] - 4) ** 2 for a in architectures]

    result = search.run(space, [Objective("score", measure=peak)], budget=40, progress=False)
    assert result.frame["score"].max() == 0


def test_one_search_for_two_devices_measures_less_than_two_searches(space, landscape):
    """Devices that like different sub-networks: 75 measurements give fronts as good as 2 times 50 do."""
    there, here = landscape, type(landscape)(space, seed=1)
    accuracy = there.objectives()[0]
    latencies = {"phone": there.latency, "board": here.latency}
    sample = space.sample(500)
    floor = float(there.accuracy(sample).min())

    def volumes(names, budget):
        objectives = [
            accuracy,
            *(Objective(f"latency@{n}", goal="min", measure=latencies[n], expensive=False) for n in names),
        ]
        result = search.run(space, objectives, budget=budget, seed=3, progress=False)
        return [result.view(n).hypervolume([floor, latencies[n](sample).max()]) for n in names]

    together = volumes(["phone", "board"], 75)
    alone = [*volumes(["phone"], 50), *volumes(["board"], 50)]
    assert np.divide(together, alone).min() > 0.97


def test_what_has_no_goal_is_only_bounded(bayesian, space, landscape):
    """All measurements go to the best accuracy under the cap, which comes closer to it than a front does."""
    cap = float(np.quantile(landscape.latency(space.sample(500)), 0.2))

    def best(goal):
        objectives = [landscape.objectives()[0], replace(landscape.objectives()[1], goal=goal)]
        found = search.run(
            space, objectives, tactic=bayesian, budget=50, constraints={"latency": ("<=", cap)}, progress=False
        )
        assert (found.frame["latency"] <= cap).all()
        return found

    bounded = best(None)
    assert bounded.frame["accuracy"].max() >= best("min").frame["accuracy"].max()
    assert len(bounded.pareto()) == 1
    assert bounded.best("accuracy")["accuracy"] == bounded.frame["accuracy"].max()
    with pytest.raises(SearchError, match="'latency' has no goal"):
        bounded.best("latency")


def test_what_was_measured_elsewhere_makes_a_search_shorter(space, landscape, tmp_path):
    """The same ranks in another unit, measured by 60 random draws."""

    def objectives(scope, factor):
        accuracy, latency = landscape.objectives()
        return [replace(accuracy, scope=scope, measure=lambda a: factor * landscape.accuracy(a)), latency]

    store = tmp_path / "elsewhere.sqlite"
    search.run(space, objectives("elsewhere", 0.5), tactic="random", budget=60, store=store, progress=False)
    sample = space.sample(500)
    reference = [landscape.accuracy(sample).min(), landscape.latency(sample).max()]

    def volume(seed, warm_start):
        found = search.run(space, objectives("here", 1.0), budget=25, seed=seed, warm_start=warm_start, progress=False)
        return found.hypervolume(reference)

    assert np.median([volume(seed, store) / volume(seed, None) for seed in range(3)]) > 1.03


@pytest.mark.parametrize("kind", ["flat", "steps", "broken"])
def test_any_objective_can_be_searched(bayesian, space, kind):
    def measure(architectures):
        value = space.features(architectures).sum(axis=1)
        return {"flat": 0 * value, "steps": np.sign(value - 30), "broken": np.where(value % 2 < 1, np.nan, value)}[kind]

    objectives = [
        Objective("quality", measure=measure),
        Objective("cost", goal="min", measure=lambda a: space.features(a).sum(axis=1), expensive=False),
    ]
    result = search.run(space, objectives, tactic=bayesian, budget=25, progress=False)
    assert len(result.frame) == 25


def test_mistaken_settings_are_refused():
    with pytest.raises(SearchError, match="initial must be an integer of at least 1, got 0"):
        tactics.create("bayesian", initial=0)
    with pytest.raises(SearchError, match="population must be an integer of at least 2, got None"):
        tactics.create("bayesian", population=None)
    with pytest.raises(SearchError, match="optimism must be a number of at least 0, got -1"):
        tactics.create("bayesian", optimism=-1)
    with pytest.raises(SearchError, match="unknown predictor 'crystal'"):
        tactics.create("bayesian", predictor="crystal")


def test_batches_are_small(bayesian):
    assert [bayesian.batch_size(budget) for budget in (1, 10, 250, 600, 1200)] == [1, 5, 5, 10, 20]
    history = History.empty(Problem.of(SearchSpace(Choice("a", (1, 2))), [Objective("x", measure=len)]))
    assert len(proposed(bayesian, history, 5).genes) == 2
