"""Where sub-networks run: devices, measuring, latency tables, deployment bundles."""

from hardware.bundle import OnnxModule, ParityError, deploy
from hardware.device import Device, DeviceError
from hardware.measuring import Measurement, Protocol, measure
from hardware.table import LatencyTable, TableError, measure_end_to_end

__all__ = [
    "Device",
    "DeviceError",
    "LatencyTable",
    "Measurement",
    "OnnxModule",
    "ParityError",
    "Protocol",
    "TableError",
    "deploy",
    "measure",
    "measure_end_to_end",
]
