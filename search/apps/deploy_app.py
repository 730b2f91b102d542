"""`supernet-deploy`: bundles of sub-networks of a finished search, chosen by rank, id, constraint, or given by hand."""

import hashlib
import json
from collections import Counter
from contextlib import chdir, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from search.apps.bundles import deploy_architecture, deploy_row
from search.apps.setup import Setup
from search.apps.tables import best_rank, row_with
from search.errors import SearchError
from search.report import front_file

_WAYS = ("rank", "id", "where", "architecture")


def run(config: DictConfig) -> None:
    """Deploys one sub-network of a search, or of each search below a multirun's folder."""
    given = [name for name in _WAYS if config[name] is not None]
    if len(given) != 1:
        raise SearchError(
            "say which sub-network: one of rank=N, id=N, where='latency <= 5' or architecture=FILE, "
            f"got {' and '.join(given) or 'none'}"
        )
    top = Path(config.search).resolve()
    searches = [part for folder in finished_searches(top) for part in Finished.parts(folder, config.device)]
    given_by_hand = read_architecture(config.architecture) if config.architecture is not None else None
    chosen = [search.row(config) for search in searches] if given_by_hand is None else []
    output = Path(config.output).resolve() if config.output else None
    of_folder = Counter(search.folder for search in searches)
    for i, search in enumerate(searches):
        with chdir(search.cwd) if search.cwd.is_dir() else nullcontext():  # paths in its configuration mean the same
            folder = search.folder / "bundle" if output is None else output / search.folder.relative_to(top)
            device = Path(search.setup.device.name if output is None or of_folder[search.folder] > 1 else "")
            if given_by_hand is not None:
                architecture = search.setup.net.space.validate(given_by_hand)
                digest = hashlib.sha256(architecture.to_json().encode()).hexdigest()[:8]
                target = folder / device / (f"custom-{digest}" if output is None else "")
                say(deploy_architecture(search.setup, architecture, target))
            else:
                name, row = chosen[i]
                say(deploy_row(search.setup, row, folder / device / (name if output is None else "")))


@dataclass(frozen=True)
class Finished:
    """A finished search as one device sees it.

    Args:
        folder: of the search.
        setup: what its configuration names.
        cwd: the folder that it was started in.
        several: whether it was for several devices.
    """

    folder: Path
    setup: Setup
    cwd: Path
    several: bool

    @classmethod
    def parts(cls, folder: Path, device: str | None) -> "list[Finished]":
        """Reads what the search left, for each of its devices or for one; latency tables are those that it kept.

        Raises SearchError naming the devices there are.
        """
        setup = Setup(DictConfig(OmegaConf.load(folder / ".hydra" / "config.yaml")), folder)
        hydra = folder / ".hydra" / "hydra.yaml"
        cwd = Path(OmegaConf.load(hydra).hydra.runtime.cwd) if hydra.exists() else folder
        parts = {part.config.hardware.name: part for part in setup.parts}
        for name, part in parts.items():
            table = folder / f"latency_{name}.json"
            part.config.latency_table = str(table) if table.exists() else None
        if device is not None and device not in parts:
            raise SearchError(f"device={device}: this search was for {', '.join(parts)}")
        return [cls(folder, part, cwd, len(parts) > 1) for name, part in parts.items() if device in (None, name)]

    def row(self, config: DictConfig) -> tuple[str, "pd.Series[Any]"]:
        """Name of the bundle's folder and the row of results that `rank`, `id` or `where` selects."""
        suffix = f"@{self.setup.config.hardware.name}"
        if config.id is not None:
            row = row_with(self.folder / "results.csv", "id", config.id)
            if row["status"] == "failed":
                raise SearchError(f"id={config.id} was not measured: {row['error']}")
            return f"id-{config.id}", row.rename(lambda column: str(column).removesuffix(suffix))
        front = self.folder / front_file(self.setup.config.hardware.name if self.several else "")
        rank = config.rank
        if rank is None:
            objectives = self.setup.config.objectives
            names = [objectives] if isinstance(objectives, str) else list(objectives)
            rank = best_rank(front, config.where, names, highest=self.setup.accuracy_among(names))
        return str(rank), row_with(front, "rank", rank)


def finished_searches(folder: Path) -> list[Path]:
    """The folder of a search, or those below the folder of a multirun. Raises SearchError where there is none."""
    found = [results.parent for results in sorted(folder.rglob("results.csv"))]
    found = [path for path in found if (path / ".hydra" / "config.yaml").exists()]
    if not found:
        raise SearchError(f"search={folder}: no finished search there (no results.csv and .hydra/config.yaml)")
    return [folder] if folder in found else found


def read_architecture(given: Any) -> dict[str, Any]:
    """A mapping out of JSON text, a JSON file (that of a bundle as well), or Hydra's own notation.

    Raises SearchError where it is none of them.
    """
    if isinstance(given, DictConfig):
        given = OmegaConf.to_container(given)
    elif isinstance(given, str):
        given = _parsed_json(given)
    if not isinstance(given, dict):
        raise SearchError(f"architecture must be a JSON object or the path of a file with one, got {given!r}")
    inner = given.get("architecture")
    return inner if isinstance(inner, dict) else given


def _parsed_json(given: str) -> Any:
    text = given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SearchError(f"architecture={given}: not a JSON object ({error})") from error


def say(bundle: Path) -> None:
    """Prints where a bundle is, and how good its sub-network is."""
    metrics = json.loads((bundle / "metrics.json").read_text(encoding="utf-8"))
    facts = [f"{name} {value:.4g}" for name, value in metrics["measured"].items()]
    if "latency" in metrics:
        facts.append(f"latency {metrics['latency']['median_ms']:.3g} ms")
    Console().print(f"{bundle}\n  {', '.join(facts)}", soft_wrap=True, highlight=False)
