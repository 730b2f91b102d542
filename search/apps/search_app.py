"""`supernet-search`: the whole path from a super-network to deployed sub-networks for one device."""

import logging
from pathlib import Path

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

import search
from hardware.provenance import provenance
from search.api import first_batch_size
from search.apps.bundles import deploy_row, package_versions
from search.apps.constraints import parsed
from search.apps.setup import Setup, output_folder
from search.driver import n_workers
from search.report import console_table, write_report
from search.result import Result

logger = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Searches, reports, deploys the chosen part of the front, prints the front."""
    setup = Setup(config, output_folder())
    result = searched(setup)
    front = result.pareto()
    ranks = chosen_ranks(config.deploy, len(front))
    report(setup, result, front, ranks)
    console = Console()
    console.print(console_table(result))
    console.print(summary(result), soft_wrap=True)
    for rank in ranks:
        deploy_row(setup, front.iloc[rank], setup.folder / "bundle" / setup.device.name / str(rank))
        logger.info("deployed rank %d: bundle/%s/%d", rank, setup.device.name, rank)
    console.print(f"results in {setup.folder}", soft_wrap=True)


def searched(setup: Setup) -> Result:
    """Runs the search; whatever can be refused is refused before time goes into a latency table."""
    config = setup.config
    require_choice(config.deploy)
    if config.deploy not in (None, "none") or not config.latency_table:
        setup.device.require_here()  # bundles and tables are measured; a ready table may be of another machine
    constraints, tactic, engine = parsed(config.constraints), setup.tactic, instantiate(config.engine)
    first_batch_size(tactic, config.budget, config.batch_size)
    names = [config.objectives] if isinstance(config.objectives, str) else list(config.objectives)
    if "measured_latency" in names and n_workers(engine) > 1:
        raise search.SearchError(
            "measured_latency needs the machine for itself: give engine=local, or engine.workers=1"
        )
    objectives, space = setup.objectives(names), setup.net.space
    search.Problem.of(space, objectives, constraints)
    with search.Store(config.store or Path(config.output) / "store.sqlite") as store:
        store.bind(space)
        if "latency" in names:
            _ = setup.table
            objectives = setup.objectives(names)  # the table's latencies tell this device's study from others
        return search.run(
            space,
            objectives,
            tactic=tactic,
            budget=config.budget,
            seed=config.seed,
            store=store,
            constraints=constraints,
            batch_size=config.batch_size,
            engine=engine,
            asynchronous=config.asynchronous,
        )


def require_choice(choice: str | int | list[int] | None) -> None:
    """Raises SearchError unless `chosen_ranks` can read the choice."""
    ranks = [] if choice in (None, "none", "all", "ends") else [choice] if isinstance(choice, (int, str)) else choice
    if any(isinstance(rank, bool) or not isinstance(rank, int) or rank < 0 for rank in ranks or []):
        raise search.SearchError(f"deploy must be ends, all, none or ranks of the front as in [0,3], got {choice!r}")


def chosen_ranks(choice: str | int | list[int] | None, n_front: int) -> list[int]:
    """Ranks to deploy: "ends" (fastest, middle and most accurate), "all", "none", or ranks of the front.

    Ranks beyond the front are left out with a warning.
    """
    require_choice(choice)
    if choice in (None, "none") or n_front == 0:
        return []
    if choice == "all":
        return list(range(n_front))
    if choice == "ends":
        return sorted({0, n_front // 2, n_front - 1})
    wanted = [choice] if isinstance(choice, int) else [rank for rank in choice or [] if isinstance(rank, int)]
    if beyond := [rank for rank in wanted if rank >= n_front]:
        logger.warning("not deployed: ranks %s; the front has %d sub-networks", beyond, n_front)
    return [rank for rank in wanted if rank < n_front]


def report(setup: Setup, result: Result, front: pd.DataFrame, ranks: list[int]) -> None:
    """Writes tables, figure and page into the run's folder."""
    origin = {"run": provenance(package_versions())}
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
    text = f"{len(result.frame)} architectures evaluated, {len(result.pareto())} on the front; {result.ended}"
    if n_failed:
        first = result.failures.iloc[0]
        text += f"\n{n_failed} failed (results.csv says why), the first is id {first.name}: {first['error']}"
    return text
