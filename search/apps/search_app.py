"""`supernet-search`: the whole path from a super-network to deployed sub-networks, for one device or several."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

import search
from hardware import Device
from hardware.backends import create
from hardware.bundle.formats import chosen_format
from hardware.provenance import provenance
from search.api import first_batch_size
from search.apps.bundles import deploy_row, package_versions
from search.apps.choosing import chosen_ranks, require_choice
from search.apps.comparing import measure
from search.apps.constraints import parsed
from search.apps.devices import with_devices
from search.apps.setup import Setup, output_folder
from search.driver import n_workers
from search.report import Baseline, console_table, write_overview, write_report
from search.result import Result
from supernet.cells import literal
from supernet.validation import require_fit

logger = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Searches, writes the report, prints the fronts, and deploys the configured part of each."""
    folder = output_folder()
    setup = Setup(with_devices(config, folder), folder)
    result, baseline = searched(setup)
    several = len(setup.parts) > 1
    devices = [part.device.name if several else "" for part in setup.parts]
    views = [result.view(name) if name else result for name in devices]
    ranks = [chosen_ranks(config.deploy, len(view.pareto())) for view in views]
    chosen = [[int(view.pareto().index[i]) for i in r] for view, r in zip(views, ranks, strict=True)]
    report(setup, result, chosen, baseline)
    console = Console()
    for name, view in zip(devices, views, strict=True):
        console.print(console_table(view, device=name, baseline=baseline.view(name)))
    console.print(summary(result), soft_wrap=True)
    for part, name, view, of_device in zip(setup.parts, devices, views, ranks, strict=True):
        front = view.pareto()
        for rank in of_device:
            deploy_row(part, front.iloc[rank], folder / "bundle" / part.device.name / str(rank))
            compared = baseline.view(name).compared(view, int(front.index[rank]))
            than = f" ({compared} than the largest sub-network)" if compared else ""
            logger.info("deployed rank %d: bundle/%s/%d%s", rank, part.device.name, rank, than)
    if any(ranks):
        logger.info("overview of what is deployed: %s", write_overview(folder / "bundle").relative_to(folder))
    console.print(f"results in {folder}", soft_wrap=True)


def searched(setup: Setup) -> tuple[Result, Baseline]:
    """Runs the search, and tells what is known of the largest sub-network.

    Settings are checked before a latency table is built, which may take long.
    """
    config = setup.config
    require_choice(config.deploy)
    if not isinstance(config.baseline, bool):
        raise search.SearchError(f"baseline must be true or false, got {config.baseline!r}")
    for part in setup.parts:
        if config.deploy not in (None, "none"):
            chosen_format(part.device, None)  # refuses what cannot be written here
        if part.ready_table is None:  # a ready table, and bundles, may be of another machine
            part.device.require_here()
    constraints, tactic, engine = parsed(config.constraints), setup.tactic, instantiate(config.engine)
    first_batch_size(tactic, config.budget, config.batch_size)
    space = setup.net.space  # first: a task may take settings from the super-network's
    names = [*setup.optimised, *setup.bounded]
    require_undisturbed(names, [part.device for part in setup.parts], engine)
    if setup.accuracy_among(names):
        require_fit(setup.net, setup.task)
    objectives, descriptors = setup.objectives, setup.descriptors
    search.Problem.of(space, objectives, constraints, descriptors)
    with search.Store(config.store or Path(config.output) / "store.sqlite") as store:
        store.bind(space)
        if "latency" in names:
            _ = [part.table for part in setup.parts]
            objectives = setup.objectives  # the table's latencies tell this device's study from others
        if config.baseline:
            measure(space.largest, objectives, store, engine, retry_failed=config.retry_failed)
        result = search.run(
            space,
            objectives,
            tactic=tactic,
            budget=config.budget,
            seed=config.seed,
            store=store,
            constraints=constraints,
            descriptors=descriptors,
            warm_start=plain(config.warm_start),
            batch_size=config.batch_size,
            engine=engine,
            asynchronous=config.asynchronous,
            retry_failed=config.retry_failed,
        )
        remark = "it could not be measured" if config.baseline else "baseline=true measures what is not known"
        return result, Baseline.of(result, store, remark)


def require_undisturbed(names: Sequence[str], devices: Sequence[Device], engine: search.Engine) -> None:
    """Raises SearchError where several workers would disturb each other's measurements of latency or energy."""
    alone = [name for name in ("measured_latency", "energy") if name in names]
    if not alone or n_workers(engine) == 1:
        return
    on_gpus = all(create(device.backend).place == "cuda" for device in devices)
    if not (on_gpus and getattr(engine, "has_own_gpus", False)):
        raise search.SearchError(
            f"{alone[0]} needs the machine for itself: give engine=local or engine.workers=1"
            + ("; or engine=gpus, where all are of one model, with one worker per GPU" if on_gpus else "")
        )


def report(setup: Setup, result: Result, chosen: list[list[int]], baseline: Baseline) -> None:
    """Writes tables, figure and page into the run's folder; `chosen` holds, per device, the ids to point out."""
    origin: dict[str, Any] = {"run": provenance(package_versions())}
    if setup.task.methods:
        origin["metrics"] = dict(setup.task.methods)
    devices = {part.device.name: part for part in setup.parts}
    for name, part in devices.items():
        if "table" in vars(part):
            origin["latency table" if len(devices) == 1 else f"latency table of {name}"] = {
                **part.table.provenance,
                **part.table.error,
            }
    described = {name: part.device.describe() for name, part in devices.items()}
    several = len(devices) > 1
    write_report(
        result,
        setup.folder,
        title=f"{setup.net.name} on {', '.join(devices)}",
        device=described if several else next(iter(described.values())),
        provenance=origin,
        chosen=dict(zip(devices, chosen, strict=True)) if several else chosen[0],
        baseline=baseline,
    )


def summary(result: Result) -> str:
    """How many architectures were evaluated, are on the front and failed, and why the search ended."""
    n_failed = len(result.failures)
    fronts = [f"{len(result.pareto(device))} on the front of {device}" for device in result.history.problem.devices]
    on_front = ", ".join(fronts) or f"{len(result.pareto())} on the front"
    text = f"{len(result.frame)} architectures evaluated, {on_front}; {result.ended}"
    if n_failed:
        first = result.failures.iloc[0]
        text += f"\n{n_failed} failed (results.csv says why), the first is id {first.name}: {first['error']}"
        text += "\nretry_failed=true measures them again"
    if n_partial := len(result.partial):
        text += f"\n{n_partial} left out of the front of a device that has no value of them (results.csv says why)"
    return text


def plain(setting: Any) -> Any:
    """A setting as plain data; the text of a JSON object becomes that object."""
    if isinstance(setting, str) and setting.startswith("{"):
        return literal(setting)
    return OmegaConf.to_container(setting, resolve=True) if OmegaConf.is_config(setting) else setting
