"""Laws of search spaces, stated as properties over random spaces with activity rules and aliases."""

import itertools
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet import Architecture, ArchitectureError, Choice, SearchSpace, When, within_depth


@st.composite
def spaces(draw):
    """Small staged spaces: depths switch blocks off, a scalar switch turns another choice off, values have aliases."""
    n_stages = draw(st.integers(1, 3))
    per_stage = draw(st.integers(1, 3))
    depths = tuple(range(draw(st.integers(0, 1)), per_stage + 1))
    base = 0 if depths[0] else draw(st.integers(0, 1))
    exists = within_depth("d", [per_stage] * n_stages, base=base)
    choices = [
        Choice("ks", (3, 5, 7)[: draw(st.integers(1, 3))], n_stages * per_stage, exists),
        Choice("d", depths, n_stages),
    ]
    if draw(st.booleans()):
        choices.append(Choice("kind", ("plain", "gated", "double")))
        choices.append(Choice("gate", (0.25, 0.5), 2, lambda i: When("kind", test=lambda kind: kind != "plain")))
    if draw(st.booleans()):
        choices.append(Choice("w", (0, 1, 2), 2, aliases=lambda i: {1: 0} if i == 0 else {}))
    order = draw(st.permutations(choices))
    return SearchSpace(*order)


def every_raw_row(space):
    return np.array(list(itertools.product(*(range(n) for n in space.n_values))), dtype=np.int64)


def is_small(space):
    return np.prod(space.n_values.astype(float)) <= 20_000


@settings(max_examples=60, deadline=None)
@given(spaces())
def test_size_counts_the_distinct_canonical_forms(space):
    if not is_small(space):
        return
    canonical = space.canonical(every_raw_row(space))
    distinct = {row.tobytes() for row in canonical}
    assert space.size == len(distinct)
    assert {row.tobytes() for row in space.enumerate()} == distinct


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_decode_and_encode_are_inverse_on_canonical_forms(space, seed):
    raw = np.random.default_rng(seed).integers(0, space.n_values, size=(20, space.n_genes))
    canonical = space.canonical(raw)
    architectures = space.decode(raw)
    np.testing.assert_array_equal(space.encode(architectures), canonical)
    np.testing.assert_array_equal(space.encode([dict(a) for a in architectures]), canonical)
    np.testing.assert_array_equal(space.canonical(canonical), canonical)
    assert [space.validate(json.loads(a.to_json())) for a in architectures] == architectures


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_features_are_one_hot_exactly_where_genes_are_active(space, seed):
    n = min(12, space.size)
    architectures = space.sample(n, seed)
    features = space.features(architectures)
    active = space.active(space.encode(architectures))
    assert features.dtype == np.float32
    assert features.shape == (n, space.n_values.sum())
    per_gene = np.add.reduceat(features, np.concatenate([[0], np.cumsum(space.n_values)[:-1]]), axis=1)
    np.testing.assert_array_equal(per_gene, active.astype(np.float32))
    assert len({row.tobytes() for row in features}) == n


@settings(max_examples=40, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_samples_are_distinct_canonical_and_depend_on_the_seed_alone(space, seed):
    n = min(30, space.size)
    architectures = space.sample(n, seed)
    assert len(set(architectures)) == n
    assert architectures == space.sample(n, seed)
    np.testing.assert_array_equal(space.canonical(space.encode(architectures)), space.encode(architectures))


@settings(max_examples=40, deadline=None)
@given(spaces())
def test_a_described_space_comes_back_the_same(space):
    again = SearchSpace.from_description(json.loads(json.dumps(space.describe())))
    assert again.fingerprint == space.fingerprint
    assert again.size == space.size
    drawn = space.sample(min(10, space.size), 3)
    np.testing.assert_array_equal(again.encode([dict(a) for a in drawn]), space.encode(drawn))
    np.testing.assert_array_equal(again.features(drawn), space.features(drawn))


def staged(**changes):
    exists = within_depth("d", [4] * 5)
    choices = {
        "ks": Choice("ks", (3, 5, 7), 20, exists),
        "e": Choice("e", (3, 4, 6), 20, exists),
        "d": Choice("d", (2, 3, 4), 5),
        "r": Choice("r", (128, 160, 192, 224)),
    }
    return SearchSpace(*(choices | changes).values())


def test_size_of_a_large_staged_space_is_exact():
    assert staged().size == (9**2 + 9**3 + 9**4) ** 5 * 4


def test_sampling_is_uniform_over_distinct_networks_not_over_raw_genes():
    """With depth 1 or 2 and 3 kernels there are 3 shallow and 9 deep networks: depth 2 has to come up in 3 of 4."""
    space = SearchSpace(
        Choice("ks", (3, 5, 7), 2, within_depth("d", [2])), Choice("d", (1, 2), 1), Choice("x", range(999))
    )
    drawn = space.sample(4000, seed=1)
    deep = np.mean([a["d"][0] == 2 for a in drawn])
    assert deep == pytest.approx(0.75, abs=0.03)  # 4 standard deviations
    kernels = [a["ks"][0] for a in drawn]
    assert [kernels.count(k) / 4000 for k in (3, 5, 7)] == pytest.approx([1 / 3] * 3, abs=0.03)


def test_drawing_a_whole_space_and_more_than_it_holds():
    space = SearchSpace(Choice("a", (1, 2, 3)), Choice("b", (1, 2), 2))
    assert len(set(space.sample(12))) == 12
    with pytest.raises(ValueError, match="cannot draw 13 distinct sub-networks: the space holds 12"):
        space.sample(13)


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5, "r": 100}, r"r: 100 is not one of \(128, 160, 192, 224\)"),
        ({"ks": [3] * 19 + [9], "e": [3] * 20, "d": [2] * 5, "r": 128}, r"ks\[19\]: 9 is not one of \(3, 5, 7\)"),
        ({"ks": [3] * 19, "e": [3] * 20, "d": [2] * 5, "r": 128}, "ks needs 20 values, got 19"),
        ({"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5}, "r is missing: allowed values are"),
        ({"kernel": 3}, "unknown choice 'kernel': this space has ks, e, d, r"),
        ({"ks": [True] * 20, "e": [3] * 20, "d": [2] * 5, "r": 128}, r"ks\[0\]: True is not one of"),
    ],
)
def test_mistakes_in_a_mapping_are_named(mapping, expected):
    with pytest.raises(ArchitectureError, match=expected):
        staged().validate(mapping)


