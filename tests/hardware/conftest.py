"""Devices whose latencies are exact: what they compare depends on the models alone, not on what else runs here."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from hardware import Device, backends
from hardware.timing import Runner


class Counted(backends.Backend):
    """An inference takes 5 us for the call and 1 us for every thousand floating-point operations."""

    power = 1.0

    def prepare(self, model, inputs, device):
        with FlopCounterMode(display=False) as counter:
            model(*inputs)
        return Steady((0.005 + counter.get_total_flops() * 1e-6) ** self.power)

    def versions(self):
        return {}


class Uneven(Counted):
    """Large models are quicker than their parts together."""

    power = 0.8


class Steady(Runner):
    def __init__(self, ms):
        super().__init__(lambda: None)
        self.ms = ms

    def time_ms(self, calls):
        return self.ms


@pytest.fixture(scope="module")
def exact():
    """A function that makes such devices, which are known while the tests of a module run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backends._backends.known, "counted", Counted)
        patch.setitem(backends._backends.known, "uneven", Uneven)
        yield lambda backend="counted", **settings: Device("exact", backend, **settings)
