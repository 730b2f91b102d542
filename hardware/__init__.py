"""Where sub-networks run: devices, measuring, latency tables, deployment bundles."""

from hardware.building import measure_end_to_end
from hardware.bundle import OnnxModule, ParityError, deploy
from hardware.device import Device, DeviceError
from hardware.energy import measure_energy
from hardware.measuring import measure
from hardware.memory import measure_memory
from hardware.table import LatencyTable, TableError
from hardware.timing import Measurement, Protocol

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
    "measure_energy",
    "measure_memory",
]