def test_lists_of_one_stand_for_scalars_and_scalars_for_uniform_choices():
    space = staged()
    assert space.validate({"ks": 5, "e": 4, "d": 4, "r": [160]})["ks"] == (5,) * 20
    assert space.validate({"ks": 5, "e": 4, "d": 4, "r": [160]})["r"] == 160


def test_what_has_one_value_may_be_left_out():
    space = SearchSpace(Choice("ks", (3, 5), 2), Choice("d", (6,)), Choice("e", (("a", 1),), 2))
    assert space.validate({"ks": [3, 5]}) == {"ks": (3, 5), "d": 6, "e": (("a", 1),) * 2}


@pytest.mark.parametrize("repeat", [None, 2, 3])
def test_values_may_be_tuples(repeat):
    space = SearchSpace(Choice("block", (("conv", 3), ("conv", 5), ("skip", 0)), repeat), Choice("width", (8, 16)))
    for architecture in space.sample(5):
        assert space.validate(json.loads(architecture.to_json())) == architecture
        assert space.validate(dict(architecture)) == architecture
    uniform = space.validate({"block": ["conv", 5], "width": 16})
    assert uniform["block"] == (("conv", 5) if repeat is None else (("conv", 5),) * repeat)
    restored = SearchSpace.from_description(json.loads(json.dumps(space.describe())))
    assert restored.fingerprint == space.fingerprint
    assert restored.validate(uniform) == uniform
    with pytest.raises(ArchitectureError, match="block"):
        space.validate({"block": ["conv", 7], "width": 16})


def test_tuples_that_are_possible_at_some_positions_only_survive_json():
    small, middle, large = (1, 2), (3, 4), (5, 6)
    space = SearchSpace(
        Choice("block", (small, middle, large), 2, allowed=((small, middle, large), (middle, large)).__getitem__),
        Choice(
            "other", (small, middle, large), 2, aliases=lambda _: {large: middle}, allowed=lambda _: (middle, large)
        ),
        Choice("gate", (0, 1), active=lambda _: When(("block", 1), test=lambda value: value == large)),
    )
    restored = SearchSpace.from_description(json.loads(json.dumps(space.describe())))
    assert restored.fingerprint == space.fingerprint
    assert restored.size == space.size == 3 * (1 + 2)
    assert restored.largest == space.largest


VALUES = [None, True, False, 2, 0.5, "relu", ("conv", 3)]


@given(st.lists(st.sampled_from(VALUES), min_size=1, unique_by=repr), st.sampled_from([None, 1, 3]))
def test_values_of_any_plain_type_come_back_from_json(values, repeat):
    space = SearchSpace(Choice("a", tuple(values), repeat))
    restored = SearchSpace.from_description(json.loads(json.dumps(space.describe())))
    for architecture in space.sample(space.size):
        again = restored.validate(json.loads(architecture.to_json()))
        assert again == architecture
        assert [type(v) for v in again.values()] == [type(v) for v in architecture.values()]


def test_numpy_values_are_taken_as_plain_ones():
    space = SearchSpace(Choice("r", np.arange(8, 24, 8)), Choice("gated", (False, True), 2))
    assert space.choice("r").values == (8, 16)
    assert json.loads(space.largest.to_json()) == {"r": 16, "gated": [True, True]}
    assert space.validate({"r": np.int64(16), "gated": np.array([True, False])})["gated"] == (True, False)
    assert space.validate({"r": 16, "gated": [np.bool_(True)] * 2}) == space.largest


