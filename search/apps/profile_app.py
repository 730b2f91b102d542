"""`supernet-profile`: the latency table of a super-network on a device."""

import logging

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from hardware import LatencyTable, measure_end_to_end
from search.apps.setup import Setup, described_error, output_folder

logger = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Builds (or goes on with) the table, and checks it on sub-networks that it has not seen where asked to."""
    setup = Setup(config, output_folder())
    table = setup.table
    console = Console()
    if config.check:
        console.print(checked(setup, table, config.check, config.seed))
    extremes = table.latency([setup.net.smallest, setup.net.largest])
    console.print(
        f"{len(table.blocks)} blocks on {setup.device.name}; smallest {extremes[0]:.3f} ms, "
        f"largest {extremes[1]:.3f} ms; {described_error(table)}",
        soft_wrap=True,
    )


def checked(setup: Setup, table: LatencyTable, n: int, seed: int) -> Table:
    """Predicted against measured latency of `n` architectures that the table was not fitted to."""
    from scipy.stats import spearmanr

    fitted = {probe.architecture for probe in table.probes}
    drawn = setup.net.space.sample(min(n + len(fitted), setup.net.space.size), seed + 1)
    unseen = [architecture for architecture in drawn if architecture not in fitted][:n]
    measured = np.array([m.median_ms for m in measure_end_to_end(setup.net, unseen, setup.device)])
    predicted = table.latency(unseen)
    error = float(np.mean(np.abs(predicted / measured - 1)) * 100)
    title = f"{len(unseen)} unseen sub-networks: mean error {error:.1f} %"
    result = Table(title=f"{title}, rank correlation {spearmanr(predicted, measured).statistic:.3f}")
    for column in ("predicted ms", "measured ms", "architecture"):
        result.add_column(column)
    for row in np.argsort(measured):
        result.add_row(f"{predicted[row]:.4f}", f"{measured[row]:.4f}", unseen[row].to_json())
    return result
