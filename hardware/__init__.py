"""Where sub-networks run: devices, measuring, latency tables, deployment bundles."""

from hardware.device import Device, DeviceError
from hardware.measuring import Measurement, Protocol, measure
from hardware.table import LatencyTable, TableError, measure_end_to_end

__all__ = [
    "Device",
    "DeviceError",
    "LatencyTable",
    "Measurement",
    "Protocol",
    "TableError",
    "measure",
    "measure_end_to_end",
]
