"""Writes what is known: tables.md, and a figure per scenario."""

from collections.abc import Sequence
from pathlib import Path

from comparison import figure, tables
from comparison.results import Results, Run
from comparison.scenarios import SCENARIOS, Scenario, includes


def write(
    results: Results, folder: Path, scenarios: Sequence[str], budgets: Sequence[int], labels: Sequence[str] | None
) -> None:
    """Reports on the scenarios of which anything is known.

    Args:
        results: all that was run.
        folder: made where it does not exist.
        scenarios: their names.
        budgets: columns of the tables.
        labels: competitors, in this order; None: all, ours first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    machines = sorted({curve.machine for curve in results.curves.values()})
    parts = [f"# Search benchmark\n\nMachines: {', '.join(machines)}, one thread.\n"]
    shown = labels or _ordered({run.tactic for run in results.curves})  # the same colour in all figures
    for name in scenarios:
        scenario = SCENARIOS[name]
        curves = results.chosen(lambda run, scenario=scenario: _wanted(run, scenario, labels))  # type: ignore[misc]
        if curves:
            parts.append(tables.section(f"{name}: {scenario.title}", curves, shown, budgets))
            figure.draw(curves, shown, folder / f"{name}.png")
    (folder / "tables.md").write_text("\n".join(parts))
    print(f"wrote {folder / 'tables.md'} and figures beside it")


def _wanted(run: Run, scenario: Scenario, labels: Sequence[str] | None) -> bool:
    return includes(scenario, run) and (labels is None or run.tactic in labels)


def _ordered(labels: set[str]) -> list[str]:
    return sorted(labels, key=lambda label: (not label.startswith(tables.OURS), label))
