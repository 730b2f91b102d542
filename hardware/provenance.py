"""Where and when a number was measured."""

import datetime
import os
import platform
from typing import Any

from hardware.processor import cpu_model

__all__ = ["cpu_model", "provenance"]


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
