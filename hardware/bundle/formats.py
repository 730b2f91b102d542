"""The formats of models in bundles, each with the runtime that runs it on the device."""

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from hardware import backends
from hardware.bundle import writers
from hardware.bundle.sample import ParityError
from hardware.bundle.served import served
from hardware.bundle.writing import write_json
from hardware.device import Device, DeviceError
from hardware.provenance import distribution
from supernet.parts import Part


class FormatError(ValueError):
    """A model cannot be written in a format, or its runtime cannot run it."""


@dataclass(frozen=True)
class Format:
    """A model format with its runtime.

    Args:
        name: as in `deploy(format=...)`.
        template: the module of `hardware.bundle.templates` that goes into the bundle as `runtime.py`: `ENDING` (of the
            model's files), `load(folder, threads, part)` and `versions()`. Making the bundle checks the model through
            the same module.
        write: writes a part of a model to a file.
        packages: distributions that the bundle needs; the names to import are the same.
    """

    name: str
    template: str
    write: Callable[[Part, Path], object]
    packages: tuple[str, ...]

    @property
    def runtime(self) -> ModuleType:
        """The template as a module."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notices of the runtime about its own parts
            return importlib.import_module(f"hardware.bundle.templates.{self.template}")

    def require(self) -> None:
        """Raises DeviceError where a package is missing that writes or checks the format."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise DeviceError(
                    f"bundles of format {self.name!r} need {package}: pip install 'supernet-search[{package}]', "
                    f"or choose another one of {', '.join(formats())} with format=..."
                )

    def write_model(self, parts: Mapping[str, Part], folder: Path, device: Device) -> list[str]:
        """Writes all parts of a model, and `runtime.json` with the settings of the runtime; returns the files' names.

        Raises FormatError for a model that cannot be written so, OSError where a file cannot be written.
        """
        backend = backends.create(device.backend)
        itself = backend.lowers_models and backend.bundle_format == self.name
        files = {f"{name}{self.runtime.ENDING}": part for name, part in parts.items()}
        for file, part in files.items():
            with self.explaining(f"{file} cannot be written"):
                self.write(part if itself else served(part, device.precision), folder / file)
        inputs = {name: list(part.inputs) for name, part in parts.items()}
        description = {"format": self.name, "backend": device.backend, "precision": device.precision, "inputs": inputs}
        write_json(folder / "runtime.json", description)
        return list(files)

    @contextmanager
    def explaining(self, what: str) -> Iterator[None]:
        """Turns errors of exporters and runtimes, which are of many kinds, into FormatErrors that say what to do."""
        try:
            yield
        except (FormatError, ParityError, OSError, MemoryError):
            raise
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise FormatError(
                f"{what} in format {self.name!r} ({type(error).__name__}: {reason}): choose another one of "
                f"{', '.join(formats())} with format=..."
            ) from error

    def write_runtime(self, folder: Path, packages: tuple[str, ...] = ()) -> None:
        """Writes `runtime.py` and `requirements.txt`; `packages` are what is needed beside the runtime."""
        (folder / "runtime.py").write_bytes(Path(str(self.runtime.__file__)).read_bytes())
        recent = 'python_version >= "3.11"'  # older ones may not have the versions that are installed here
        needed = [distribution(package) for package in (*self.packages, *packages)]
        lines = [f"{name}>={version.partition('+')[0]}; {recent}" for name, version in needed]
        lines += [f"{name}; {recent.replace('>=', '<')}" for name, _ in needed]
        (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))


ONNX = Format("onnx", "runtime_onnxruntime", writers.onnx, ("numpy", "onnxruntime"))

_FORMATS = {
    form.name: form
    for form in (
        ONNX,
        Format("openvino", "runtime_openvino", writers.openvino, ("numpy", "openvino")),
        Format("torch_export", "runtime_torch_export", writers.torch_export, ("numpy", "torch")),
        Format("executorch", "runtime_executorch", writers.executorch, ("numpy", "torch", "executorch")),
    )
}
_ALIASES = {"pt2": "torch_export", "torch.export": "torch_export", "pte": "executorch"}


def formats() -> list[str]:
    """Names of formats, sorted."""
    return sorted(_FORMATS)


def chosen_format(device: Device, name: str | None) -> Format:
    """The format of this name (or of this ending of its files), by default that of the device's backend.

    Raises ValueError for an unknown name, DeviceError where a package is missing.
    """
    name = name or backends.create(device.backend).bundle_format
    name = _ALIASES.get(name, name)
    if name not in _FORMATS:
        raise ValueError(f"unknown bundle format {name!r}; have {', '.join(formats())}")
    _FORMATS[name].require()
    return _FORMATS[name]
