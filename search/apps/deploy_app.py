"""`supernet-deploy`: bundles of sub-networks of a finished search, chosen by rank, id or constraint, or any other."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console

from hardware.bundle.formats import chosen_format
from search.apps.bundles import deploy_architecture, deploy_row
from search.apps.choosing import of_device, require_choice
from search.apps.finished import Finished, finished_searches
from search.apps.setup import Setup
from search.errors import SearchError
from search.report import write_overview

_WAYS = ("rank", "id", "where", "architecture")


def run(config: DictConfig) -> None:
    """Deploys sub-networks of a search, or of every search in a multirun's folder, for each of its devices.

    Settings are checked for all bundles before the first one is made. If a bundle fails, those before it stay.
    """
    top = Path(config.search).resolve()
    output = Path(config.output).resolve() if config.output else None
    if config.action == "overview":
        _say_overview(write_overview(_shown(top, output)))
        return
    if config.action != "deploy":
        raise SearchError(f"unknown action {config.action!r}: available are deploy, overview")
    planned = list(_planned(config, top, output))
    if not planned:
        raise SearchError(f"search={top}: nothing to deploy, its front is empty (no architecture met the constraints)")
    made: list[Path] = []
    try:
        for bundle in planned:
            with bundle.search.there():
                made.append(bundle.make())
            say(made[-1])
    finally:
        if made and made != [output]:
            _say_overview(write_overview(_shown(top, output)))


@dataclass(frozen=True)
class Planned:
    """A bundle to be made.

    Args:
        search: that it is of.
        make: writes the bundle, and returns its folder.
    """

    search: Finished
    make: Callable[[], Path]


def _planned(config: DictConfig, top: Path, output: Path | None) -> Iterator[Planned]:
    """The bundles of all searches and devices. Raises SearchError for settings that do not fit them or each other."""
    given = [name for name in _WAYS if config[name] is not None]
    if len(given) > 1:
        raise SearchError(
            "say in one way which sub-networks: rank=N, id=N, where='latency <= 5' or architecture=FILE, "
            f"got {' and '.join(given)}"
        )
    require_choice(config.rank, "rank")
    devices = list(config.device) if isinstance(config.device, ListConfig) else config.device and [str(config.device)]
    searches = [part for folder in finished_searches(top) for part in Finished.parts(folder, devices)]
    names = list(dict.fromkeys(search.device for search in searches))
    by_hand = read_architecture(config.architecture) if config.architecture is not None else None
    formats = {name: of_device(config.format, name, names, "format") for name in names}
    for search in searches:
        chosen_format(search.setup.device, formats[search.device])  # refuses what cannot be written here
    chosen = [[] if by_hand is not None else list(search.rows(config)) for search in searches]
    of_folder = Counter(search.folder for search in searches)
    for search, rows in zip(searches, chosen, strict=True):
        setup, format = search.setup, formats[search.device]
        if output is None:
            folder = search.folder / "bundle" / setup.device.name
        else:
            folder = output / search.folder.relative_to(top) / (search.device if of_folder[search.folder] > 1 else "")
        if by_hand is not None:
            yield Planned(search, partial(_by_hand, setup, by_hand, folder, format, named=output is None))
        for name, row in rows:
            target = folder / (name if output is None or len(rows) > 1 else "")
            yield Planned(search, partial(deploy_row, setup, row, target, format))


def _by_hand(setup: Setup, given: dict[str, Any], folder: Path, format: str | None, *, named: bool) -> Path:
    architecture = setup.net.space.validate(given)
    digest = hashlib.sha256(architecture.to_json().encode()).hexdigest()[:8]
    return deploy_architecture(setup, architecture, folder / (f"custom-{digest}" if named else ""), format)


def _shown(top: Path, output: Path | None) -> Path:
    """The folder whose bundles the overview shows: the configured output, else that of the search or multirun."""
    if output is not None:
        return output
    return top / "bundle" if (top / "results.csv").exists() else top


def read_architecture(given: Any) -> dict[str, Any]:
    """An architecture as a mapping, from JSON text, a JSON file (of a bundle, too), or a mapping in Hydra's notation.

    Raises SearchError for anything else, OSError for a file that cannot be read.
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
    """Prints the folder of a bundle, and the metrics of its sub-network."""
    metrics = json.loads((bundle / "metrics.json").read_text(encoding="utf-8"))
    measured = metrics["measured"].items()
    facts = [f"{name} {value}" if isinstance(value, str) else f"{name} {value:.4g}" for name, value in measured]
    if "latency" in metrics:
        facts.append(f"latency {metrics['latency']['median_ms']:.3g} ms")
    else:
        facts.append("latency not measured here, run.py does on the device")
    Console().print(f"{bundle}\n  {', '.join(facts)}", soft_wrap=True, highlight=False)


def _say_overview(page: Path) -> None:
    Console().print(f"overview in {page}", soft_wrap=True, highlight=False)
