"""The contract of tactics, run on every one that is registered."""

import json
from dataclasses import replace

import numpy as np
import pytest

from search import History, Objective, Problem, SearchError, tactics

SMALL = {"population": 20, "generations": 4}
QUICK = {"linas": SMALL, "bayesian": SMALL, "weaknas": {**SMALL, "initial": 15}}


@pytest.fixture(params=[*tactics.available(), "bayesian by its own process"])
def tactic(request, nearest):
    name, _, own = request.param.partition(" ")
    settings = dict(QUICK.get(name, {}))
    if "predictor" in tactics.settings_of(name) and not own:
        settings["predictor"] = nearest
    return tactics.create(name, **settings)


def proposed(tactic, history, n, seed=0):
    return tactic.propose(history, n, np.random.default_rng(seed)).genes


def require_valid(genes, history):
    np.testing.assert_array_equal(genes, history.space.canonical(genes))
    assert len(np.unique(genes, axis=0)) == len(genes)
    assert not history.seen(genes).any()
    assert history.problem.admissible(genes).all()


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("n_known", [0, 20])
def test_proposals_are_canonical_distinct_and_unseen(tactic, space, landscape, make_history, n_objectives, n_known):
    history = make_history(space, landscape.objectives(n_objectives), n_known)
    genes = proposed(tactic, history, 12)
    assert len(genes) == 12
    require_valid(genes, history)


@pytest.mark.parametrize("n_known", [0, 20])
def test_what_is_pending_is_not_proposed_again(tactic, space, ten, landscape, make_landscape, make_history, n_known):
    history = make_history(space, landscape.objectives(), n_known)
    first = proposed(tactic, history, 6)
    awaiting = history.awaiting(first)
    require_valid(proposed(tactic, awaiting, 6), awaiting)
    small = make_history(ten, make_landscape(ten).objectives(), 5)
    awaiting = small.awaiting(proposed(tactic, small, 3))
    assert len(proposed(tactic, awaiting, 5)) == 2


