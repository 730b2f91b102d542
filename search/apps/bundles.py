"""Deploys one row of a search's results."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from hardware import deploy
from search.apps.setup import Setup
from supernet.validation import validated


def package_versions() -> dict[str, str]:
    """Versions of what decides a search's results."""
    return {name: version(name) for name in ("supernet-search", "torch", "timm", "pymoo", "scikit-learn", "numpy")}


def deploy_row(setup: Setup, row: "pd.Series[Any]", folder: Path) -> Path:
    """Writes the bundle of the architecture in a row of `Result.frame`, with what was predicted and measured."""
    architecture = setup.net.space.validate(row["architecture"])
    model, tested = validated(setup.net, architecture, setup.task, split="test")
    predicted = {
        str(name).removeprefix("predicted_"): float(value)
        for name, value in row.items()
        if str(name).startswith("predicted_") and pd.notna(value)
    }
    measured = {"accuracy": float(row["accuracy"])} if "accuracy" in row else {}
    if "latency" in row:
        predicted["latency_ms"] = float(row["latency"])
    return deploy(
        setup.net,
        architecture,
        setup.device,
        folder,
        task=setup.task,
        model=model,
        metrics={
            "predicted": predicted,
            "measured": {
                **{f"validation_{name}": value for name, value in measured.items()},
                **{f"test_{name}": value for name, value in tested.items()},
            },
        },
    )
