"""Command-line applications: `supernet-search`, `supernet-train`, `supernet-profile`, `supernet-deploy`."""


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
    from search.apps.launcher import launch  # here, so that shell completion and --help start quickly

    launch(name)
