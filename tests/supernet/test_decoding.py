"""Beam search: equal to a plain search without caches, whatever the batch; its limits; wrong input."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.decoding import BeamSearch, beam_search

from .hat_reference import small_net

PAD, EOS = 1, 2


@pytest.fixture(scope="module")
def model():
    net = small_net()
    model = net.extract(net.space.validate(dict(net.largest) | {"decoder_embed_dim": 12}))
    with torch.no_grad():
        model.encoder.embed.weight[EOS] *= 2.5  # so that hypotheses end at different lengths
    return model


def sources(n, seed, longest=8):
    rng = np.random.default_rng(seed)
    tokens = np.full((n, longest), PAD)
    for row in tokens:
        length = rng.integers(1, longest)
        row[-length - 1 :] = [*rng.integers(4, 30, length), EOS]
    return torch.from_numpy(tokens)


def plain_search(model, source, beam, length_penalty, min_length, max_length):
    """One sentence, one hypothesis after the other, the whole target again at each step."""
    open_, done = [((), (), 0.0)], []
    for step in range(max_length + 1):
        candidates = []
        for tokens, steps, total in open_:
            logits = model(source, torch.tensor([[EOS, *tokens]]))[0, -1].double()
            scores = logits.log_softmax(-1)
            for word, score in enumerate(scores.tolist()):
                allowed = word != PAD and (step < max_length or word == EOS) and (step >= min_length or word != EOS)
                if allowed:
                    candidates.append(((*tokens, word), (*steps, score), total + score))
        candidates = sorted(candidates, key=lambda candidate: -candidate[2])[: 2 * beam]
        for tokens, steps, total in candidates[:beam]:
            if tokens[-1] == EOS and len(done) < beam:
                done.append((tokens, total / len(tokens) ** length_penalty, steps))
        if len(done) == beam:
            break
        open_ = [candidate for candidate in candidates if candidate[0][-1] != EOS][:beam]
    return sorted(done, key=lambda hypothesis: -hypothesis[1])


def assert_same(found, expected):
    assert [hypothesis.tokens for hypothesis in found] == [tokens for tokens, _, _ in expected]
    for hypothesis, (_, score, steps) in zip(found, expected, strict=True):
        assert hypothesis.score == pytest.approx(score, abs=1e-4)
        assert hypothesis.positional_scores == pytest.approx(steps, abs=1e-4)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    beam=st.integers(1, 5),
    length_penalty=st.sampled_from([0.0, 0.6, 1.0]),
    min_length=st.integers(0, 2),
    max_length=st.integers(2, 6),
)
def test_hypotheses_are_those_of_a_plain_search(model, seed, beam, length_penalty, min_length, max_length):
    given_ = {"beam": beam, "length_penalty": length_penalty, "min_length": min_length, "max_length": max_length}
    source = sources(2, seed)
    with torch.inference_mode():
        expected = [plain_search(model, row[row.ne(PAD)][None], **given_) for row in source]
    for found, hypotheses in zip(BeamSearch(**given_)(model, source), expected, strict=True):
        assert_same(found, hypotheses)


def test_a_sentence_is_translated_alike_alone_and_in_a_large_batch(model):
    """Sentences that are done leave the batch; those that are left must not change."""
    source = sources(64, 5)
    together = beam_search(model, source, beam=4, max_length=39)
    assert len({len(hypotheses[0].tokens) for hypotheses in together}) > 3
    for row, hypotheses in zip(source[::7], together[::7], strict=True):
        (alone,) = beam_search(model, row[row.ne(PAD)][None], beam=4, max_length=39)
        assert_same(alone, [(h.tokens, h.score, h.positional_scores) for h in hypotheses])


def test_limits_of_the_length(model):
    source = sources(6, 7)
    for hypotheses in beam_search(model, source, beam=3, min_length=4, max_length=6):
        assert len(hypotheses) == 3
        for hypothesis in hypotheses:
            assert 4 <= len(hypothesis.tokens) - 1 <= 6
            assert hypothesis.tokens[-1] == EOS
            assert EOS not in hypothesis.tokens[:-1]
            assert PAD not in hypothesis.tokens
    lengths = source.ne(PAD).sum(1).tolist()
    found = beam_search(model, source, beam=2, min_length=39, max_length=0, max_length_per_token=2.0)
    assert [len(hypotheses[0].tokens) for hypotheses in found] == [39 + 1] * 6
    found = beam_search(model, source, beam=2, max_length=0, max_length_per_token=1.0, min_length=0)
    assert all(len(h.tokens) <= n + 1 for hypotheses, n in zip(found, lengths, strict=True) for h in hypotheses)


def test_steps_are_limited_by_the_positions(model):
    (hypotheses,) = beam_search(model, sources(1, 1), beam=1, min_length=100, max_length=200)
    assert len(hypotheses[0].tokens) == 40


def test_scores_are_sums_of_log_probabilities(model):
    source = sources(3, 9)
    for row, hypotheses in zip(source, beam_search(model, source, beam=4, length_penalty=0.6), strict=True):
        for hypothesis in hypotheses:
            target = torch.tensor([[EOS, *hypothesis.tokens[:-1]]])
            with torch.inference_mode():
                scores = model(row[None], target)[0].log_softmax(-1)
            steps = scores[torch.arange(len(hypothesis.tokens)), list(hypothesis.tokens)]
            assert hypothesis.positional_scores == pytest.approx(steps.tolist(), abs=1e-4)
            assert hypothesis.score == pytest.approx(float(steps.sum()) / len(hypothesis.tokens) ** 0.6, abs=1e-4)
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)


def test_a_beam_that_is_wider_than_the_vocabulary():
    net = small_net()
    with torch.no_grad():
        net.shared.encoder.embed.weight[6:] -= 50  # all but a few words are next to impossible
    found = beam_search(net.extract(net.largest), sources(2, 3), beam=12, max_length=3)
    for hypotheses in found:
        assert 0 < len(hypotheses) <= 12
        assert len({hypothesis.tokens for hypothesis in hypotheses}) == len(hypotheses)
        assert all(math.isfinite(hypothesis.score) for hypothesis in hypotheses)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_same_on_a_gpu(model, precision):
    source = sources(96, 11)
    expected = beam_search(model, source, beam=4, max_length=39)
    there = copy.deepcopy(model).to("cuda", precision)
    found = beam_search(there, source.cuda(), beam=4, max_length=39)
    assert [len(hypotheses) for hypotheses in found] == [len(hypotheses) for hypotheses in expected]
    if precision == torch.float32:
        for ours, theirs in zip(found, expected, strict=True):
            assert_same(ours, [(h.tokens, h.score, h.positional_scores) for h in theirs])
    with pytest.raises(ValueError, match=r"src_tokens\[0, 0\] is 30"):
        beam_search(there, torch.tensor([[30, 2]], device="cuda"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.full((1, 41), 5), "src_tokens has 41 tokens: the model has 40 positions"),
        (torch.tensor([[5, 30, 2]]), r"src_tokens\[0, 1\] is 30"),
        (torch.tensor([[5, 6, 2], [1, 1, 2]]), r"src_tokens\[1\] is empty: it holds no word"),
        (torch.tensor([[1, 1, 1]]), r"src_tokens\[0\] is empty"),
        (torch.zeros(0, 4, dtype=torch.long), "is empty"),
    ],
)
def test_wrong_sources_are_named(model, source, message):
    with pytest.raises(ValueError, match=message):
        beam_search(model, source)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"beam": 0}, "beam must be an integer of at least 1, got 0"),
        ({"min_length": 7, "max_length": 6}, "min_length 7 exceeds max_length 6"),
        ({"max_length": 0}, "must allow at least one word"),
        ({"max_length_per_token": -1.0}, "not be negative"),
    ],
)
def test_wrong_settings_are_named(given_, message):
    with pytest.raises(ValueError, match=message):
        BeamSearch(**given_)


def test_a_state_has_room_for_no_more_steps_than_it_was_started_for(model):
    source = sources(2, 1)
    with torch.inference_mode():
        state = model.start(model.encode(source), beam=2, most_steps=2)
        for _ in range(2):
            model.step(torch.full((2, 2), 5), state)
        with pytest.raises(ValueError, match="started for 2 steps at most"):
            model.step(torch.full((2, 2), 5), state)
    with pytest.raises(ValueError, match=r"most_steps must lie in 1\.\.40, got 41"):
        model.start(model.encode(source), beam=2, most_steps=41)
