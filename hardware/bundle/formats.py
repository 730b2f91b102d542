"""What a bundle's model is written as, and the runtime that runs it on the device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from hardware.bundle.templates import runtime_onnxruntime
from hardware.export import to_onnx
from supernet.parts import Part


@dataclass(frozen=True)
class Format:
    """A model format with its runtime.

    Args:
        runtime: the module that goes into the bundle as `runtime.py`: `ENDING` (of the model's files), `load(folder,
            threads, part)` and `versions()`. Making the bundle checks the model through the same module.
        write: writes a part of a model to a file.
        packages: distributions that the bundle needs.
    """

    runtime: ModuleType
    write: Callable[[Part, Path], object]
    packages: tuple[str, ...]

    def write_model(self, parts: Mapping[str, Part], folder: Path) -> list[str]:
        """Writes all parts of a model; returns the names of their files."""
        files = {f"{name}{self.runtime.ENDING}": part for name, part in parts.items()}
        for file, part in files.items():
            self.write(part, folder / file)
        return list(files)

    def write_runtime(self, folder: Path, packages: tuple[str, ...] = ()) -> None:
        """Writes `runtime.py` and `requirements.txt`; `packages` are what is needed beside the runtime."""
        (folder / "runtime.py").write_bytes(Path(str(self.runtime.__file__)).read_bytes())
        recent = 'python_version >= "3.11"'  # older ones may not have the versions that are installed here
        needed = (*self.packages, *packages)
        lines = [f"{package}>={version(package)}; {recent}" for package in needed]
        lines += [f"{package}; {recent.replace('>=', '<')}" for package in needed]
        (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))


ONNX = Format(runtime_onnxruntime, to_onnx, ("numpy", "onnxruntime"))
