"""What WeakNAS does beyond the contract of tactics."""

import numpy as np
import pytest

import search
from search import SearchError, tactics

QUICK = {"population": 40, "generations": 8}


def proposed(tactic, history, n, seed=0):
    return tactic.propose(history, n, np.random.default_rng(seed)).genes


def test_it_learns_from_random_architectures_first(space, landscape, make_history):
    weaknas, random = tactics.create("weaknas", initial=30, **QUICK), tactics.create("random")
    history = make_history(space, landscape.objectives(), 20)
    np.testing.assert_array_equal(proposed(weaknas, history, 8), proposed(random, history, 8))
    history = make_history(space, landscape.objectives(), 30)
    assert not np.array_equal(proposed(weaknas, history, 8), proposed(random, history, 8))


@pytest.mark.parametrize("n_objectives", [1, 2])
def test_with_one_objective_it_draws_from_the_best_under_the_bound(space, landscape, make_history, n_objectives):
    """The published method: here with accuracy alone, and with accuracy below a latency."""
    tactic = tactics.create("weaknas", initial=30, top=20, caps=False, **QUICK)
    sample = make_history(space, landscape.objectives(), 400)
    bound = float(np.quantile(sample.values[:, 1], 0.5)) if n_objectives == 2 else np.inf
    below = sample.values[sample.values[:, 1] <= bound, 0]
    constraints = {"latency": ("<=", bound)} if n_objectives == 2 else {}
    history = make_history(space, landscape.objectives(n_objectives), 60, constraints)
    found = space.decode(proposed(tactic, history, 8))
    assert (landscape.latency(found) <= bound).all()
    assert (landscape.accuracy(found) > np.quantile(below, 0.98)).all()


def test_picks_with_bounds_of_their_own_are_spread_over_the_front(space, landscape, make_history):
    history = make_history(space, landscape.objectives(), 60)
    both = (tactics.create("weaknas", initial=30, caps=caps, **QUICK) for caps in (True, False))
    spread, alone = (landscape.latency(space.decode(proposed(tactic, history, 20))) for tactic in both)
    assert np.ptp(spread) > 2 * np.ptp(alone)
    assert spread.min() < np.quantile(history.values[:, 1], 0.1)


def test_expensive_objectives_take_turns(space, landscape, make_history):
    """Accuracy and size: the best of either are proposed."""
    accuracy, _, size = landscape.objectives(3)
    history = make_history(space, [accuracy, size], 60)
    found = space.decode(proposed(tactics.create("weaknas", initial=30, **QUICK), history, 20))
    known = history.values
    assert landscape.accuracy(found).max() > np.quantile(known[:, 0], 0.95)
    assert landscape.size(found).min() < np.quantile(known[:, 1], 0.05)


def test_it_beats_random_search(space, landscape):
    reference = [0.0, float(landscape.latency([space.largest])[0])]
    settings = {"budget": 80, "seed": 1, "progress": False}
    weak = search.run(space, landscape.objectives(), tactic=tactics.create("weaknas", initial=30, **QUICK), **settings)
    random = search.run(space, landscape.objectives(), tactic="random", **settings)
    assert weak.hypervolume(reference) > 1.02 * random.hypervolume(reference)


@pytest.mark.parametrize("name", ["initial", "top", "population", "generations"])
def test_settings_are_checked(name):
    with pytest.raises(SearchError, match=f"{name} must be an integer of at least"):
        tactics.create("weaknas", **{name: 0})
