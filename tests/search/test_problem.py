"""Problems of one device and of several, histories with pending architectures, uncertain constraints."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search import Constraint, ConstraintError, History, Objective, Problem, SearchError


def zeros(architectures):
    return np.zeros(len(architectures))


def two_devices(space, constraints=None):
    """Accuracy for both; the phone likes narrow, the server deep ones."""
    return Problem.of(
        space,
        [
            Objective("accuracy", measure=zeros),
            Objective("latency@phone", goal="min", measure=zeros, expensive=False),
            Objective("latency@server", goal="min", measure=zeros, expensive=False),
        ],
        constraints,
    )


def history_of(problem, values):
    values = np.asarray(values, dtype=np.float64)
    genes = problem.space.sample_genes(len(values), np.random.default_rng(0))
    return History.empty(problem).extended(genes, values, batch=0)


VALUES = [[90, 10, 1], [80, 5, 5], [70, 9, 0.5], [60, 20, 20], [50, 4, 30]]


def test_a_problem_of_one_device_has_one_view_of_everything(space, landscape):
    problem = Problem.of(space, landscape.objectives(3))
    (view,) = problem.views
    assert problem.devices == ()
    assert view.device == ""
    assert view.problem is problem
    assert view.columns.tolist() == [0, 1, 2]
    with pytest.raises(SearchError, match="unknown device 'phone'.*no objective names one"):
        problem.view("phone")


def test_each_device_sees_its_own_objectives_and_the_common_ones(ten):
    problem = two_devices(ten, {"latency": ("<=", 8), "latency@server": 3, "accuracy": 55})
    assert problem.devices == ("phone", "server")
    phone, server = problem.views
    assert phone.problem.names == server.problem.names == ["accuracy", "latency"]
    assert (phone.columns.tolist(), server.columns.tolist()) == ([0, 1], [0, 2])
    assert [str(c) for c in phone.problem.constraints] == ["accuracy >= 55", "latency <= 8"]
    assert [str(c) for c in server.problem.constraints] == ["accuracy >= 55", "latency <= 3"]
    with pytest.raises(SearchError, match="unknown device 'watch' in this search: it has phone, server"):
        problem.view("watch")


def test_fronts_and_feasibility_of_a_history_are_those_of_any_device(ten):
    history = history_of(two_devices(ten), VALUES)
    assert history.view("phone").pareto.tolist() == [True, True, False, False, True]
    assert history.view("server").pareto.tolist() == [True, False, True, False, False]
    assert history.pareto.tolist() == [True, True, True, False, True]
    assert history.hypervolume == sum(history.view(d).hypervolume for d in ("phone", "server"))
    bounded = history_of(two_devices(ten, {"latency@phone": 5, "latency@server": 0.7}), VALUES)
    assert bounded.feasible.tolist() == [False, True, True, False, True]
    assert bounded.view("phone").feasible.tolist() == [False, True, False, False, True]
    assert bounded.view("server").feasible.tolist() == [False, False, True, False, False]
    np.testing.assert_allclose(bounded.problem.violation(bounded.values), [0.3 / 0.7, 0, 0, 3, 0])


def test_names_with_devices_are_checked(ten):
    for name in ("@phone", "latency@", "a@b@c"):
        with pytest.raises(SearchError, match="expected quantity@device"):
            Objective(name, measure=zeros)
    with pytest.raises(SearchError, match="'latency' is an objective of all devices and of single ones"):
        Problem.of(ten, [Objective("latency", measure=zeros), Objective("latency@phone", measure=zeros)])
    with pytest.raises(ConstraintError, match="allowed are accuracy, latency@phone, latency, latency@server"):
        two_devices(ten, {"power": 3})


def test_pending_architectures_are_seen(space, landscape, make_history):
    history = make_history(space, landscape.objectives(), 10)
    genes = space.sample_genes(3, np.random.default_rng(77))
    awaiting = history.awaiting(genes)
    assert awaiting.seen(genes).all()
    assert not history.seen(genes).any()
    assert len(awaiting) == 10
    assert awaiting.pending_batches.tolist() == [1, 1, 1]


def test_the_reference_is_fixed_once_the_first_batch_is_known(space, landscape, make_history):
    whole = make_history(space, landscape.objectives(), 10)
    part = History.empty(whole.problem).extended(whole.genes[:4], whole.values[:4], 0).awaiting(whole.genes[4:], 0)
    assert part.reference is None
    assert part.hypervolume == 0.0
    np.testing.assert_array_equal(
        whole.reference, whole.awaiting(space.sample_genes(2, np.random.default_rng(5))).reference
    )


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.just(0.0) | st.floats(1e-6, 10)), min_size=1, max_size=5),
    st.sampled_from(["<=", ">="]),
    st.just(0.0) | st.floats(1e-6, 20) | st.floats(-20, -1e-6),
    st.floats(0.02, 0.98),
)
@settings(max_examples=100, deadline=None)
def test_a_cautious_value_keeps_the_bound_exactly_where_it_is_likely_enough(predictions, operator, bound, confidence):
    mean, std = np.array(predictions).T
    constraint = Constraint("a", operator, bound)
    probability = constraint.probability(mean, std)
    assert ((probability >= 0) & (probability <= 1)).all()
    kept = constraint.violation(constraint.cautious(mean, std, confidence)) == 0
    clear = np.abs(probability - confidence) > 1e-6
    np.testing.assert_array_equal(kept[clear], probability[clear] >= confidence)


def test_feasibility_multiplies_over_constraints_and_takes_the_best_device(ten):
    problem = two_devices(ten, {"accuracy": (">=", 70), "latency@phone": 5, "latency@server": 5})
    mean = np.array([[70.0, 4, 9], [70, 9, 9], [90, 9, 5], [70, np.nan, 4], [70, np.nan, np.nan]])
    std = np.array([[1.0, 0, 0], [1, 0, 0], [0, np.nan, 0], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(problem.feasibility(mean, std), [0.5, 0, 1, 1, 0])
    sampled = 70 + 2 * np.random.default_rng(0).standard_normal(20_000)
    one = Problem.of(ten, [Objective("accuracy", measure=zeros)], {"accuracy": (">=", 69)})
    probability = one.feasibility(np.array([[70.0]]), np.array([[2.0]]))[0]
    assert probability == pytest.approx((sampled >= 69).mean(), abs=0.01)
