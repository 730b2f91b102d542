"""What all kinds of bundles have in common, which is also the bundle without a task: a model, checked and measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hardware.bundle.formats import Format
from hardware.bundle.sample import Sample, first_output
from hardware.device import Device
from hardware.measuring import measure
from hardware.timing import Measurement
from supernet import Architecture, SuperNetwork
from supernet.inputs import Inputs, call
from supernet.parts import Part
from supernet.tasks import Task
from supernet.tasks.base import Deployment

TEMPLATES = Path(__file__).parents[1] / "templates"
N_SAMPLES = 4


@dataclass(frozen=True)
class Making:
    """A sub-network on its way into a bundle.

    Args:
        net: the super-network.
        architecture: which of its sub-networks.
        model: that one, plain and on the CPU.
        task: None where it is not known.
        device: where it will run.
    """

    net: SuperNetwork
    architecture: Architecture
    model: nn.Module
    task: Task | None
    device: Device

    @cached_property
    def parts(self) -> Mapping[str, Part]:
        """The modules that the bundle holds."""
        return self.net.parts(self.model, self.architecture)

    @cached_property
    def deployment(self) -> Deployment | None:
        """How the task is deployed with this model; None without a task."""
        return None if self.task is None else self.task.deployment(self.model)

    def raw_samples(self) -> list[tuple[Any, Any]]:
        """The task's first validation samples with their targets."""
        return [] if self.task is None else self.task.samples("validation", N_SAMPLES)


class Kind:
    """How tasks of one kind are deployed; this class deploys models without a task.

    Attributes:
        program: the template that goes into the bundle as `task.py`.
        modules: further templates, which are copied as they are.
        packages: distributions that these need.
        parts: names of the parts that models of such tasks have.
    """

    program: ClassVar[str] = "task_none.py"
    modules: ClassVar[tuple[str, ...]] = ("run.py", "parity.py", "single.py")
    packages: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[tuple[str, ...]] = ("model",)

    def __init__(self, making: Making) -> None:
        self.making = making

    def settings(self) -> dict[str, Any] | None:
        """What goes into `preprocessing.json`; None: nothing."""
        return None if self.making.deployment is None else dict(self.making.deployment.settings)

    def sample(self) -> Sample:
        """The task's first validation samples, or the family's example inputs, and what the model makes of them."""
        making, names = self.making, list(self.making.parts["model"].inputs)
        if making.task is not None:
            inputs = making.task.prepare(making.model, [raw for raw, _ in making.raw_samples()])
        else:
            inputs = making.net.example_inputs(making.architecture, N_SAMPLES)
        with torch.no_grad():
            output = first_output(call(making.model, inputs))
        return Sample.of(_named(inputs, names), output)

    def compute(self, form: Format, folder: Path) -> Callable[[dict[str, Any]], Any]:
        """The model in the bundle, run by its runtime: inputs by name -> what must equal the sample's output."""
        model = form.runtime.load(folder, 1)
        return lambda inputs: model(inputs)[0]

    def latency(self) -> Measurement:
        """Latency of one inference of a batch on the device. Raises DeviceError where this machine is another one."""
        making = self.making
        inputs = making.net.example_inputs(making.architecture, making.device.batch_size)
        return measure(making.net.inference(making.model, making.architecture), inputs, making.device)

    def examples(self, folder: Path) -> str:
        """Writes inputs to try the bundle with; returns what to write behind `python run.py`."""
        return ""

    def write_program(self, folder: Path) -> None:
        """Writes `run.py` and the modules that it imports, beside `runtime.py`."""
        for name in self.modules:
            (folder / name).write_bytes((TEMPLATES / name).read_bytes())
        (folder / "task.py").write_bytes((TEMPLATES / self.program).read_bytes())


def _named(inputs: Inputs, names: list[str]) -> dict[str, Tensor]:
    if isinstance(inputs, Mapping):
        return {name: inputs[name] for name in names}
    return dict(zip(names, (inputs,) if isinstance(inputs, Tensor) else inputs, strict=True))
