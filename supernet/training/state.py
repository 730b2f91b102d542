"""What a training leaves on disk after every epoch, so that a killed one goes on where it was."""

import json
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from supernet.network import SuperNetwork

_FREE_TO_CHANGE = ("device", "evaluate_every", "n_evaluated")


class Stateful(Protocol):
    """What can be kept and go on: an optimiser, a moving average."""

    def state_dict(self) -> dict[str, Any]:
        """The state as tensors and plain data."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Takes a state that `state_dict` gave."""
        ...


class TrainingError(ValueError):
    """A training cannot start, go on, or be resumed from its folder."""


class TrainingFolder:
    """The output folder of a training.

    `state.pt` (optimiser, epoch, what was trained) names the weights that belong to it, `weights-<epoch>.safetensors`;
    both are written to another name first, and the state last, so that at any moment a complete pair is there.

    Args:
        path: the folder; made where it is missing.
        identity: what must not change between the parts of one training, as JSON-compatible data.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.identity = json.loads(json.dumps(identity))
        path.mkdir(parents=True, exist_ok=True)

    @property
    def weights(self) -> Path:
        """Where the weights of a finished training are."""
        return self.path / "weights.safetensors"

    def save(self, epoch: int, net: SuperNetwork, parts: Mapping[str, Stateful], seconds: float) -> None:
        """Records that `epoch` epochs are done; `parts` are what else changes in training, by name."""
        weights = self.path / f"weights-{epoch:05d}.safetensors"
        self._write(weights, lambda path: net.save_checkpoint(path, {"epoch": str(epoch)}))
        state = {
            "epoch": epoch,
            "weights": weights.name,
            "seconds": seconds,
            "parts": {name: part.state_dict() for name, part in parts.items()},
            "identity": self.identity,
        }
        self._write(self.path / "state.pt", lambda path: torch.save(state, path))
        for other in self.path.glob("weights-*.safetensors"):
            if other != weights:
                other.unlink()

    def restore(self, net: SuperNetwork, parts: Mapping[str, Stateful]) -> tuple[int, float]:
        """Loads the last complete state; returns the epochs that are done and the seconds they took (0, 0 at first).

        Raises TrainingError where the state is damaged or belongs to another training.
        """
        path = self.path / "state.pt"
        if not path.exists():
            return 0, 0.0
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            epoch, identity, weights = int(state["epoch"]), state["identity"], self.path / state["weights"]
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"{path} is not the state of a training ({error}); remove it to start anew") from error
        self._check_identity(identity)
        net.load_checkpoint(weights)
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        return epoch, float(state["seconds"])

    def finish(self, net: SuperNetwork, metadata: Mapping[str, str], files: Mapping[str, bytes]) -> None:
        """Writes the final weights, and files that belong to them."""
        for name, content in files.items():
            (self.path / name).write_bytes(content)
        self._write(self.weights, lambda path: net.save_checkpoint(path, metadata))

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Writes a small file of results or settings."""
        self._write(self.path / name, lambda path: path.write_text(json.dumps(data, indent=2) + "\n"))

    def clear(self) -> None:
        """Removes state and weights of an earlier training."""
        for path in (self.path / "state.pt", self.weights, *self.path.glob("weights-*.safetensors")):
            path.unlink(missing_ok=True)

    def _check_identity(self, found: Mapping[str, Any]) -> None:
        for name, value in _flat(self.identity).items():
            other = _flat(found).get(name)
            if name.rpartition(".")[2] not in _FREE_TO_CHANGE and other != value:
                raise TrainingError(
                    f"{self.path} holds a training with another {name}: {other!r} instead of {value!r}; "
                    "choose another output folder, or the same settings; from Python, resume=False starts anew"
                )

    @staticmethod
    def _write(path: Path, write: Callable[[Path], Any]) -> None:
        part = path.with_name(f".{path.name}.part")
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
