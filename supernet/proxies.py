"""Training-free proxies: scores of a sub-network that one pass over one batch gives, to tell predictors about it."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.conv import _ConvNd

from supernet.architecture import Architecture
from supernet.inputs import Inputs, call, moved
from supernet.network import SuperNetwork
from supernet.tasks.base import Task
from supernet.validation import digest

_LEFT_OUT_OF_FLOW = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.Tanh)
_MOST_ROWS = 1024  # of a layer's activations, to find principal components in


def gradient_norm(model: nn.Module, inputs: Inputs, targets: Tensor, loss: Callable[[Any, Tensor], Tensor]) -> float:
    """Sum over the parameters of the norm of the loss's gradient (arXiv:2101.08134, section 3.1).

    Batch norm normalises with the batch's statistics. The model stays as it is.

    Args:
        model: any.
        inputs: as the model takes them.
        targets: of these inputs.
        loss: of the model's outputs and the targets.
    """
    model = copy.deepcopy(model).eval().requires_grad_(True)
    _normalise_by_batch(model)
    with torch.inference_mode(False), torch.enable_grad():
        value = loss(call(model, inputs), targets)
        gradients = torch.autograd.grad(value, list(model.parameters()), allow_unused=True)
    return sum(float(gradient.norm()) for gradient in gradients if gradient is not None)


def synflow(model: nn.Module, inputs: Inputs) -> float:
    """Decimal logarithm of the synaptic flow, the sum over weights of |weight x gradient| (arXiv:2006.05467, eq. 3).

    The gradient is that of the sum of the outputs, where every weight has its absolute value, normalisation is left
    out (as arXiv:2101.08134 does), and so are hyperbolic tangents, which would be saturated. Floating-point inputs are
    ones (one sample, if there is nothing else); token numbers stay. In double precision: deep models overflow
    any other. -inf where nothing flows. The model stays as it is.
    """
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        inputs = inputs[:1]
    model = copy.deepcopy(model).eval().double().requires_grad_(True)
    for module in model.modules():
        if isinstance(module, _LEFT_OUT_OF_FLOW):
            module.register_forward_hook(lambda _module, given, _output: given[0])
    with torch.inference_mode(False), torch.enable_grad():
        parameters = list(model.parameters())
        for parameter in parameters:
            parameter.data.abs_()
        outputs = torch.stack([tensor.sum() for tensor in _floats(call(model, _ones(inputs)))]).sum()
        gradients = torch.autograd.grad(outputs, parameters, allow_unused=True)
    pairs = zip(parameters, gradients, strict=True)
    flow = sum(float((p.detach() * g).abs().sum()) for p, g in pairs if g is not None)
    return float(np.log10(flow)) if flow > 0.0 else -np.inf


@torch.no_grad()
def w_pca(model: nn.Module, inputs: Inputs, share: float = 0.99) -> float:
    """Parameters times the principal components of hidden activations, added up over layers (arXiv:2504.15983).

    A layer counts as many as it takes to explain `share` of the variance of its outputs, over samples and positions.
    Layers are those that widen (the first of a Transformer's feed-forward pair, the expansion of an inverted residual);
    in a model without any, all linear and convolutional ones. What comes last is an output, no hidden layer.
    Batch norm normalises with the batch's statistics. The model stays as it is.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    model = copy.deepcopy(model).eval()
    found: dict[nn.Module, Tensor] = {}
    for module in model.modules():
        if isinstance(module, (nn.Linear, _ConvNd)):
            module.register_forward_hook(lambda layer, _given, output: found.update({layer: _some_rows(layer, output)}))
    _normalise_by_batch(model)
    call(model, inputs)
    hidden = list(found)[:-1]
    layers = [layer for layer in hidden if _widens(layer)] or hidden
    n_components = sum(_n_components(found[layer], share) for layer in layers)
    return float(n_components * sum(parameter.numel() for parameter in model.parameters()))


def _gradient_norm_of(model: nn.Module, inputs: Inputs, targets: Tensor, task: Task) -> float:
    return gradient_norm(model, inputs, targets, task.loss)


PROXIES: Mapping[str, Callable[[nn.Module, Inputs, Tensor, Task], float]] = {
    "gradient_norm": _gradient_norm_of,
    "synflow": lambda model, inputs, _targets, _task: synflow(model, inputs),
    "w_pca": lambda model, inputs, _targets, _task: w_pca(model, inputs),
}
"""Proxies by name: model, inputs, targets, task -> score."""


@dataclass(frozen=True)
class Proxy:
    """Architectures -> a proxy of their sub-networks, with the shared weights, on one batch of training data.

    Args:
        net: the super-network; its weights count as they are when a proxy is computed.
        task: where the batch comes from; it needs training data.
        name: one of `PROXIES`.
        batch_size: in what the task counts: samples, or the tokens of a translation.
        device: where sub-networks run: one of PyTorch's; None: where the weights are.

    Raises ValueError for an unknown name.
    """

    net: SuperNetwork
    task: Task
    name: str
    batch_size: int = 64
    device: str | None = None

    def __post_init__(self) -> None:
        if self.name not in PROXIES:
            raise ValueError(f"unknown proxy {self.name!r}: choose one of {', '.join(PROXIES)}")

    def __call__(self, architectures: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Scores in the order of the architectures, shape (n_architectures,). Raises ArchitectureError."""
        chosen = self.net.space.decode(self.net.space.encode(architectures))
        return np.array([self._score(architecture) for architecture in chosen], dtype=np.float64)

    @property
    def scope(self) -> str:
        """Digest of everything but the architecture that a score depends on."""
        return digest(self.net, (self.task.fingerprint, self.name, self.batch_size))

    def _score(self, architecture: Architecture) -> float:
        model = self.net.extract(architecture)
        device = self.device or next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
        model.to(device)
        batches = self.task.train_batches(model, batch_size=self.batch_size, rng=np.random.default_rng(0))
        inputs, targets = next(iter(batches))
        return PROXIES[self.name](model, moved(inputs, device), targets.to(device), self.task)


def _normalise_by_batch(model: nn.Module) -> None:
    """Batch norm takes the statistics of each batch from now on, and keeps its own as they are."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.training, module.track_running_stats = True, False


def _widens(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Linear):
        return layer.out_features > layer.in_features
    return isinstance(layer, _ConvNd) and layer.out_channels > layer.in_channels


def _some_rows(layer: nn.Module, output: Tensor) -> Tensor:
    """Activations [rows, channels] of a layer at samples and positions, evenly spaced where there are many."""
    rows = output.movedim(1 if isinstance(layer, _ConvNd) else -1, -1).flatten(0, -2)
    picked = torch.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS), device=rows.device).round().long()
    return rows[picked].double()


def _n_components(rows: Tensor, share: float) -> int:
    """Principal components that explain `share` of the variance of rows [n, channels], 0 where they do not vary."""
    variances = torch.linalg.svdvals(rows - rows.mean(dim=0)) ** 2
    total = float(variances.sum())
    if not total > 0.0:
        return 0
    return 1 + int((torch.cumsum(variances, dim=0) < share * total).sum())


def _ones(inputs: Any) -> Any:
    """The same inputs with ones where they are of floating point."""
    if isinstance(inputs, Tensor):
        return torch.ones_like(inputs, dtype=torch.float64) if inputs.is_floating_point() else inputs
    if isinstance(inputs, Mapping):
        return {name: _ones(value) for name, value in inputs.items()}
    return tuple(_ones(value) for value in inputs) if isinstance(inputs, (tuple, list)) else inputs


def _floats(outputs: Any) -> Iterator[Tensor]:
    """Tensors of floating point among a model's outputs."""
    if isinstance(outputs, Tensor):
        if outputs.is_floating_point():
            yield outputs
    elif isinstance(outputs, (Mapping, tuple, list)):
        for value in outputs.values() if isinstance(outputs, Mapping) else outputs:
            yield from _floats(value)
