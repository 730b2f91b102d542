"""PyTorch on an NVIDIA GPU: eager, captured as a CUDA graph, and compiled."""

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hardware.backends.base import Backend, Context, Part
from hardware.backends.placing import placed
from hardware.backends.torch import compiled
from hardware.timing import Difference, Runner

if TYPE_CHECKING:
    from hardware.device import Device

_WARM_UP_RUNS = 2
_SHORT_MS = 0.3  # so long that what is around a block makes no difference
_FILLED = 4  # times the size of the cache
_FIRST_CAPABILITY = {"tf32": (8, 0), "bf16": (8, 0), "fp16": (5, 3)}


class CudaRunner(Runner):
    """Times with CUDA events and waits once for all runs.

    Args:
        run: starts an inference on the current stream.
        precision: decides whether products are rounded to TF32.
    """

    least_runs = 10  # the GPU works through them while the CPU starts the next

    def __init__(self, run: Callable[[], object], precision: str) -> None:
        super().__init__(run)
        self._precision = precision

    def time_ms(self, calls: int) -> float:
        """Between two events around all runs: the GPU's own clock."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        self._start(calls)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / calls

    def repeat(self, calls: int) -> None:
        """As time_ms, untimed."""
        self._start(calls)
        torch.cuda.synchronize()

    def _start(self, calls: int) -> None:
        with numerics(self._precision), torch.inference_mode():
            for _ in range(calls):
                self.run()


class GraphRunner(Runner):
    """Times each replay on its own, with CUDA events, once the GPU's cache holds nothing of the network.

    How much of its weights a network finds there is otherwise a matter of its size, and of what ran before.
    """

    def time_ms(self, calls: int) -> float:
        """The CPU starts the replay while the GPU is still filling the cache."""
        events = [tuple(torch.cuda.Event(enable_timing=True) for _ in range(2)) for _ in range(calls)]
        for start, end in events:
            _other_data().zero_()
            start.record()
            self.run()
            end.record()
        events[-1][1].synchronize()
        return sum(float(start.elapsed_time(end)) for start, end in events) / calls

    def repeat(self, calls: int) -> None:
        """Replay after replay, untimed."""
        super().repeat(calls)
        torch.cuda.synchronize()


class CudaEager(Backend):
    """Launches the module's kernels one by one from Python: a small network waits for Python, not for the GPU."""

    precisions = ("fp32", "tf32", "bf16", "fp16")
    bundle_format = "torch_export"

    @property
    def place(self) -> str:
        """The current CUDA device."""
        return "cuda"

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """The module on the GPU; cuDNN tries its algorithms for every shape before anything is timed."""
        forward, inputs = self._forward(model, inputs, device)
        return CudaRunner(lambda: forward(*inputs), device.precision)

    def require(self, device: "Device") -> None:
        """Raises DeviceError where PyTorch sees no GPU, or one that lacks the precision."""
        super().require(device)
        if not torch.cuda.is_available():
            build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
            raise device.error(
                f"backend {device.backend!r} needs a CUDA device; PyTorch (built with {build}) sees none"
            )
        if torch.cuda.get_device_capability() < _FIRST_CAPABILITY.get(device.precision, (0, 0)):
            raise device.error(f"{torch.cuda.get_device_name()} does not compute in {device.precision}")

    def versions(self) -> dict[str, str]:
        """PyTorch's, CUDA's and cuDNN's."""
        return {
            "torch": torch.__version__,
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
        }

    def accelerator(self) -> str | None:
        """The GPU's name."""
        return torch.cuda.get_device_name() if torch.cuda.is_available() else None

    def peak_memory(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> int:
        """By PyTorch's allocator, for an eager inference (a graph takes as much).

        Workspaces that libraries allocate once for the process are left out.
        """
        gc.collect()
        before = torch.cuda.memory_allocated()
        forward, inputs = CudaEager._forward(self, model, inputs, device)
        network = torch.cuda.memory_allocated() - before
        with numerics(device.precision), torch.inference_mode():
            forward(*inputs)  # also tries algorithms
            torch.cuda.synchronize()
            idle = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            forward(*inputs)
            torch.cuda.synchronize()
        return network + torch.cuda.max_memory_allocated() - idle

    def _forward(
        self, model: nn.Module, inputs: Sequence[Tensor], device: "Device"
    ) -> tuple[Callable[..., Any], tuple[Tensor, ...]]:
        """What to call, with what; tensor cores want the channels last."""
        return placed(model, inputs, "cuda", device.precision, channels_last=device.precision != "fp32")


class CudaGraphs(CudaEager):
    """Captures one inference as a CUDA graph and replays it: the GPU runs kernel after kernel without Python.

    A kernel takes longer after others than after itself, since its code and its data have left the caches. So short
    blocks are measured inside a network: what the largest sub-network's blocks take with the block after each of them,
    each time with other weights, less what they take without.
    """

    pays_per_call = False

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """One inference as a graph."""
        return captured(_run(*self._forward(model, inputs, device)), device.precision)

    def prepare_context(self, parts: Callable[[], Sequence[Part]], device: "Device") -> Context:
        """Blocks as one graph."""
        runs = [_run(*self._forward(module, inputs, device)) for module, inputs in parts()]
        return Context(runs, captured(lambda: [run() for run in runs], device.precision))

    def prepare_block(
        self, block: nn.Module, inputs: Sequence[Tensor], device: "Device", context: Context | None = None
    ) -> Runner:
        """Within the context where the block takes less than 0.3 ms."""
        forward, placed_inputs = self._forward(block, inputs, device)
        once = captured(_run(forward, placed_inputs), device.precision)
        duration = min(once.time_ms(3) for _ in range(3))
        if context is not None and duration < _SHORT_MS:
            runs = [_run(copied, placed_inputs) for copied in _copies(forward, context)]
            among = captured(lambda: [(a(), b()) for a, b in zip(context.runs, runs, strict=True)], device.precision)
            return Difference(among, context.graph, len(context.runs))
        return once


class CudaCompile(CudaGraphs):
    """Compiles the module with TorchInductor and captures that as a CUDA graph."""

    def _forward(
        self, model: nn.Module, inputs: Sequence[Tensor], device: "Device"
    ) -> tuple[Callable[..., Any], tuple[Tensor, ...]]:
        model, inputs = super()._forward(model, inputs, device)  # type: ignore[assignment] # a module, as yet
        return compiled(model), inputs


def _run(forward: Callable[..., Any], inputs: Sequence[Tensor]) -> Callable[[], object]:
    def run() -> None:  # results are dropped at once: the next kernels use their memory
        forward(*inputs)

    return run


def _copies(forward: Callable[..., Any], context: Context) -> Sequence[Callable[..., Any]]:
    """One for each run of the context, with other weights; what is compiled stays the same."""
    n = len(context.runs)
    return context.scattering.copies(forward, n) if isinstance(forward, nn.Module) else [forward] * n


def captured(run: Callable[[], object], precision: str) -> Runner:
    """What `run` launches as a CUDA graph.

    All living graphs share one memory pool: they never run at once, and nobody reads their results.
    """
    graph, stream = torch.cuda.CUDAGraph(), _stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), numerics(precision), torch.inference_mode():
        for _ in range(_WARM_UP_RUNS):  # libraries choose and load their kernels
            run()
        stream.synchronize()
        living = next(iter(_GRAPHS), None)
        graph.capture_begin(pool=None if living is None else living.pool(), capture_error_mode="thread_local")
        try:
            run()
        finally:
            graph.capture_end()
    _GRAPHS.add(graph)
    torch.cuda.current_stream().wait_stream(stream)

    def replay() -> object:
        graph.replay()
        return run  # the graph refers to the memory of its tensors

    return GraphRunner(replay)


_GRAPHS: "weakref.WeakSet[torch.cuda.CUDAGraph]" = weakref.WeakSet()


@contextmanager
def numerics(precision: str) -> Iterator[None]:
    """Until the block ends, products of fp32 are exact unless `precision` is "tf32", and cuDNN chooses by trying."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark
    try:
        cudnn.allow_tf32 = matmul.allow_tf32 = precision == "tf32"
        cudnn.benchmark = True
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark = before


@cache
def _other_data() -> Tensor:
    size = torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
    return torch.empty(_FILLED * size, dtype=torch.uint8, device="cuda")


@cache
def _stream() -> torch.cuda.Stream:
    return torch.cuda.Stream()
