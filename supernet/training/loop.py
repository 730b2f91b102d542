"""Training a super-network from start to end."""

import dataclasses
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from supernet.architecture import Architecture
from supernet.network import SuperNetwork
from supernet.tasks.base import Batch, Task
from supernet.training.monitor import Monitor
from supernet.training.optimisation import WeightAverage, learning_rate, optimiser_for
from supernet.training.recipe import Recipe
from supernet.training.recording import RecordedSandwich
from supernet.training.sandwich import Sandwich, StepLosses, random_architectures
from supernet.training.state import Stateful, TrainingError, TrainingFolder
from supernet.validation import validated

_ORDER, _ARCHITECTURES, _EVALUATED, _RANKED, _POOL = range(5)  # independent streams of draws


@dataclass(frozen=True)
class TrainingSummary:
    """What a training came to.

    Attributes:
        weights: file of the trained shared weights, for `net.load_checkpoint`.
        epochs: passes over the training data.
        seconds: time spent, over all parts of a resumed training.
        metrics: validation metrics of sub-networks after recalibration: "smallest", "largest", "random-0", ...
    """

    weights: Path
    epochs: int
    seconds: float
    metrics: dict[str, dict[str, float]]


def train(
    net: SuperNetwork, task: Task, recipe: Recipe, output: str | Path, *, resume: bool = True, progress: bool = True
) -> TrainingSummary:
    """Trains the shared weights of `net` in place by the sandwich rule with in-place distillation.

    After every epoch the state is written to `output`; a training that was killed goes on from there and ends, on a
    CPU, with the same weights as one that was not. `output` then holds `weights.safetensors` (task and recipe in its
    header), what of the task belongs to them (such as its tokenizer), `summary.json`, `recipe.json` and the curves in
    `tensorboard/`.

    Args:
        net: any super-network whose inputs and outputs are those of the task.
        task: gives training batches, losses and metrics.
        recipe: the settings.
        output: folder of this training.
        resume: go on from the state in `output`, if there is one; False starts anew and overwrites it.
        progress: show a progress bar; else each epoch is logged.

    Raises:
        ValueError: the task has no training data, or the device is not there.
        TrainingError: `output` holds another training, or the loss became infinite.
    """
    return _Training(net, task, recipe, Path(output), progress).run(resume)