def test_proposals_depend_on_seed_and_history_alone(tactic, space, landscape, make_history):
    history = make_history(space, landscape.objectives(), 20)
    first, again, other = (proposed(tactic, history, 8, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("n_known", [0, 3, 6, 9, 10])
def test_a_small_space_is_used_up(tactic, ten, make_landscape, make_history, n_known):
    history = make_history(ten, make_landscape(ten).objectives(), n_known)
    genes = proposed(tactic, history, 20)
    assert len(genes) == 10 - n_known
    require_valid(genes, history)


@pytest.mark.parametrize("n_known", [0, 20])
def test_cheap_constraints_hold_exactly(tactic, space, landscape, make_history, n_known):
    unconstrained = make_history(space, landscape.objectives(), 200)
    bound = np.quantile(unconstrained.values[:, 1], 0.2)
    history = make_history(space, landscape.objectives(), n_known, {"latency": ("<=", bound)})
    genes = proposed(tactic, history, 12)
    assert len(genes) == 12
    require_valid(genes, history)
    assert (landscape.latency(space.decode(genes)) <= bound).all()


def test_without_a_goal_a_bound_is_all_that_counts(tactic, space, landscape, make_history):
    accuracy, latency = landscape.objectives()
    sample = make_history(space, [accuracy, latency], 200)
    constraints = {"latency": ("<=", float(np.quantile(sample.values[:, 1], 0.5)))}
    bounded = make_history(space, [accuracy, replace(latency, goal=None)], 40, constraints)
    genes = proposed(tactic, bounded, 8)
    assert len(genes) == 8
    require_valid(genes, bounded)


def test_a_flat_objective_is_no_obstacle(tactic, space, make_history):
    flat = [Objective(name, measure=lambda a: np.ones(len(a))) for name in ("one", "two")]
    history = make_history(space, flat, 20)
    genes = proposed(tactic, history, 12)
    assert len(genes) == 12
    require_valid(genes, history)


def test_failures_are_not_proposed_again(tactic, ten, make_landscape, make_history):
    known = make_history(ten, make_landscape(ten).objectives(), 6)
    values = known.values.copy()
    values[::2, 0] = np.nan
    history = History.empty(known.problem).extended(known.genes, values, batch=0)
    genes = proposed(tactic, history, 10)
    assert len(genes) == 4
    require_valid(genes, history)


def test_nothing_but_cheap_objectives(tactic, space, landscape, make_history):
    cheap = landscape.objectives()[1:]
    history = make_history(space, [*cheap], 20)
    require_valid(proposed(tactic, history, 8), history)


def test_an_expensive_constraint_does_not_stop_a_tactic(tactic, space, landscape, make_history):
    history = make_history(space, landscape.objectives(), 20, {"accuracy": (">=", 1e6)})
    assert not history.feasible.any()
    genes = proposed(tactic, history, 8)
    assert len(genes) == 8
    require_valid(genes, history)


def test_few_admissible_architectures_are_found_in_a_large_space(tactic, space, make_history):
    def cost(architectures):
        return space.features(architectures)[:, ::3].sum(axis=1) * -1.0  # counts smallest values

    objectives = [Objective("cost", goal="min", measure=cost, expensive=False)]
    history = make_history(space, objectives, 0, {"cost": ("<=", -30.0)})
    sample = space.sample_genes(20_000, np.random.default_rng(0))
    assert not history.problem.admissible(sample).any()
    genes = proposed(tactic, history, 5)
    assert len(genes) == 5
    require_valid(genes, history)


def test_unknown_names_and_settings_are_refused():
    with pytest.raises(SearchError, match="unknown tactic 'annealing': available are .*linas, nsga2, random"):
        tactics.create("annealing")
    with pytest.raises(SearchError, match="'linas' has no setting 'populaton': it has predictor, population"):
        tactics.create("linas", populaton=3)
    with pytest.raises(SearchError, match="unknown predictor 'crystal'"):
        tactics.create("linas", predictor="crystal")
    with pytest.raises(SearchError, match="population must be an integer of at least 2, got 1"):
        tactics.create("nsga2", population=1)
    with pytest.raises(SearchError, match="generations must be an integer of at least 1, got None"):
        tactics.create("linas", generations=None)
    with pytest.raises(SearchError, match="algorithm must be one of auto, ga, nsga2"):
        tactics.create("linas", algorithm="spea")
    with pytest.raises(SearchError, match="confidence must be a probability"):
        tactics.create("linas", confidence=1)


def test_a_batch_is_a_fifth_of_the_budget():
    assert [tactics.default_batch_size(b) for b in (1, 19, 25, 60, 250, 1000)] == [4, 4, 5, 12, 50, 50]


def test_linas_predicts_what_it_proposes(space, landscape, make_history, nearest):
    history = make_history(space, landscape.objectives(), 30)
    linas = tactics.create("linas", predictor=nearest(), **QUICK["linas"])
    proposal = linas.propose(history, 6, np.random.default_rng(0))
    model = nearest().fit(space.features(history.genes), history.values[:, 0])
    np.testing.assert_allclose(proposal.predicted[:, 0], model.predict(space.features(proposal.genes))[0])
    assert np.isnan(proposal.predicted[:, 1]).all()


def test_nsga2_breeds_from_the_fittest(space, landscape, make_history):
    """Children of parents that share a gene value have it far more often than chance."""
    history = make_history(space, landscape.objectives(1), 200)
    parents = history.genes[np.argsort(-history.values[:, 0])[:10]]
    children = proposed(tactics.create("nsga2", population=10), history, 100)
    agreement = (children[:, None] == parents[None]).mean(axis=2).max(axis=1)
    strangers = (space.sample_genes(100, np.random.default_rng(1))[:, None] == parents[None]).mean(axis=2).max(axis=1)
    assert np.median(agreement) > np.median(strangers) + 0.1


SCRIPT = """
import json
import numpy as np
from search import Objective, tactics, History, Problem
from supernet.space import Choice, SearchSpace

class LeastSquares:
    def fit(self, X, y):
        self.w = np.linalg.lstsq(X, y, rcond=1e-3)[0]
    def predict(self, X):
        return X @ self.w, np.ones(len(X))

space = SearchSpace(Choice("a", (1, 2, 3), repeat=8), Choice("b", (1, 2)))
objectives = [Objective("x", measure=lambda a: space.features(a) @ np.sin(np.arange(26.0))),
              Objective("y", goal="min", measure=lambda a: space.features(a) @ np.arange(26.0), expensive=False)]
genes = space.sample_genes(20, np.random.default_rng(0))
values = np.stack([o.values(space.decode(genes)) for o in objectives], axis=1)
history = History.empty(Problem.of(space, objectives)).extended(genes, values, 0)
settings = {"linas": {"predictor": LeastSquares, "population": 20, "generations": 4}, "bayesian": {"population": 20}}
proposals = {name: tactics.create(name, **settings.get(name, {})).propose(history, 6, np.random.default_rng(1))
             for name in tactics.available()}
print(json.dumps({name: p.genes.tolist() for name, p in proposals.items()}))
"""


def test_proposals_are_the_same_in_another_process(start_fresh):
    running = [start_fresh(SCRIPT, hash_seed=hash_seed) for hash_seed in (1, 2)]
    first, second = (json.loads(process.communicate()[0]) for process in running)
    assert set(first) == set(tactics.available())
    assert first == second


def test_the_problem_of_a_history_reaches_a_custom_tactic(space, landscape):
    history = History.empty(Problem.of(space, landscape.objectives()))
    assert history.space is space
    assert [o.name for o in history.objectives] == ["accuracy", "latency"]
    assert len(history) == 0
    assert history.hypervolume == 0.0
