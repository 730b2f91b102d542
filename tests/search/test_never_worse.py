"""The default tactic is not worse than random search: on tiny and huge spaces, flat, noisy and deceptive objectives."""

import logging

import pytest


@pytest.fixture
def never_worse(benchmarks, caplog):
    caplog.set_level(logging.ERROR, logger="search")
    import never_worse

    return never_worse


def worse(never_worse, name, objective, kind, budgets, seeds):
    space = never_worse.SPACES[name]()
    lands = [never_worse.made(name, space, objective, seed) for seed in range(seeds)]
    found = never_worse.compared("bayesian", lands, kind == "single", budgets, chance=0.01)
    return [(budget, ahead) for budget, (ahead, is_worse) in zip(budgets, found, strict=True) if is_worse]


@pytest.mark.parametrize("kind", ["front", "single"])
@pytest.mark.parametrize("objective", ["smooth", "flat", "noise", "trap"])
@pytest.mark.parametrize("name", ["10", "144"])
def test_in_tiny_spaces(never_worse, name, objective, kind):
    assert not worse(never_worse, name, objective, kind, budgets=[4, 15], seeds=5)


@pytest.mark.parametrize("objective", ["smooth", "noise", "trap"])
def test_in_a_large_space(never_worse, objective):
    assert not worse(never_worse, "mobilenet", objective, "front", budgets=[12], seeds=4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["front", "single"])
@pytest.mark.parametrize("objective", ["smooth", "flat", "noise", "trap"])
@pytest.mark.parametrize("name", ["4096", "1e30", "ofa_resnet50", "hat_wmt14_en_de", "vit_small", "bert"])
def test_in_spaces_of_any_size(never_worse, name, objective, kind):
    assert not worse(never_worse, name, objective, kind, budgets=[10, 60], seeds=6)


def test_a_worse_tactic_is_noticed(never_worse, monkeypatch):
    """One that proposes the first architectures of the space, which are the worst ones here."""
    from search import tactics

    class First:
        def propose(self, history, n, rng):
            start = len(history)
            return history.space.enumerate()[start : start + n]

    monkeypatch.setitem(tactics.base.registry.known, "first", First)
    lands = [never_worse.made("144", never_worse.SPACES["144"](), "smooth", seed) for seed in range(6)]
    ((ahead, is_worse),) = never_worse.compared("first", lands, True, [10])
    assert is_worse
    assert ahead < 0.2
