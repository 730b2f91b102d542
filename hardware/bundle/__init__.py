"""Deployment bundles: a sub-network as a folder that runs without this framework."""

from hardware.bundle.deploying import deploy
from hardware.bundle.formats import FormatError, formats
from hardware.bundle.onnx_module import OnnxModule
from hardware.bundle.sample import ParityError

__all__ = ["FormatError", "OnnxModule", "ParityError", "deploy", "formats"]
