import numpy as np

from search.grades import Grades
from supernet.space import Choice, SearchSpace, within_depth


def small_space():
    return SearchSpace(
        Choice("width", (8, 16, 32)), Choice("kernel", (3, 5), repeat=3, active=within_depth("depth", (3,), base=1)),
        Choice("depth", (0, 1, 2), repeat=1),
    )  # fmt: skip


def test_steps_say_how_far_a_value_is_and_whether_it_matters():
    space = small_space()
    genes = space.encode([{"width": 16, "kernel": [5, 3, 5], "depth": [1]}])
    steps = Grades(space)(genes)[0, :9]
    # width >= 16, >= 32; kernel[0] >= 5; kernel[1] active, >= 5; kernel[2] active, >= 5; depth >= 1, >= 2
    np.testing.assert_array_equal(steps, [1, 0, 1, 1, 0, 0, 0, 1, 0])


def test_trends_add_the_steps_up_along_positions():
    space = small_space()
    found = Grades(space)(space.encode([{"width": 8, "kernel": [5, 3, 5], "depth": [2]}]))[0, 9:]
    steps = np.array([1, 1, 2])  # per position
    weights = np.cos(np.pi * np.outer(np.arange(3), np.arange(3) + 0.5) / 3)
    np.testing.assert_allclose(found, weights @ steps, atol=1e-12)


def test_columns_group_what_belongs_together():
    columns = Grades(small_space()).columns
    assert columns.group[:9].tolist() == [0, 0, 1, 2, 2, 3, 3, 4, 4]
    assert columns.group[9:].tolist() == [5, 6, 7]
    assert columns.level.tolist() == [0] * 9 + [1, 2, 2]


def test_distinct_architectures_have_distinct_features(space):
    genes = space.sample_genes(300, np.random.default_rng(0))
    assert len(np.unique(Grades(space)(genes), axis=0)) == 300


def test_choices_of_one_position_have_no_trends():
    space = SearchSpace(Choice("a", (1, 2, 3)), Choice("b", (1,)))
    assert Grades(space)(space.enumerate()).tolist() == [[0, 0], [1, 0], [1, 1]]
    assert Grades(space).columns.level.tolist() == [0, 0]
