"""Latency models of the applications: whose they have to be, and what they are in words."""

from pathlib import Path

from hardware import Device, LatencyModel, LatencyTable, TableError, TransferredLatency
from search.errors import SearchError
from supernet import SuperNetwork


def require_space(model: LatencyModel, net: SuperNetwork, source: str | Path) -> None:
    """Raises SearchError, which names the source, for latencies of another search space than the super-network's."""
    if model.space.fingerprint != net.space.fingerprint:
        raise SearchError(f"{source} holds latencies of another search space than {net.name}'s")


def require_network(model: LatencyModel, net: SuperNetwork, source: str | Path) -> None:
    """As `require_space`; a table of blocks has to be of blocks of the same structure, too."""
    require_space(model, net, source)
    if isinstance(model, LatencyTable):
        try:
            model.require(net)
        except TableError as error:
            raise SearchError(f"{source}: {error}") from error


def require_device(model: LatencyModel, device: Device, source: str | Path) -> None:
    """Raises SearchError, which names the source, for latencies of a device with other settings, whatever its name."""
    there, here = ({k: v for k, v in d.describe().items() if k != "name"} for d in (model.device, device))
    if there != here:
        raise SearchError(
            f"{source} is a latency table of another device: it was measured with {_settings(there)}, "
            f"hardware is set to {_settings(here)}"
        )


def described_size(model: LatencyModel) -> str:
    """What a latency model is made of, in words."""
    if isinstance(model, LatencyTable):
        return f"{len(model.blocks)} blocks"
    if isinstance(model, TransferredLatency):
        n_sources = len(model.provenance["sources"])
        return f"{len(model.latencies_ms)} measurements and {n_sources} known device{'s' if n_sources > 1 else ''}"
    return "a fit to whole sub-networks"


def described_error(model: LatencyModel) -> str:
    """A latency model's error on end-to-end measurements that it was not fitted to, in words."""
    if not model.error:
        return "its error is not known: too few end-to-end measurements"
    return (
        f"mean error {model.error['mape_percent']:.1f} %, rank correlation {model.error['spearman']:.3f} "
        f"on {model.error['n_architectures']:.0f} sub-networks outside the fit"
    )


def _settings(device: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in device.items())
