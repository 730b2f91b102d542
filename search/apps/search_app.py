"""`supernet-search`: the whole path from a super-network to deployed sub-networks for one device."""

import logging
from pathlib import Path

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

import search
from hardware.provenance import provenance
from search.apps.bundles import deploy_row, package_versions
from search.apps.constraints import parsed
from search.apps.setup import Setup, output_folder
from search.report import console_table, write_report
from search.result import Result

logger = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Searches, reports, deploys the chosen part of the front, prints the front."""
    folder = output_folder()
    setup = Setup(config, folder)
    objectives = setup.objectives(list(config.objectives))
    result = search.run(
        setup.net.space,
        objectives,
        tactic=instantiate(config.tactic, predictor=instantiate(config.predictor))
        if "predictor" in search.tactics.settings_of(config.tactic.name)
        else instantiate(config.tactic),
        budget=config.budget,
        seed=config.seed,
        store=config.store or Path(config.output) / "store.sqlite",
        constraints=parsed(config.constraints),
        batch_size=config.batch_size,
        engine=instantiate(config.engine),
    )
    front = result.pareto()
    ranks = chosen_ranks(config.deploy, len(front))
    report(setup, result, front, ranks)
    for rank in ranks:
        bundle = deploy_row(setup, front.iloc[rank], folder / "bundle" / setup.device.name / str(rank))
        logger.info("deployed rank %d: %s", rank, bundle)
    console = Console()
    console.print(console_table(result))
    console.print(f"{summary(result)}\nresults in {folder}", soft_wrap=True)


def chosen_ranks(choice: str | int | list[int] | None, n_front: int) -> list[int]:
    """Ranks to deploy: "ends" (fastest, middle and most accurate), "all", "none", or ranks of the front.

    Raises SearchError for anything else; ranks beyond the front are left out with a warning.
    """
    if choice in (None, "none") or n_front == 0:
        return []
    if choice == "all":
        return list(range(n_front))
    if choice == "ends":
        return sorted({0, n_front // 2, n_front - 1})
    wanted = [choice] if isinstance(choice, int) else choice
    if isinstance(wanted, str) or not all(isinstance(rank, int) and rank >= 0 for rank in wanted):
        raise search.SearchError(f"deploy must be ends, all, none or ranks of the front, got {choice!r}")
    if beyond := [rank for rank in wanted if rank >= n_front]:
        logger.warning("not deployed: ranks %s; the front has %d sub-networks", beyond, n_front)
    return [rank for rank in wanted if rank < n_front]


def report(setup: Setup, result: Result, front: pd.DataFrame, ranks: list[int]) -> None:
    """Writes tables, figure and page into the run's folder."""
    origin = {"run": provenance(package_versions()), "study": dict(result.identity)}
    if "latency" in front:
        origin["latency table"] = {**setup.table.provenance, **setup.table.error}
    write_report(
        result,
        setup.folder,
        title=f"{setup.net.name} on {setup.device.name}",
        device=setup.device.describe(),
        provenance=origin,
        chosen=[front.index[rank] for rank in ranks],
    )


def summary(result: Result) -> str:
    """One or two sentences about what happened."""
    n_failed = len(result.failures)
    text = f"{len(result.frame)} architectures evaluated, {len(result.pareto())} on the front, {result.ended}"
    if n_failed:
        first = result.failures.iloc[0]
        text += f"\n{n_failed} failed, for example {first['architecture'].to_json()}: {first['error']}"
    return text
