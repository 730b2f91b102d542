"""What a training shows: a progress bar, and scalars for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Monitor:
    """Context manager around a training.

    Args:
        folder: where the event files for TensorBoard go.
        n_steps: of the whole training.
        first_step: where this part of the training starts.
        progress: whether to show the bar.
    """

    def __init__(self, folder: Path, n_steps: int, first_step: int, progress: bool) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=first_step)
        self._bar = Progress(
            TextColumn("[bold]training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not progress,
        )
        self._task = self._bar.add_task("training", total=n_steps, completed=first_step, note="")
        self._notes: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._writer.close()

    def step(self) -> None:
        """One step is done."""
        self._bar.advance(self._task)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Adds points to the curves named like the keys (`loss/largest`)."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def note(self, **values: float) -> None:
        """Shows values beside the bar; earlier ones of other names stay."""
        self._notes |= {name: f"{name} {value:.4g}" for name, value in values.items()}
        self._bar.update(self._task, note="  ".join(self._notes.values()))
