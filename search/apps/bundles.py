"""Deploys sub-networks of a search, with their predicted and measured metrics."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from hardware import ParityError, deploy
from search.apps.setup import Setup
from search.errors import SearchError
from supernet import Architecture
from supernet.validation import validated

_DECISIVE = "supernet-search torch timm transformers tokenizers sacrebleu pymoo scikit-learn numpy"


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that influence the results of a search."""
    found = {}
    for name in _DECISIVE.split():
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def deploy_row(setup: Setup, row: "pd.Series[Any]", folder: Path, format: str | None = None) -> Path:
    """Writes the bundle of an evaluated architecture, with the search's predictions and validation; returns the folder.

    Args:
        setup: of the search.
        row: of `Result.frame`, or of a table that `search.apps.tables` read.
        folder: of the bundle.
        format: of the model file; None: the one that the device's backend runs.

    Raises SearchError where the format does not compute what PyTorch does.
    """
    validation, accuracy = f"validation_{setup.metric}", setup.accuracy_among(list(row.index)) or "accuracy"
    metrics = {f"predicted_{accuracy}": validation, "predicted_measured_latency": "latency_ms", "latency": "latency_ms"}
    predicted = {metrics[name]: float(row[name]) for name in metrics if name in row and pd.notna(row[name])}
    measured = {validation: float(row[accuracy])} if accuracy in row else {}
    return _deployed(setup, setup.net.space.validate(row["architecture"]), folder, predicted, measured, format)


def deploy_architecture(setup: Setup, architecture: Architecture, folder: Path, format: str | None = None) -> Path:
    """As `deploy_row` for an architecture that no search measured: it is validated now."""
    predicted = {"latency_ms": float(setup.table.latency([architecture])[0])} if setup.ready_table else {}
    _, metrics = validated(setup.net, architecture, setup.task)
    measured = {f"validation_{name}": value for name, value in metrics.items()}
    return _deployed(setup, architecture, folder, predicted, measured, format)


def _deployed(
    setup: Setup,
    architecture: Architecture,
    folder: Path,
    predicted: dict[str, float],
    measured: dict[str, float],
    format: str | None,
) -> Path:
    """Writes the bundle, with metrics of the test split (which no search sees) where the task has one."""
    model = None
    if "test" in getattr(setup.task, "splits", ("test",)):
        model, tested = validated(setup.net, architecture, setup.task, split="test")
        measured = {**measured, **{f"test_{name}": value for name, value in tested.items()}}
    metrics = {"predicted": predicted, "measured": measured}
    settings: dict[str, Any] = {"task": setup.task, "model": model, "metrics": metrics, "format": format}
    try:
        return deploy(setup.net, architecture, setup.device, folder, **settings)
    except ParityError as error:
        raise SearchError(f"bundle of device {setup.device.name!r} in {folder}: {error}") from error
