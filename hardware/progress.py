"""Progress of long measurements."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.table import Progress as Report


@contextmanager
def reporting(progress: "bool | Report") -> Iterator["Report"]:
    """A function to report to: the caller's own, a bar on a terminal's standard error, or nothing."""
    if callable(progress):
        yield progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console, disable=not progress or not console.is_terminal) as bar:
        task = bar.add_task("latency table", total=None)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=f"latency table: {what}", completed=done, total=total)

        yield report
