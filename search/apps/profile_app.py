"""`supernet-profile`: the latency table of a super-network on a device."""

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from hardware import LatencyTable
from search.apps.setup import Setup, output_folder
from supernet import SuperNetwork


def run(config: DictConfig) -> None:
    """Builds (or goes on with) the table, and shows how well it predicts sub-networks that it was not fitted to."""
    setup = Setup(config, output_folder())
    table = setup.table
    console = Console()
    if any(probe.held_out for probe in table.probes):
        console.print(comparison(table, setup.net))
    smallest, largest = table.latency([setup.net.smallest, setup.net.largest])
    console.print(
        f"smallest sub-network {smallest:.3f} ms, largest {largest:.3f} ms\n"
        f"table in {setup.folder / f'latency_{setup.device.name}.json'}",
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
