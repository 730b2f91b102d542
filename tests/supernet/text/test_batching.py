import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.tasks.text.batching import by_samples, by_tokens, padded

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=60).map(lambda found: np.array(found, dtype=np.int64))
generators = st.none() | st.integers(0, 99).map(np.random.default_rng)


@given(lengths, st.integers(1, 20), generators)
@settings(max_examples=60, deadline=None)
def test_every_sample_is_in_one_batch(lengths, size, rng):
    for batches in (by_samples(lengths, size, rng), by_tokens(lengths, 5 * size, rng)):
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))


@given(lengths, st.integers(1, 100), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_batches_of_tokens_hold_no_more_and_are_as_many_in_every_epoch(lengths, most, seed):
    first, second = (by_tokens(lengths, most, np.random.default_rng(s)) for s in (seed, seed + 1))
    assert sorted(sorted(lengths[b].tolist()) for b in first) == sorted(sorted(lengths[b].tolist()) for b in second)
    assert all(len(batch) == 1 or len(batch) * lengths[batch].max() <= most for batch in first)
    assert len(by_tokens(lengths, most)) == len(first)


@given(lengths, st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_without_a_generator_the_longest_come_first(lengths, size):
    batches = by_samples(lengths, size)
    assert (np.diff(lengths[np.concatenate(batches)]) <= 0).all()
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)


def test_epochs_differ_and_seeds_decide():
    lengths = np.repeat([3, 4], 50)
    first, again, other = (by_samples(lengths, 10, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not all((a == b).all() for a, b in zip(first, other, strict=True))
    assert len({tuple(sorted(batch.tolist())) for batch in [*first, *other]}) == 20


def test_padding_on_either_side():
    texts = [np.array([5, 6, 7]), np.array([8])]
    assert padded(texts, 1).tolist() == [[5, 6, 7], [8, 1, 1]]
    assert padded(texts, 1, left=True).tolist() == [[5, 6, 7], [1, 1, 8]]
