"""Steps whose work on the GPU is recorded once per sub-network and then replayed: CUDA graphs (`torch.cuda.graph`)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from supernet.architecture import Architecture
from supernet.inputs import Inputs
from supernet.tasks.base import Batch
from supernet.training.sandwich import Sandwich, StepLosses, step_losses


class RecordedSandwich:
    """A `Sandwich` for the same few sub-networks in every step.

    Small sub-networks keep the processor busier than the GPU: a replay starts all their work at once. Gradients stay
    where they are from the recording on: clear them with `zero_grad(set_to_none=False)`. Batches of another shape than
    the first, and other sub-networks, are done without a recording.

    Args:
        sandwich: does the work; its net is on the GPU, and its task works on inputs of one tensor.
        architectures: the largest and all others that steps will name.
        batch: like the batches to come; nothing is learned from it.
        share: of a batch in its step's gradients.
    """

    def __init__(
        self, sandwich: Sandwich, architectures: Sequence[Architecture], batch: Batch, share: float = 1.0
    ) -> None:
        self._sandwich, self._share = sandwich, share
        inputs, targets = batch
        self._batch = _tensor(inputs).clone(), targets.clone()
        self._teacher: Tensor | None = None
        self._losses: dict[Architecture, Tensor] = {}
        self._graphs: dict[Architecture, torch.cuda.CUDAGraph] = {}
        for parameter in sandwich.net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self._record(list(dict.fromkeys([sandwich.net.largest, *architectures])))
        for parameter in sandwich.net.parameters():
            torch.zero_(parameter.grad)  # type: ignore[arg-type]  # of the warm-up

    def __call__(self, batch: Batch, others: Sequence[Architecture], share: float = 1.0) -> StepLosses:
        """Adds the gradients of a step to those of the shared weights, as `Sandwich` does."""
        inputs, targets = batch
        held, wanted = self._batch
        fits = _tensor(inputs).shape == held.shape and targets.shape == wanted.shape and share == self._share
        if not fits or any(a not in self._graphs for a in others):
            return self._sandwich(batch, others, share)
        held.copy_(_tensor(inputs))
        wanted.copy_(targets)
        chosen = [self._sandwich.net.largest, *others]
        for architecture in chosen:
            self._graphs[architecture].replay()
        return step_losses(torch.stack([self._losses[a] for a in chosen]).tolist())

    def _record(self, architectures: Sequence[Architecture]) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries prepare themselves outside of recordings
            for architecture in architectures:
                self._learn(architecture)
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        pool = None
        for architecture in architectures:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                self._learn(architecture)
            pool = graph.pool()
            self._graphs[architecture] = graph

    def _learn(self, architecture: Architecture) -> None:
        """One sub-network's work; what it leaves is copied to where it stays from one replay to the next."""
        teacher = None if architecture == self._sandwich.net.largest else self._teacher
        outputs, loss = self._sandwich.learned(architecture, self._batch, teacher, self._share)
        if teacher is None:
            if self._teacher is None:
                self._teacher = torch.empty_like(outputs)
            self._teacher.copy_(outputs.detach())
        self._losses.setdefault(architecture, torch.empty_like(loss)).copy_(loss)


def _tensor(inputs: Inputs) -> Tensor:
    if not isinstance(inputs, Tensor):
        raise ValueError(f"recipe: recorded steps need inputs of one tensor, the task gives a {type(inputs).__name__}")
    return inputs
