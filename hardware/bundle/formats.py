"""What a bundle's model is written as, and the runtime that runs it on the device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from torch import Tensor, nn

from hardware.bundle.templates import runtime_onnxruntime
from hardware.export import to_onnx

_TEMPLATES = Path(__file__).parent / "templates"
_COPIED = ("run.py", "images.py", "preprocessing.py", "parity.py")


@dataclass(frozen=True)
class Format:
    """A model format with its runtime.

    Args:
        runtime: the module that goes into the bundle as `runtime.py`: `MODEL` (the model's file), `load(folder,
            threads)` and `versions()`. Making the bundle checks the model through the same module.
        write: writes a model, traced with example inputs, to a file; inputs are named `input`, `input_1`, ...
        packages: distributions that the bundle needs.
    """

    runtime: ModuleType
    write: Callable[[nn.Module, Sequence[Tensor], Path], object]
    packages: tuple[str, ...]

    def write_program(self, folder: Path) -> None:
        """Writes `run.py`, the modules it imports, and `requirements.txt`."""
        for name in _COPIED:
            (folder / name).write_bytes((_TEMPLATES / name).read_bytes())
        (folder / "runtime.py").write_bytes(Path(str(self.runtime.__file__)).read_bytes())
        (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in self._requirements()))

    def _requirements(self) -> list[str]:
        """The installed versions as lower bounds, where the device's Python is recent enough to have them."""
        recent = 'python_version >= "3.11"'
        bounds = [f"{package}>={version(package)}; {recent}" for package in self.packages]
        return bounds + [f"{package}; {recent.replace('>=', '<')}" for package in self.packages]


ONNX = Format(runtime_onnxruntime, to_onnx, ("numpy", "onnxruntime"))
