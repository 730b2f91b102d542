"""Figures: scores over evaluations, medians and quartiles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comparison.groups import Group, grouped
from comparison.results import Curve, Run

_COLOURS = (
    "#d62728",
    "#1f77b4",
    "#2ca02c",
    "#9467bd",
    "#ff7f0e",
    "#17becf",
    "#8c564b",
    "#e377c2",
    "#bcbd22",
    "#555555",
)
_STYLES = ("-", "--")
_FIRST = 10
_LOST = (5.0, 2.0, 1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)


def draw(curves: Mapping[Run, Curve], labels: Sequence[str], path: Path) -> None:
    """One panel per landscape (and cap); the vertical axis is the missing share, so that the last percents show.

    Beyond the smallest, a tactic that was run once per budget is drawn as a line through its budgets.
    """
    from matplotlib.figure import Figure

    places = sorted(grouped(curves).items(), key=str)
    capped = any(cap is not None for (_, cap), _ in places)
    n_columns = min(3, len(places))
    n_rows = -(-len(places) // n_columns)
    figure = Figure(figsize=(4.4 * n_columns, 4.0 * n_rows + 0.9), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    looks = {label: (_COLOURS[i % len(_COLOURS)], _STYLES[i // len(_COLOURS) % 2]) for i, label in enumerate(labels)}
    for panel, ((landscape, cap), groups) in zip(axes.flat, places, strict=False):
        for label in (label for label in labels if label in groups):
            _line(panel, groups[label], looks[label], label, best=1.0 if cap is None else 0.0)
        panel.set_title(landscape + ("" if cap is None else f", cap at {cap:.0%}"), fontsize=11)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.grid(alpha=0.25, which="major")
    for panel in axes.flat[len(places) :]:
        panel.axis("off")
    _ticks(axes[0, 0], capped, max(run.budget for run in curves))
    for panel in axes[:, 0]:
        panel.set_ylabel("accuracy below the best, points" if capped else "share of the best known hypervolume")
    for panel in axes[-1]:
        panel.set_xlabel("evaluations")
    handles = {line.get_label(): line for panel in axes.flat for line in panel.get_lines()}
    shown = [label for label in labels if label in handles]
    figure.legend([handles[label] for label in shown], shown, loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, dpi=110)


def _line(panel: Any, group: Group, look: tuple[str, str], label: str, best: float) -> None:
    """`best` is the best score that is known: 1 for shares, 0 for accuracies below a latency."""
    budgets = list(group.by_budget)
    many = len(budgets) > 1
    early = np.unique(np.geomspace(min(_FIRST, budgets[0]), budgets[0], 120).astype(np.int64))
    at = np.unique(np.concatenate([early, budgets]))
    low, middle, high = np.maximum(best - group.band(at.tolist()).T, 1e-4)
    panel.plot(
        at,
        middle,
        color=look[0],
        ls=look[1],
        label=label,
        lw=1.8,
        marker="o" if many else "",
        ms=4,
        markevery=np.flatnonzero(np.isin(at, budgets)).tolist(),
    )
    panel.fill_between(at, low, high, color=look[0], alpha=0.15, lw=0)


def _ticks(panel: Any, capped: bool, largest: int) -> None:
    at = [n for n in (10, 20, 50, 100, 200, 500, 1000, 2000) if n <= largest]
    panel.set_xticks(at, [str(n) for n in at], minor=False)
    panel.set_xticks([], minor=True)
    texts = [f"{lost:g}" if capped else f"{1 - lost:g}" for lost in _LOST]
    panel.set_yticks([], minor=True)
    least, most = panel.get_ylim()
    panel.set_yticks(_LOST, texts)
    panel.set_ylim(most, least)
