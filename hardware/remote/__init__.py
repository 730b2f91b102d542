"""Devices that are elsewhere: bundles that measure there, by hand or over SSH, and what comes back."""

from hardware.remote.packing import write_profile_bundle
from hardware.remote.reading import read_measurements, read_profile
from hardware.remote.ssh import Host, RemoteError

__all__ = ["Host", "RemoteError", "read_measurements", "read_profile", "write_profile_bundle"]
