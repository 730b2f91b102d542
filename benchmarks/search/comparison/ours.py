"""Tactics of this project as competitors."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import yaml

import search
from comparison.trial import Competitor, Trial


def competitor(label: str) -> Competitor:
    """A tactic by a label such as "linas", "bayesian:predictor=ridge,initial=20" or "bayesian@old".

    What follows "@" only tells results apart; "latency=predicted" withholds the exact latency of what is not measured.
    Raises SearchError naming the tactics or settings that exist.
    """
    name, settings = parsed(label)
    exact = settings.pop("latency", "exact") != "predicted"
    search.tactics.create(name, **settings)
    return partial(_spend, name, settings, exact)


def parsed(label: str) -> tuple[str, dict[str, Any]]:
    """Name and settings."""
    head, _, listed = label.partition(":")
    pairs = [pair.partition("=") for pair in listed.split(",") if pair]
    return head.partition("@")[0], {key: yaml.safe_load(value) for key, _, value in pairs}


def one_search_serves(label: str, budgets: Sequence[int]) -> bool:
    """Whether a search with the largest budget begins as those with smaller ones do: the batch size tells."""
    name, settings = parsed(label)
    settings.pop("latency", None)
    if name not in search.tactics.available():
        return True
    size = getattr(search.tactics.create(name, **settings), "batch_size", None)
    return size is None or len({size(budget) for budget in budgets}) == 1


def _spend(name: str, settings: dict[str, Any], exact: bool, trial: Trial) -> None:
    objectives = [
        search.Objective("accuracy", goal="max", measure=trial.accuracy),
        search.Objective("latency", goal="min", measure=trial.latency, expensive=not exact),
    ]
    search.run(
        trial.landscape.space,
        objectives,
        tactic=search.tactics.create(name, **settings),
        budget=trial.budget,
        seed=trial.seed,
        batch_size=trial.batch,
        constraints={} if trial.cap is None else {"latency": ("<=", trial.cap)},
        progress=False,
    )
