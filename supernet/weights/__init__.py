"""Embedded weights: package data."""

from importlib.resources import as_file, files

from supernet.network import SuperNetwork


def load_embedded(net: SuperNetwork, name: str) -> None:
    """Loads the weights that this package holds under `name` into `net`.

    Raises CheckpointError where there are none, or where they are of another super-network.
    """
    with as_file(files(__name__) / f"{name}.safetensors") as path:
        net.load_checkpoint(path)
