"""Progress of a search: a bar on a terminal, occasional log lines elsewhere, or a function of the caller's."""

import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, Self

import numpy as np

from search.errors import SearchError
from search.history import History

logger = logging.getLogger("search")
_LOG_LINES = 10

Callback = Callable[[History], None]


class Progress(Protocol):
    """Called with the history after each evaluated architecture."""

    def update(self, history: History) -> None:
        """Takes a history that has grown by one or more rows since the last call."""
        ...


class Silent:
    """Shows nothing."""

    def update(self, history: History) -> None:
        """See `Progress`."""


class Calls:
    """Calls a function with each history."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def update(self, history: History) -> None:
        """See `Progress`."""
        self._callback(history)


class Log:
    """Writes about ten log lines in the course of a search."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._step = max(1, budget // _LOG_LINES)
        self._next = self._step

    def update(self, history: History) -> None:
        """See `Progress`."""
        n_evaluated = len(history) - history.n_known_before
        if n_evaluated >= self._next:
            self._next = n_evaluated + self._step
            logger.info("%d/%d evaluated; %s", n_evaluated, self._budget, describe(history))


class Bar:
    """A rich progress bar on standard error; use as a context manager."""

    def __init__(self, budget: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("search"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("search", total=budget, state="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, history: History) -> None:
        """See `Progress`."""
        self._bar.update(self._task, completed=len(history) - history.n_known_before, state=describe(history))


def describe(history: History) -> str:
    """Best feasible value of each objective, hypervolume and number of failures, in one line."""
    parts, best = [], []
    for objective, values in zip(history.objectives, history.values[history.feasible].T, strict=True):
        known = values[~np.isnan(values)]
        if len(known) and objective.goal:
            best.append(f"{objective.name} {known.max() if objective.goal == 'max' else known.min():.4g}")
    parts += [f"best: {', '.join(best)}"] if best else ["nothing feasible yet"]
    if history.reference is not None:
        volumes = [f"{view.hypervolume:.4g}" for view in history.views if len(view.problem.targets) > 1]
        parts += [f"hypervolume {' + '.join(volumes)}"] if volumes else []
    if n_failed := int(np.count_nonzero(~history.measured)):
        parts.append(f"{n_failed} failed")
    return "; ".join(parts)


def show(progress: Any, budget: int) -> AbstractContextManager[Progress]:
    """The progress that `search.run(progress=...)` asks for: True, False or a function of the history.

    Raises SearchError for anything else.
    """
    if isinstance(progress, bool):
        if not progress:
            return nullcontext(Silent())
        return Bar(budget) if sys.stderr.isatty() else nullcontext(Log(budget))
    if callable(progress):
        return nullcontext(Calls(progress))
    raise SearchError(f"progress must be True, False or a function of the history, got {progress!r}")
