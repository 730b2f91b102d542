"""Peak memory of an inference."""

import ctypes
import gc
import re
from collections.abc import Callable
from pathlib import Path

from torch import nn

from hardware.backends import Runner, create
from hardware.device import Device
from hardware.measuring import ExampleInputs, keeping_threads, positional
from supernet.inputs import evaluating

_INFERENCES = 3
_PEAK = Path("/proc/self/clear_refs")


def measure_memory(model: nn.Module, example_inputs: ExampleInputs, device: Device) -> int:
    """Bytes that one inference of a batch takes at its peak: weights, activations and the runtime's work space.

    On a GPU they are counted by PyTorch's allocator. On a CPU they are what the process gives back when the model is
    released, against its peak during inferences, as Linux counts resident pages: exact to some hundred kilobytes, and
    only where nothing else works in this process. Takes model and inputs as `hardware.measure` does.

    Raises DeviceError where that cannot be measured, and for inputs of another batch size.
    """
    model, inputs = positional(model, example_inputs, device)
    device.require_here()
    with evaluating(model), keeping_threads():
        return create(device.backend).peak_memory(model, inputs, device)


def of_process(prepare: Callable[[], Runner], device: Device) -> int:
    """Peak bytes of the runner that `prepare` makes, by the resident memory of this process.

    Raises DeviceError where the system does not tell that: it takes Linux with glibc.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if _PEAK.exists() else None
    if trim is None or not (_status("VmHWM") and _status("VmRSS")):
        raise device.error("peak memory is measured on Linux with glibc only")
    runner = prepare()
    runner.time_ms(_INFERENCES)
    gc.collect()
    trim(0)
    _PEAK.write_text("5")  # the peak starts anew from here
    runner.time_ms(_INFERENCES)
    peak = _status("VmHWM")
    del runner
    gc.collect()
    trim(0)
    return max(peak - _status("VmRSS"), 0)


def _status(name: str) -> int:
    """A value of /proc/self/status in bytes; 0 where it is not told."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
