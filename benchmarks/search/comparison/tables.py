"""Tables in Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from comparison.groups import Group, grouped, quartiles
from comparison.results import Curve, Run

LEVELS = (0.90, 0.95, 0.97, 0.99)
OURS = "bayesian"
Places = Mapping[tuple[str, float | None], Mapping[str, Group]]


def section(title: str, curves: Mapping[Run, Curve], labels: Sequence[str], budgets: Sequence[int]) -> str:
    """What one scenario found: a summary over landscapes, then each landscape with quartiles."""
    places = grouped(curves)
    labels = [label for label in labels if any(label in groups for groups in places.values())]
    capped = any(cap is not None for _, cap in places)
    n_seeds = max(group.n_seeds for groups in places.values() for group in groups.values())
    largest = max(run.budget for run in curves)
    shown = sorted({largest, *(budget for budget in budgets if budget <= largest)})
    quantity = "accuracy below the best known one, in points" if capped else "share of the best known hypervolume"
    lines = [f"## {title}", "", f"Medians of {n_seeds} seeds: {quantity}; lowest and highest of "]
    lines[-1] += f"{len(places)} {'landscapes and caps' if capped else 'landscapes'}. In brackets: quartiles."
    lines += ["", *summary(places, labels, shown, capped), ""]
    if not capped and labels[0].startswith(OURS):
        lines += [f"What others reach with all their evaluations, and how many {labels[0]} needs for it:", ""]
        lines += [*against(places, labels[0], labels[1:]), ""]
    for (landscape, cap), groups in sorted(places.items(), key=str):
        lines += [f"{landscape}" + ("" if cap is None else f", below the {cap:.0%} quantile of latency"), ""]
        lines += [*_details(groups, labels, shown, capped), ""]
    return "\n".join(lines)


def summary(places: Places, labels: Sequence[str], budgets: Sequence[int], capped: bool) -> list[str]:
    """One row per competitor: scores at budgets, evaluations to reach levels, CPU seconds per 100 evaluations.

    Those that were not run everywhere, or with fewer seeds than others, say so.
    """
    levels = () if capped else LEVELS
    head = [*budgets, *(f"to {level:.0%}" for level in levels), "CPU s / 100"]
    rows = []
    for label in labels:
        groups = [found[label] for found in places.values() if label in found]
        if groups:
            cells = [_range([quartiles(g.scores(n))[1] for g in groups], _sign(capped)) for n in budgets]
            cells += [_range([g.reached(level) for g in groups], "{:.0f}".format) for level in levels]
            rows.append([label + _lacking(groups, places), *cells, _cpu(groups)])
    return _table(["evaluations", *map(str, head)], rows)


def against(places: Places, ours: str, labels: Sequence[str]) -> list[str]:
    """One row per other competitor: its evaluations and score, what ours needs for that score, and the quotient."""
    rows = []
    for label in labels:
        pairs = [(found[ours], found[label]) for found in places.values() if ours in found and label in found]
        if pairs:
            ends = [max(other.by_budget) for _, other in pairs]
            levels = [quartiles(other.scores(end))[1] for (_, other), end in zip(pairs, ends, strict=True)]
            needed = [own.reached(level) for (own, _), level in zip(pairs, levels, strict=True)]
            quotients = [end / n if np.isfinite(n) else np.nan for end, n in zip(ends, needed, strict=True)]
            whole = "{:.0f}".format
            row = [label, _range(ends, whole), _range(levels, _sign(False)), _range(needed, whole)]
            rows.append([*row, _range(quotients, "{:.1f}".format)])
    return _table(["", "evaluations", "share", f"{ours} needs", "times fewer"], rows)


def _details(groups: Mapping[str, Group], labels: Sequence[str], budgets: Sequence[int], capped: bool) -> list[str]:
    written = _sign(capped)
    rows = []
    for label in (label for label in labels if label in groups):
        bands = [quartiles(groups[label].scores(n)) for n in budgets]
        bands = [band[::-1] if capped else band for band in bands]
        cells = [f"{written(m)} [{written(a)}, {written(b)}]" if m == m else "" for a, m, b in bands]
        rows.append([label, *cells])
    return _table(["evaluations", *map(str, budgets)], rows)


def _lacking(groups: Sequence[Group], places: Places) -> str:
    seeds, most = min(g.n_seeds for g in groups), max(g.n_seeds for found in places.values() for g in found.values())
    notes = [f"{len(groups)} of {len(places)}"] if len(groups) < len(places) else []
    notes += [f"{seeds} seeds"] if seeds < most else []
    return f" ({', '.join(notes)})" if notes else ""


def _cpu(groups: Sequence[Group]) -> str:
    """Of the smallest and the largest budget of 250 evaluations or more, where it matters."""
    budgets = sorted({budget for group in groups for budget in group.by_budget})
    wanted = [budget for budget in budgets if budget >= 250] or budgets[-1:]
    ends = dict.fromkeys((wanted[0], wanted[-1]))
    return ", ".join(f"{np.nanmedian([g.cpu_s_per_100(b) for g in groups]):.2g} at {b}" for b in ends)


def _sign(capped: bool) -> Callable[[float], str]:
    return (lambda value: f"{0 - value:.2f}") if capped else (lambda value: f"{value:.3f}")


def _range(values: Iterable[float], written: Callable[[float], str]) -> str:
    known = [value for value in values if value == value]
    if not known:
        return ""
    texts = [written(value) if np.isfinite(value) else "never" for value in sorted(known)]
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
