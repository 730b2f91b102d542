"""`supernet-profile` on devices elsewhere: over SSH, or by a bundle that is carried there."""

import logging
import shlex
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from hardware.remote import Host
from hardware.remote.reading import read_manifest
from search.apps.setup import Setup
from search.errors import SearchError

logger = logging.getLogger(__name__)


def bundle_folder(setup: Setup) -> Path:
    """The folder of the profile bundle: the configured one, else one in the output folder."""
    given = setup.config.bundle
    return Path(given) if given else setup.folder / f"profile_{setup.device.name}"


def profile_on_host(setup: Setup, write: Callable[[Path], None]) -> None:
    """Writes the bundle unless it is there, runs it on the configured host, and brings its results back into it.

    Raises SearchError where the bundle is of a device with other settings.
    """
    config, folder = setup.config, bundle_folder(setup)
    host = Host(config.host, python=config.python, ssh=tuple(shlex.split(config.ssh)))
    if not folder.exists():
        write(folder)
    elif (there := read_manifest(folder)["device"]) != (here := setup.device.describe()):
        raise SearchError(f"{folder} is a profile bundle of another device, {there} instead of {here}: remove it")
    host.profile(folder, say=logger.info)


def say_how_to_profile(folder: Path, settings: str = "") -> None:
    """Prints how to run a profile bundle, and the command that imports its results, with these settings."""
    Console().print(
        f"{folder}\n"
        "1. copy this folder to the device and run there: python3 profile.py\n"
        f"2. bring its results.jsonl back, then: supernet-profile import {settings}bundle={folder} results=FILE",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