class _Training:
    def __init__(self, net: SuperNetwork, task: Task, recipe: Recipe, output: Path, progress: bool) -> None:
        self.net, self.task, self.recipe, self.progress = net, task, recipe, progress
        self.device = recipe.torch_device()
        if recipe.rank_batches and not hasattr(net, "reorder"):
            raise ValueError(f"recipe: rank_batches is {recipe.rank_batches}, but {net.name} has nothing to reorder")
        self.steps_per_epoch = max(1, task.n_batches(recipe.batch_size) // recipe.accumulate)
        self.folder = TrainingFolder(output, self._identity())
        self.evaluated = self._evaluated_architectures()
        self.pool = random_architectures(net, recipe.pool, self._generator(_POOL, 0))
        self.sandwich: Sandwich | RecordedSandwich = Sandwich(net, task, recipe)

    def run(self, resume: bool) -> TrainingSummary:
        if not resume:
            self.folder.clear()
        origin = next((p.device for p in self.net.parameters()), torch.device("cpu"))
        self.net.to(self.device)
        try:
            return self._run()
        finally:
            self.net.eval()
            self.net.to(origin)

    def _run(self) -> TrainingSummary:
        optimiser = optimiser_for(self.net, self.recipe)
        average = WeightAverage(self.net, self.recipe.average) if self.recipe.average else None
        parts: dict[str, Stateful] = {"optimiser": optimiser} | ({"average": average} if average else {})
        done, seconds = self.folder.restore(self.net, parts)
        result = average.net if average else self.net
        self.folder.write_json("recipe.json", self.recipe.as_dict())
        n_steps, first = self.recipe.epochs * self.steps_per_epoch, done * self.steps_per_epoch
        metrics: dict[str, dict[str, float]] = {}
        with Monitor(self.folder.path / "tensorboard", n_steps, first, self.progress) as monitor:
            for epoch in range(done, self.recipe.epochs):
                started = time.perf_counter()
                if self.recipe.rank_batches and epoch == self.recipe.largest_epochs:
                    self._reorder(optimiser, average)
                self._epoch(epoch, optimiser, average, monitor)
                seconds += time.perf_counter() - started
                self.folder.save(epoch + 1, self.net, parts, seconds)
                if self.recipe.evaluate_every and (epoch + 1) % self.recipe.evaluate_every == 0:
                    metrics = self._evaluate(result, epoch + 1, monitor)
            metrics = metrics if self._just_evaluated(done) else self._evaluate(result, self.recipe.epochs, monitor)
        if result is not self.net:
            self.net.load_state_dict(result.state_dict())
        return self._summarised(seconds, metrics)

    def _epoch(
        self, epoch: int, optimiser: torch.optim.Optimizer, average: WeightAverage | None, monitor: Monitor
    ) -> None:
        self.net.train()
        drawn = self._generator(_ARCHITECTURES, epoch)
        losses: list[StepLosses] = []
        rate, n_left_out = 0.0, 0
        with _own_randomness(self.device, int(self._generator(_ORDER, epoch).integers(2**31))):
            for index, batches in enumerate(self._steps(epoch)):
                rate = learning_rate(self.recipe, epoch * self.steps_per_epoch + index, self.steps_per_epoch)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                optimiser.zero_grad(set_to_none=not self.recipe.recorded)
                others = self._others(drawn) if epoch >= self.recipe.largest_epochs else []
                for batch in batches:
                    share = 1 / len(batches)
                    losses.append(self._gradients(batch, others, share))
                    self._check(losses[-1], epoch, index)
                if self._clipped():
                    optimiser.step()
                    if average:
                        average.update(self.net)
                else:
                    n_left_out += 1
                monitor.step()
        self._check_left_out(n_left_out, epoch)
        self._report(losses, rate, epoch + 1, monitor)
        monitor.scalars({"steps_left_out": n_left_out}, (epoch + 1) * self.steps_per_epoch)

    def _others(self, drawn: np.random.Generator) -> list[Architecture]:
        """The smallest and the random sub-networks of a step."""
        n = self.recipe.n_random
        if not self.recipe.pool:
            return [self.net.smallest, *random_architectures(self.net, n, drawn)]
        chosen = drawn.choice(len(self.pool), size=min(n, len(self.pool)), replace=False)
        return [self.net.smallest, *(self.pool[i] for i in chosen)]

    def _gradients(self, batch: Batch, others: list[Architecture], share: float) -> StepLosses:
        recordable = self.recipe.recorded and self.device.type == "cuda"
        if recordable and isinstance(self.sandwich, Sandwich):
            self.sandwich = RecordedSandwich(self.sandwich, [self.net.smallest, *self.pool], batch, share)
        return self.sandwich(batch, others, share)

    def _clipped(self) -> bool:
        """Shortens the gradients; False where they are not finite, so that there is nothing to learn from them."""
        if self.recipe.gradient_clip is None:
            return True
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.gradient_clip)
        return bool(norm.isfinite())

    def _reorder(self, optimiser: torch.optim.Optimizer, average: WeightAverage | None) -> None:
        """Puts first what matters; what the optimiser and the average know of the weights does not fit them then."""
        batches = self._batches(self._generator(_RANKED, 0))
        self.net.reorder(islice(batches, self.recipe.rank_batches), self.task.loss)  # type: ignore[operator]
        optimiser.state.clear()
        if average:
            average.restart(self.net)

    def _steps(self, epoch: int) -> Iterator[list[Batch]]:
        """The batches of each step of an epoch; those left over for less than a step are left out."""
        batches = self._batches(self._generator(_ORDER, epoch))
        for _ in range(self.steps_per_epoch):
            yield list(islice(batches, self.recipe.accumulate))

    def _batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        model = self.net.skeleton(self.net.largest)
        settings: dict[str, Any] = {"augmentation": self.recipe.augmentation, "device": self.device}
        return iter(self.task.train_batches(model, batch_size=self.recipe.batch_size, rng=rng, **settings))

    def _check(self, losses: StepLosses, epoch: int, index: int) -> None:
        alone = epoch < self.recipe.largest_epochs
        if not (math.isfinite(losses.largest) and (alone or math.isfinite(losses.smallest))):
            raise TrainingError(
                f"the loss is {losses.largest} (largest) and {losses.smallest} (smallest sub-network) in step {index} "
                f"of epoch {epoch + 1}: lower learning_rate, lengthen warmup_epochs, or set gradient_clip; "
                "the state of the last complete epoch is kept"
            )

    def _check_left_out(self, n: int, epoch: int) -> None:
        if n > self.steps_per_epoch / 2:
            raise TrainingError(
                f"{n} of {self.steps_per_epoch} steps of epoch {epoch + 1} were left out, as their gradients are not "
                "finite: lower learning_rate, lengthen warmup_epochs, or set precision to fp32; "
                "the state of the last complete epoch is kept"
            )

    def _report(self, losses: list[StepLosses], rate: float, epoch: int, monitor: Monitor) -> None:
        step = epoch * self.steps_per_epoch
        columns = np.array([dataclasses.astuple(step_losses) for step_losses in losses]).mean(axis=0)
        means = dict(zip([field.name for field in dataclasses.fields(StepLosses)], columns.tolist(), strict=True))
        monitor.scalars({f"loss/{name}": value for name, value in means.items() if not math.isnan(value)}, step)
        monitor.scalars({"learning_rate": rate}, step)
        monitor.note(epoch=epoch, loss=means["largest"])

    def _evaluate(self, net: SuperNetwork, epoch: int, monitor: Monitor) -> dict[str, dict[str, float]]:
        metrics = {name: validated(net, a, self.task)[1] for name, a in self.evaluated.items()}
        for name, values in metrics.items():
            curves = {f"validation_{metric}/{name}": value for metric, value in values.items()}
            monitor.scalars(curves, epoch * self.steps_per_epoch)
        shown = {name: next(iter(values.values())) for name, values in metrics.items()}
        monitor.note(smallest=shown["smallest"], largest=shown["largest"])
        return metrics

    def _just_evaluated(self, first: int) -> bool:
        every = self.recipe.evaluate_every
        return bool(every) and first < self.recipe.epochs and self.recipe.epochs % every == 0

    def _summarised(self, seconds: float, metrics: dict[str, dict[str, float]]) -> TrainingSummary:
        recipe = json.dumps(self.recipe.as_dict())
        origin = {"task": self.task.name, "task_fingerprint": self.task.fingerprint, "recipe": recipe}
        self.folder.finish(self.net, origin, self.task.files)
        summary = TrainingSummary(self.folder.weights, self.recipe.epochs, seconds, metrics)
        described: dict[str, Any] = dataclasses.asdict(summary) | {"weights": summary.weights.name}
        architectures = {name: dict(a) for name, a in self.evaluated.items()}
        described |= {"architectures": architectures, "methods": dict(self.task.methods)}
        self.folder.write_json("summary.json", described)
        return summary

    def _evaluated_architectures(self) -> dict[str, Architecture]:
        rng = np.random.default_rng([self.recipe.seed, _EVALUATED])
        others = random_architectures(self.net, self.recipe.n_evaluated, rng)
        return {
            "smallest": self.net.smallest,
            "largest": self.net.largest,
            **{f"random-{i}": architecture for i, architecture in enumerate(others)},
        }

    def _identity(self) -> dict[str, Any]:
        return {
            "supernet": self.net.name,
            "space": self.net.space.fingerprint,
            "task": self.task.fingerprint,
            "recipe": self.recipe.as_dict(),
        }

    def _generator(self, stream: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.recipe.seed, stream, epoch])


@contextmanager
def _own_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Layers that draw (dropout) do so from a state of their own; the caller's is as before afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
