"""`supernet-profile`: the latency table of a super-network on a device."""

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from hardware import LatencyTable
from search.apps.setup import Setup, described_error, output_folder


def run(config: DictConfig) -> None:
    """Builds (or goes on with) the table, and shows how well it predicts sub-networks that it was not fitted to."""
    setup = Setup(config, output_folder())
    table = setup.table
    console = Console()
    if any(probe.held_out for probe in table.probes):
        console.print(comparison(table))
    extremes = table.latency([setup.net.smallest, setup.net.largest])
    console.print(
        f"{len(table.blocks)} blocks on {table.device.name}; smallest {extremes[0]:.3f} ms, "
        f"largest {extremes[1]:.3f} ms; {described_error(table)}",
        soft_wrap=True,
    )


def comparison(table: LatencyTable) -> Table:
    """Predicted and measured latency of the held-out sub-networks, fastest first."""
    held_out = [probe for probe in table.probes if probe.held_out]
    predicted = table.latency([probe.architecture for probe in held_out])
    shown = Table(title="sub-networks that the table was not fitted to")
    for column in ("predicted ms", "measured ms", "architecture"):
        shown.add_column(column)
    for i in np.argsort([probe.measured_ms for probe in held_out]):
        shown.add_row(f"{predicted[i]:.4f}", f"{held_out[i].measured_ms:.4f}", held_out[i].architecture.to_json())
    return shown
