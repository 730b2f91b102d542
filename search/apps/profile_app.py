"""`supernet-profile`: the latency table of a super-network on a device, here or elsewhere."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from hardware import LatencyModel, LatencyTable, import_latency
from hardware.importing import is_published
from hardware.remote import read_profile, write_profile_bundle
from search.apps.elsewhere import bundle_folder, profile_on_host, say_how_to_profile
from search.apps.latencies import described_error, described_size, require_network
from search.apps.setup import Setup, output_folder
from search.apps.transferring import transferred
from search.errors import SearchError
from supernet import SuperNetwork


def run(config: DictConfig) -> None:
    """Carries out the configured `action`, and prints how well the table predicts sub-networks outside its fit."""
    actions: dict[str, Callable[[Setup], None]] = {"build": build, "bundle": bundle, "import": import_}
    if config.action not in actions:
        raise SearchError(f"unknown action {config.action!r}: available are {', '.join(actions)}")
    if not isinstance(config.check, int) or config.check < 0:
        raise SearchError(f"check must be a number of sub-networks, 0 or more, got {config.check!r}")
    setup = Setup(config, output_folder())
    if config.sources:
        if (model := transferred(setup)) is not None:
            model.save(table_path(setup, model))
            show(setup, model)
        return
    actions[config.action](setup)


def build(setup: Setup) -> None:
    """Builds the table, or continues an unfinished one: on this machine, or on the host behind SSH."""
    config = setup.config
    if config.host is None:
        show(setup, setup.table)
        return
    profile_on_host(setup, lambda folder: write(setup, folder))
    import_(setup)


def bundle(setup: Setup) -> None:
    """Writes the profile bundle, a folder to copy to the device."""
    folder = bundle_folder(setup)
    write(setup, folder)
    say_how_to_profile(folder)


def import_(setup: Setup) -> None:
    """Makes the table from measurements that came back from the device, or from published ones."""
    config = setup.config
    elsewhere = setup.device.backend == "imported"
    if config.results is not None and (elsewhere or is_published(config.results)):
        published = import_latency(
            config.results, setup.net, setup.device, column=config.column, fixed=dict(config.fixed)
        )
        published.save(table_path(setup, published))
        show(setup, published)
        return
    if elsewhere:
        raise SearchError(f"give results=FILE, the latencies that others measured of {setup.device.name}")
    table = read_profile(bundle_folder(setup), config.results)
    require_network(table, setup.net, bundle_folder(setup))
    table.save(table_path(setup, table))
    show(setup, table)


def write(setup: Setup, folder: Path) -> None:
    """Writes a profile bundle of the configured super-network and device."""
    config = setup.config
    settings = {"group": config.group, "memory_mb": config.memory, "seed": config.seed}
    write_profile_bundle(setup.net, setup.device, folder, n_held_out=config.check, **settings)


def table_path(setup: Setup, table: LatencyModel) -> Path:
    """Path of this run's table: a profile bundle knows its device, whatever is configured."""
    return setup.folder / f"latency_{table.device.name}.json"


def show(setup: Setup, table: LatencyModel) -> None:
    """Prints the table's error, the latencies of the smallest and the largest sub-network, and its path."""
    console = Console()
    if isinstance(table, LatencyTable) and any(probe.held_out for probe in table.probes):
        console.print(comparison(table, setup.net))
    smallest, largest = (
        "not known" if np.isnan(ms) else f"{ms:.3f} ms" for ms in table.latency([setup.net.smallest, setup.net.largest])
    )
    console.print(
        f"{described_size(table)}: {described_error(table)}\n"
        f"smallest sub-network {smallest}, largest {largest}\ntable in {table_path(setup, table)}",
        soft_wrap=True,
        highlight=False,
    )


def comparison(table: LatencyTable, net: SuperNetwork) -> Table:
    """Predicted and measured latency of the held-out sub-networks, fastest first."""
    held_out = [probe for probe in table.probes if probe.held_out]
    architectures = [probe.architecture for probe in held_out]
    predicted, macs = table.latency(architectures), net.costs(architectures)["macs"]
    measured = np.array([probe.measured_ms for probe in held_out])
    shown = Table(title="sub-networks that the table was not fitted to", title_justify="left")
    for column in ("MACs", "measured ms", "predicted ms", "error %"):
        shown.add_column(column, justify="right")
    for i in np.argsort(measured):
        error = (predicted[i] / measured[i] - 1) * 100
        shown.add_row(f"{macs[i]:,}", f"{measured[i]:.4f}", f"{predicted[i]:.4f}", f"{error:+.1f}")
    return shown
