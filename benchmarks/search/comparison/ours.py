"""Tactics of this project as competitors."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import Any

import yaml

import search
from comparison.trial import Competitor, Trial

_SPARE = 10  # evaluations of each of several searches, for what another has measured too


def competitor(label: str) -> Competitor:
    """A tactic by a label such as "linas", "bayesian:predictor=ridge,initial=20" or "bayesian@old".

    What follows "@" only tells results apart. Two settings are not the tactic's: "latency=predicted" withholds the
    exact latency of what is not measured, and "runs=8" shares the budget between searches below as many latencies, for
    methods that find one architecture. Raises SearchError naming the tactics or settings that exist.
    """
    name, settings = parsed(label)
    exact = settings.pop("latency", "exact") != "predicted"
    runs = settings.pop("runs", 1)
    search.tactics.create(name, **settings)
    spend = partial(_spend, name, settings, exact)
    return spend if runs == 1 else partial(_spend_in_runs, spend, runs)


def parsed(label: str) -> tuple[str, dict[str, Any]]:
    """Name and settings."""
    head, _, listed = label.partition(":")
    pairs = [pair.partition("=") for pair in listed.split(",") if pair]
    return head.partition("@")[0], {key: yaml.safe_load(value) for key, _, value in pairs}


def one_search_serves(label: str, budgets: Sequence[int]) -> bool:
    """Whether a search with the largest budget begins as those with smaller ones do: the batch size tells."""
    name, settings = parsed(label)
    if name not in search.tactics.available():
        return True
    own = {key: value for key, value in settings.items() if key not in ("latency", "runs")}
    size = getattr(search.tactics.create(name, **own), "batch_size", None)
    return size is None or len({size(budget) for budget in budgets}) == 1


def _spend(name: str, settings: dict[str, Any], exact: bool, trial: Trial) -> None:
    objectives = [
        search.Objective("accuracy", goal="max", measure=trial.accuracy),
        search.Objective(
            "latency", goal="min" if trial.cap is None else None, measure=trial.latency, expensive=not exact
        ),
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


def _spend_in_runs(spend: Competitor, runs: int, trial: Trial) -> None:
    """Below latencies at evenly spread quantiles, as if these searches went on at the same time."""
    caps = [trial.landscape.cap((run + 0.5) / runs) for run in range(runs)]
    budget = trial.budget // runs + _SPARE
    parts = [replace(trial, budget=budget, seed=trial.seed * runs + i, cap=cap) for i, cap in enumerate(caps)]
    for part in parts:
        part.known = {}
        spend(part)
    for together in zip_longest(*(part.known.items() for part in parts)):
        trial.known |= dict(item for item in together if item is not None)