def test_a_space_of_more_than_a_float_holds_is_printed():
    assert "size about 10^331" in repr(SearchSpace(Choice("a", (1, 2), 1100)))


def test_wrong_genes_are_named():
    space = staged()
    genes = np.zeros((2, space.n_genes), dtype=int)
    genes[1, 2] = 3
    with pytest.raises(ArchitectureError, match=r"row 1, ks\[2\]: index 3 is not in 0\.\.2"):
        space.decode(genes)
    with pytest.raises(ArchitectureError, match="genes must have shape"):
        space.canonical(np.zeros((2, 3), dtype=int))


def test_fewer_values_are_fewer_at_every_position():
    depths = Choice("d", (1, 2, 3), 2, allowed=((1, 2, 3), (2, 3)).__getitem__)
    fewer = SearchSpace(replace(depths, values=(1, 2)))
    assert {architecture["d"] for architecture in fewer.sample(2)} == {(1, 2), (2, 2)}
    assert fewer.size == 2
    heads = Choice("heads", (1, 2, 3, 4), aliases=lambda position: {2: 1, 3: 1})
    assert SearchSpace(replace(heads, values=(2, 3, 4))).size == 2


def test_broken_spaces_are_refused():
    with pytest.raises(ValueError, match=r"d\[1\]: none of \(1,\) is possible there"):
        SearchSpace(Choice("d", (1,), 2, allowed=((1,), (2, 3)).__getitem__))
    with pytest.raises(ValueError, match="distinct names"):
        SearchSpace(Choice("a", (1,)), Choice("a", (2,)))
    with pytest.raises(ValueError, match="values must be distinct"):
        Choice("a", (1, 1))
    with pytest.raises(ValueError, match="names 'b', which is no gene"):
        SearchSpace(Choice("a", (1, 2), active=lambda i: When("b", test=bool)))
    with pytest.raises(ValueError, match="cycle among"):
        SearchSpace(
            Choice("a", (1, 2), active=lambda i: When("b", test=bool)),
            Choice("b", (1, 2), active=lambda i: When("a", test=bool)),
        )
    with pytest.raises(ValueError, match=r"a rule for 3 positions: there is no stage of position 3"):
        SearchSpace(Choice("a", (1, 2), 4, within_depth("d", [3])), Choice("d", (1, 2, 3)))
    with pytest.raises(ValueError, match="made of choices"):
        SearchSpace({"a": (1, 2)})
    with pytest.raises(ValueError, match="needs a name"):
        Choice(3, (1, 2))
    with pytest.raises(ValueError, match="'act': values must be a sequence such as \\('relu',\\), got 'relu'"):
        Choice("act", "relu")
    with pytest.raises(ValueError, match="'a': values must be a sequence such as \\(3,\\), got 3"):
        Choice("a", 3)
    with pytest.raises(ValueError, match=r"'a': \{'x': 1\} is no number, text, None or tuple of these"):
        Choice("a", ({"x": 1},))
    with pytest.raises(ValueError, match="'a': nan is no number"):
        Choice("a", (1.0, float("nan")))
    with pytest.raises(ValueError, match="'a': at most 65536 values are allowed, got 65537"):
        Choice("a", range(65537))
    for repeat in ("3", 3.0, True, 0):
        with pytest.raises(ValueError, match="repeat must be None or an integer of at least 1"):
            Choice("a", (1, 2), repeat)
    with pytest.raises(ValueError, match="no choice 'b': this space has a"):
        SearchSpace(Choice("a", (1, 2))).choice("b")


def test_what_is_no_architecture_and_no_list_of_them_is_named():
    space = staged()
    one = space.smallest
    with pytest.raises(ArchitectureError, match="maps choices to values, got 'abc'"):
        space.validate("abc")
    with pytest.raises(ArchitectureError, match="maps choices to values"):
        space.validate([one])
    for single in (one, dict(one), "abc"):
        with pytest.raises(ArchitectureError, match="expected a list of architectures, got one"):
            space.encode(single)


def test_an_architecture_is_an_immutable_hashable_mapping():
    architecture = staged().sample(1)[0]
    with pytest.raises(AttributeError, match="immutable"):
        architecture.genes = None
    with pytest.raises(TypeError):
        architecture["ks"] = 3
    assert pickle.loads(pickle.dumps(architecture)) == architecture
    assert hash(Architecture(dict(architecture))) == hash(architecture)
    assert Architecture(dict(architecture)) == architecture
    assert architecture == {name: list(v) if isinstance(v, tuple) else v for name, v in architecture.items()}


def test_a_hundred_thousand_architectures_encode_and_featurise_within_a_second(takes_seconds):
    space = staged()
    architectures = space.sample(100_000)
    assert takes_seconds(1, lambda: space.features(space.encode(architectures)))
