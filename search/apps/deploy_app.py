"""`supernet-deploy`: bundles of sub-networks out of a finished search, chosen by rank, id or constraint."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from search.apps.bundles import deploy_row
from search.apps.constraints import parsed
from search.apps.setup import Setup
from search.errors import SearchError

logger = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Deploys one sub-network of a search, or of each search below a multirun's folder."""
    console = Console()
    for folder in finished_searches(Path(config.search)):
        saved = OmegaConf.load(folder / ".hydra" / "config.yaml")
        setup = Setup(OmegaConf.create({**saved, "latency_table": saved_table(folder)}), folder)
        name, row = chosen(folder, config, list(saved.objectives))
        target = Path(config.output) if config.output else folder / "bundle" / setup.device.name / name
        console.print(f"{deploy_row(setup, row, target)}", soft_wrap=True)


def finished_searches(folder: Path) -> list[Path]:
    """The folder of a search, or those below the folder of a multirun. Raises SearchError where there is none."""
    found = [results.parent for results in [folder / "results.csv", *sorted(folder.glob("*/results.csv"))]]
    found = [path for path in found if (path / "results.csv").exists() and (path / ".hydra/config.yaml").exists()]
    if not found:
        raise SearchError(f"search={folder}: no finished search there (no results.csv and .hydra/config.yaml)")
    return found


def saved_table(folder: Path) -> str | None:
    """The latency table that the search kept, if it needed one."""
    return next((str(path) for path in sorted(folder.glob("latency_*.json"))), None)


def chosen(folder: Path, config: DictConfig, objectives: list[str]) -> tuple[str, "pd.Series[Any]"]:
    """Name of the bundle's folder and the row of results that `rank`, `id` or `where` selects.

    Raises SearchError unless exactly one is given, or where nothing fits.
    """
    given = [name for name in ("rank", "id", "where") if config[name] is not None]
    if len(given) != 1:
        raise SearchError(f"say which sub-network: one of rank=N, id=N or where='latency <= 5', got {given or 'none'}")
    if config.id is not None:
        row = row_with(folder / "results.csv", "id", config.id)
        if row["status"] != "ok":
            raise SearchError(f"id={config.id} was not measured: {row['error']}")
        return f"id-{config.id}", row
    rank = config.rank
    if rank is None:
        rank = best_rank(read(folder / "front.csv"), config.where, objectives)
    return str(rank), row_with(folder / "front.csv", "rank", rank)


def row_with(path: Path, column: str, value: int) -> "pd.Series[Any]":
    """The row of a table whose `column` holds `value`. Raises SearchError naming what there is."""
    frame = read(path)
    rows = frame[frame[column] == value]
    if len(rows) != 1:
        raise SearchError(f"{column}={value}: {path} has {column} {frame[column].min()}..{frame[column].max()}")
    return rows.iloc[0]


def best_rank(front: pd.DataFrame, where: str, objectives: list[str]) -> int:
    """The row with the best first objective among those that satisfy the constraints."""
    fitting = front
    for name, (operator, bound) in parsed(where).items():
        if name not in objectives:
            raise SearchError(f"where: unknown objective {name!r}; this search has {', '.join(objectives)}")
        fitting = fitting[fitting[name] <= bound] if operator == "<=" else fitting[fitting[name] >= bound]
    if fitting.empty:
        spans = ", ".join(f"{name} {front[name].min():g}..{front[name].max():g}" for name in objectives)
        raise SearchError(f"no sub-network of the front satisfies {where!r}: it spans {spans}")
    first = fitting[objectives[0]]
    best = first.argmax() if objectives[0] == "accuracy" else first.argmin()
    return int(fitting["rank"].iloc[best])


def read(path: Path) -> pd.DataFrame:
    """A table of results with its architectures as mappings."""
    frame = pd.read_csv(path)
    frame["architecture"] = [json.loads(text) for text in frame["architecture"]]
    return frame
