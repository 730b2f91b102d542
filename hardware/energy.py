"""Energy of an inference, where the machine counts it."""

import ctypes
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from hardware.backends import create
from hardware.device import Device
from hardware.measuring import ExampleInputs, keeping_threads, positional, prepared
from supernet.inputs import evaluating

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the counters of Intel's and AMD's processors (RAPL)."""

Counter = Callable[[], float]
"""Reads a counter: millijoules that were spent since some fixed moment."""


def measure_energy(model: nn.Module, example_inputs: ExampleInputs, device: Device, seconds: float = 2.0) -> float:
    """Millijoules that one inference of a batch takes: the GPU's (NVML), or the processor packages' (RAPL).

    All that the chip spends while inferences run one after the other for some seconds: idle power and other programs
    count too. Takes model and inputs as `hardware.measure` does.

    Raises DeviceError where there is no counter, or none that may be read, and for inputs of another batch size.
    """
    model, inputs = positional(model, example_inputs, device)
    with evaluating(model), keeping_threads(), device.pinned():
        runner, counter = prepared(model, inputs, device), energy_counter(device)
        run_ms = max(runner.time_ms(10) * runner.inferences, 1e-3)
        calls = max(1, math.ceil(seconds * 1e3 / run_ms))
        before = counter()
        runner.repeat(calls)
        return (counter() - before) / calls / runner.inferences


def energy_counter(device: Device) -> Counter:
    """The counter of the chip that does the device's work. Raises DeviceError where there is none to read."""
    device.require_here()
    on_gpu = create(device.backend).place == "cuda"
    return _nvml(device) if on_gpu else _rapl(device, POWERCAP)


def _rapl(device: Device, root: Path) -> Counter:
    packages = sorted(path for path in root.glob("*-rapl:*") if path.name.count(":") == 1)
    if not packages:
        raise device.error(f"this machine shows no energy counter of its processor (RAPL, in {root})")
    spans = [_number(path / "max_energy_range_uj", device) for path in packages]
    last = [_number(path / "energy_uj", device) for path in packages]
    total = [0]

    def millijoules() -> float:
        for i, path in enumerate(packages):
            now = _number(path / "energy_uj", device)
            total[0] += (now - last[i]) % (spans[i] + 1)  # it starts from 0 again beyond its span
            last[i] = now
        return total[0] / 1e3

    return millijoules


def _number(path: Path, device: Device) -> int:
    try:
        return int(path.read_text())
    except OSError as error:
        raise device.error(
            f"the energy counter {path} cannot be read ({error.strerror}): it may need root, or "
            f"`chmod a+r` by an administrator"
        ) from error


def _nvml(device: Device) -> Counter:
    """The counter of the GPU that PyTorch uses, through the library that comes with NVIDIA's driver (NVML)."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError as error:
        raise device.error(f"NVIDIA's management library (NVML) is not here: {error}") from error
    handle, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
    uuid = f"GPU-{torch.cuda.get_device_properties().uuid}".encode()
    codes = [nvml.nvmlInit_v2(), nvml.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle))]

    def millijoules() -> float:
        if code := nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(energy)):
            raise device.error(f"{torch.cuda.get_device_name()} tells no energy (NVML error {code})")
        return float(energy.value)

    if any(codes):
        raise device.error(f"NVML does not open the GPU (error {max(codes)})")
    millijoules()
    return millijoules
