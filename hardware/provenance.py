"""Where and when a number was measured."""

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from hardware.processor import cpu_model

__all__ = ["cpu_model", "distribution", "provenance"]


def distribution(package: str) -> tuple[str, str]:
    """Name and version of the distribution that a package comes from (`onnxruntime` may be of onnxruntime-gpu).

    Raises PackageNotFoundError where there is none.
    """
    try:
        return package, version(package)
    except PackageNotFoundError:
        if not (names := packages_distributions().get(package)):
            raise
        return names[0], version(names[0])


def provenance(versions: dict[str, str], accelerator: str | None = None) -> dict[str, Any]:
    """CPU, cores, accelerator, system, `versions`, date (UTC) and the load average of the last minute, as JSON data."""
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        **({"accelerator": accelerator} if accelerator else {}),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load_average": load,
    }
