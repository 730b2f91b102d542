"""Peak memory of an inference."""

import ctypes
import gc
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from hardware.backends import Runner, create

if TYPE_CHECKING:
    from hardware.device import Device

_INFERENCES = 3


def measure_memory(model: nn.Module, example_inputs: Tensor | Sequence[Tensor], device: "Device") -> int:
    """Bytes that one inference of a batch takes at its peak: weights, activations and the runtime's work space.

    On a GPU they are counted by PyTorch's allocator. On a CPU they are what the process gives back when the model is
    released, against its peak during inferences, as Linux counts resident pages: exact to some hundred kilobytes, and
    only where nothing else works in this process.

    Raises DeviceError where that cannot be measured.
    """
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    device.require_here()
    return create(device.backend).peak_memory(model.eval(), inputs, device)


def of_process(prepare: Callable[[], Runner], device: "Device") -> int:
    """Of the runner that `prepare` makes, by the resident memory of this process. Raises DeviceError but on Linux."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None or not Path("/proc/self/clear_refs").exists():
        raise device.error("peak memory is measured on Linux with glibc only")
    runner = prepare()
    runner.time_ms(_INFERENCES)
    gc.collect()
    trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    runner.time_ms(_INFERENCES)
    peak = _status("VmHWM")
    del runner
    gc.collect()
    trim(0)
    return max(peak - _status("VmRSS"), 0)


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
