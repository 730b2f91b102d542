import numpy as np
import pytest

from search import Constraint, ConstraintError, Objective, Problem, SearchError


def ones(architectures):
    return np.ones(len(architectures))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "status"}, "taken by a column"),
        ({"name": "predicted_x"}, "taken by a column"),
        ({"name": "a", "goal": "maximise"}, "'max' or 'min'"),
        ({"name": "a", "measure": 3}, "must be a function"),
        ({"name": "a", "scope": None}, "scope must be a string"),
    ],
)
def test_a_wrong_objective_is_refused_with_the_rule(arguments, message):
    with pytest.raises(SearchError, match=message):
        Objective(**{"measure": ones, **arguments})


def test_an_objective_checks_the_shape_of_what_it_measures(space):
    with pytest.raises(SearchError, match=r"shape \(3,\).*got shape \(3, 1\)"):
        Objective("a", measure=lambda a: np.ones((len(a), 1))).values(space.sample(3))


@pytest.mark.parametrize("given", ["97.2", None, 97.0, {"top1": 3.0}, ["much"]])
def test_what_is_no_array_of_numbers_is_shown(space, given):
    with pytest.raises(
        SearchError, match=r"must return an array of shape \(1,\) for 1 architectures, got \w+ "
    ) as raised:
        Objective("a", measure=lambda _: given).values(space.sample(1))
    assert repr(given) in str(raised.value)


def test_an_objective_is_shown_without_the_data_of_its_measure():
    objective = Objective("a", goal="min", measure=np.ones(9000).tolist().__contains__, expensive=False)
    assert repr(objective) == "Objective('a', goal='min', cheap, measure=list.__contains__)"


def test_errors_are_value_errors():
    assert issubclass(ConstraintError, SearchError)
    assert issubclass(SearchError, ValueError)


@pytest.mark.parametrize("given", [("<", 3), (">=", float("nan")), "<= 3", ("<=",), ("<=", "3"), ("<=", True), None])
def test_a_malformed_constraint_is_refused_by_name(given):
    with pytest.raises(ConstraintError, match="constraint on 'a'"):
        Constraint.parse(Objective("a", measure=ones), given)


@pytest.mark.parametrize(("goal", "operator"), [("min", "<="), ("max", ">=")])
def test_a_number_means_at_least_this_good(goal, operator):
    assert Constraint.parse(Objective("a", goal=goal, measure=ones), 2) == Constraint("a", operator, 2.0)


def test_violation_is_relative_and_infinite_for_nan():
    violation = Constraint("a", "<=", 10.0).violation(np.array([5.0, 10.0, 15.0, np.nan]))
    np.testing.assert_allclose(violation, [0, 0, 0.5, np.inf])
    np.testing.assert_allclose(Constraint("a", ">=", 0.0).violation(np.array([1.0, -2.0])), [0, 2])


def test_a_problem_refuses_unknown_constraints_and_repeated_objectives(space):
    a = Objective("a", measure=ones)
    with pytest.raises(ConstraintError, match="'b', which is no objective: allowed are a"):
        Problem.of(space, [a], {"b": ("<=", 1)})
    with pytest.raises(SearchError, match="distinct names"):
        Problem.of(space, [a, a])
    with pytest.raises(SearchError, match="distinct names"):
        Problem.of(space, [])
    with pytest.raises(SearchError, match="list of search.Objective"):
        Problem.of(space, a)


def test_cheap_values_leave_expensive_columns_unknown_and_nan_is_inadmissible(space, landscape):
    problem = Problem.of(
        space,
        [
            Objective("expensive", measure=ones),
            Objective("cheap", measure=lambda a: np.where([x["d"][0] == 2 for x in a], np.nan, 1.0), expensive=False),
        ],
    )
    genes = space.sample_genes(200, np.random.default_rng(0))
    values = problem.cheap_values(genes)
    shallow = np.array([a["d"][0] == 2 for a in space.decode(genes)])
    assert np.isnan(values[:, 0]).all()
    assert 0 < shallow.sum() < 200
    np.testing.assert_array_equal(problem.admissible(genes), ~shallow)


def test_a_cheap_objective_that_raises_is_named(space):
    def broken(architectures):
        raise KeyError("table")

    problem = Problem.of(space, [Objective("lat", measure=broken, expensive=False)])
    with pytest.raises(SearchError, match="'lat' failed: KeyError"):
        problem.cheap_values(space.sample_genes(1, np.random.default_rng(0)))


def test_the_scope_is_that_of_what_measures_unless_given():
    class Table:
        scope = "of the table"

        def latency(self, architectures):
            return [1.0] * len(architectures)

        __call__ = latency

    assert Objective("latency", measure=Table().latency).scope == "of the table"
    assert Objective("latency", measure=Table()).scope == "of the table"
    assert Objective("latency", measure=Table().latency, scope="mine").scope == "mine"
    assert Objective("latency", measure=lambda architectures: [1.0]).scope == ""
