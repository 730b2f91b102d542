"""What a training shows: a progress bar, or log lines; and scalars for TensorBoard."""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.progress import Progress

logger = logging.getLogger(__name__)


class Monitor:
    """Context manager around a training.

    Args:
        folder: where the event files for TensorBoard go.
        n_steps: of the whole training.
        first_step: where this part of the training starts.
        progress: whether to show the bar; else notes are logged.
    """

    def __init__(self, folder: Path, n_steps: int, first_step: int, progress: bool) -> None:
        self._writer = _writer(folder, first_step)
        self._bar = _bar() if progress else None
        if self._bar is not None:
            self._task = self._bar.add_task("training", total=n_steps, completed=first_step, note="")
        self._notes: dict[str, str] = {}

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._writer is not None:
            self._writer.close()

    def step(self) -> None:
        """One step is done."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Adds points to the curves named like the keys (`loss/largest`)."""
        for name, value in values.items() if self._writer is not None else ():
            self._writer.add_scalar(name, value, step)

    def note(self, **values: float) -> None:
        """Shows values beside the bar, where earlier ones of other names stay; or logs them."""
        shown = {name: f"{name} {value:.4g}" for name, value in values.items()}
        self._notes |= shown
        if self._bar is None:
            logger.info("training: %s", "  ".join(shown.values()))
        else:
            self._bar.update(self._task, note="  ".join(self._notes.values()))


def _writer(folder: Path, first_step: int) -> Any:
    """A writer of event files; None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=first_step)


def _bar() -> "Progress":
    from rich import progress

    return progress.Progress(
        progress.TextColumn("[bold]training"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[note]}"),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
