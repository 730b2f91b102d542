"""Command-line applications: `supernet-search`, `supernet-train`, `supernet-profile`, `supernet-deploy`."""

import os


def search() -> None:
    """Searches for sub-networks for a device, reports and deploys them."""
    _launch("search")


def train() -> None:
    """Trains a super-network."""
    _launch("train")


def profile() -> None:
    """Builds the latency table of a super-network on a device."""
    _launch("profile")


def deploy() -> None:
    """Writes bundles of sub-networks that a finished search found."""
    _launch("deploy")


def _launch(name: str) -> None:
    # before PyTorch is loaded: threads that wait give their core away, or a busy machine slows small networks tenfold
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from search.apps.launcher import launch  # here, so that shell completion and --help start quickly

    launch(name)
