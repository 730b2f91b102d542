"""Where sub-networks run: devices, measuring, latency tables, deployment bundles."""

from hardware.building import measure_end_to_end
from hardware.bundle import FormatError, OnnxModule, ParityError, deploy
from hardware.device import Device, DeviceError
from hardware.energy import measure_energy
from hardware.importing import import_latency
from hardware.measuring import measure
from hardware.memory import measure_memory
from hardware.model import LatencyModel, TableError, load_latency
from hardware.predicted import LatencyPredictor
from hardware.table import LatencyTable
from hardware.timing import Measurement, Protocol
from hardware.transferring import TransferredLatency, choose_measurements, transfer

__all__ = [
    "Device",
    "DeviceError",
    "FormatError",
    "LatencyModel",
    "LatencyPredictor",
    "LatencyTable",
    "Measurement",
    "OnnxModule",
    "ParityError",
    "Protocol",
    "TableError",
    "TransferredLatency",
    "choose_measurements",
    "deploy",
    "import_latency",
    "load_latency",
    "measure",
    "measure_end_to_end",
    "measure_energy",
    "measure_memory",
    "transfer",
]
