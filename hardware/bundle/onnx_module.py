"""An exported model in the place of a PyTorch one."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hardware.backends.onnxruntime import open_session


class OnnxModule(nn.Module):
    """Runs an ONNX model through ONNX Runtime on the CPU: `task.evaluate(OnnxModule(bundle), "test")`.

    Args:
        path: an ONNX file, or a bundle with a model of one part.
        like: the model it was exported from; its `pretrained_cfg` tells tasks how to prepare inputs. Without it, the
            `preprocessing.json` beside the file does, where there is one.
        threads: of the runtime.

    Attributes:
        input_names: what it is called with, in this order or by these names.
        num_classes: size of the output's last axis; None where it varies.
    """

    def __init__(self, path: str | Path, *, like: nn.Module | None = None, threads: int = 1) -> None:
        super().__init__()
        file = Path(path)
        file = file / "model.onnx" if file.is_dir() else file
        if not file.is_file():
            raise FileNotFoundError(f"no ONNX model at {file}")
        self._session = open_session(str(file), threads)
        self.input_names = [node.name for node in self._session.get_inputs()]
        shape = self._session.get_outputs()[0].shape
        self.num_classes = shape[-1] if shape and isinstance(shape[-1], int) else None
        if settings := getattr(like, "pretrained_cfg", None) or _preprocessing(file.parent):
            self.pretrained_cfg = dict(settings)

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """The first output, on the CPU; no gradients. Raises TypeError for more inputs than the model has."""
        if len(inputs) > len(self.input_names):
            raise TypeError(f"the model takes {', '.join(self.input_names)}, got {len(inputs)} inputs")
        tensors = dict(zip(self.input_names, inputs, strict=False)) | named
        feed = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        return torch.from_numpy(self._session.run(None, feed)[0])


def _preprocessing(folder: Path) -> dict[str, Any] | None:
    path = folder / "preprocessing.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
