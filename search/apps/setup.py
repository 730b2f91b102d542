"""Makes the objects of a run from its configuration: super-network, task, device, latency table, objectives."""

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object, instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import Tensor, nn

from hardware import (
    Device,
    DeviceError,
    LatencyModel,
    LatencyTable,
    load_latency,
    measure_end_to_end,
    measure_energy,
    measure_memory,
)
from hardware.energy import energy_counter
from hardware.provenance import cpu_model
from search.apps.constraints import parsed
from search.apps.latencies import described_error, described_size, require_device, require_network
from search.descriptors import COSTS, PROXIES, Descriptor, cost_descriptors, proxy_descriptors
from search.errors import SearchError
from search.objective import Objective
from search.tactics import Tactic, settings_of
from supernet import Architecture, SuperNetwork
from supernet.names import did_you_mean
from supernet.tasks import Task
from supernet.validation import Validation

logger = logging.getLogger(__name__)
_LESS_IS_BETTER = ("loss", "perplexity")


def output_folder() -> Path:
    """The folder of this run (in a multirun, of this job), as Hydra made it."""
    return Path(HydraConfig.get().runtime.output_dir)


@dataclass(frozen=True)
class Setup:
    """The objects that a configuration names, each made when it is first used.

    Args:
        config: has the groups `supernet`, `task` and `hardware`; for several devices `devices`, settings by name.
        folder: where latency tables are kept.
        whole: if this is the part of one of several devices, the setup of all, whose super-network and task it shares.
    """

    config: DictConfig
    folder: Path
    whole: "Setup | None" = None

    @cached_property
    def parts(self) -> "list[Setup]":
        """One setup per device: this one alone, or one for each of `devices`. Raises SearchError for repeated names."""
        if not self.config.get("devices"):
            return [self]
        configs = [OmegaConf.merge(self.config, {"devices": None}) for _ in self.config.devices]
        for config, hardware in zip(configs, self.config.devices.values(), strict=True):
            config.hardware = hardware
        parts = [Setup(DictConfig(config), self.folder, self) for config in configs]
        names = [part.device.name for part in parts]
        if len(set(names)) != len(names):
            raise SearchError(f"devices must have names of their own, got {', '.join(names)}")
        return parts

    @cached_property
    def net(self) -> SuperNetwork:
        """The super-network in eval mode, with the weights of `checkpoint` if that is configured.

        A class that takes no argument `checkpoint` is made without it, and then loads the file.
        """
        if self.whole is not None:
            return self.whole.net
        settings = self.config.supernet.copy()
        given = "checkpoint" in settings or OmegaConf.is_missing(settings, "checkpoint")
        path = settings.checkpoint if given else None  # raises where it is mandatory and missing
        later = not (path and _takes(str(settings.get("_target_")), "checkpoint"))
        if later:
            with open_dict(settings):
                settings.pop("checkpoint", None)
        net: SuperNetwork = instantiate(settings)
        if path and later:
            net.load_checkpoint(path)
        return net.eval()

    @cached_property
    def task(self) -> Task:
        """The task: data and metrics."""
        if self.whole is not None:
            return self.whole.task
        return instantiate(self.config.task)  # type: ignore[no-any-return]

    @cached_property
    def device(self) -> Device:
        """The target device."""
        return instantiate(self.config.hardware)  # type: ignore[no-any-return]

    @cached_property
    def tactic(self) -> Tactic:
        """The tactic, with the configured predictor if it takes one."""
        config = self.config.tactic
        name = config.get("name")
        if name is not None and "predictor" in settings_of(name) and "predictor" not in config:
            return instantiate(config, predictor=instantiate(self.config.predictor))  # type: ignore[no-any-return]
        return instantiate(config)  # type: ignore[no-any-return]

    @cached_property
    def table(self) -> LatencyModel:
        """The latency model of the device: the configured one, else a table that is measured on this machine.

        It is kept in the folder. Raises SearchError for a configured one of another device or super-network.
        """
        kept = self.folder / f"latency_{self.device.name}.json"
        if path := self.ready_table:
            table = self._ready_table(path)
            if path.resolve() != kept.resolve():
                table.save(kept)
        else:
            if given := self.config.get("latency_table"):
                logger.info("%s has no latency table of %s: measuring one here", given, self.device.name)
            table = LatencyTable.build(self.net, self.device, path=kept, n_held_out=self.config.get("check", 0))
        logger.info("latency table: %s on %s, %s", described_size(table), self.device.name, described_error(table))
        return table

    @property
    def ready_table(self) -> Path | None:
        """Path of the configured table; None without one, or if the configured folder has none of the device."""
        given = self.config.get("latency_table")
        if not given or not Path(given).is_dir():
            return Path(given) if given else None
        path = Path(given) / f"latency_{self.device.name}.json"
        return path if path.exists() else None

    @property
    def bounded(self) -> list[str]:
        """Names of quantities with a constraint that are not among the configured objectives: they have no goal."""
        named = dict.fromkeys(name.partition("@")[0] for name in parsed(self.config.constraints))
        known = {*self._common, *self._by_device, self.metric}
        return [name for name in named if name in known and name not in self.optimised]

    @property
    def objectives(self) -> list[Objective]:
        """The configured objectives, then those without a goal, that are only bounded.

        In a search for several devices, those of one device are named as in "latency@phone". The latency table is made
        when a latency is first asked for. Raises SearchError for an unknown name.
        """
        return self._objectives(self.optimised) + [replace(o, goal=None) for o in self._objectives(self.bounded)]

    @property
    def optimised(self) -> list[str]:
        """Names of the configured objectives."""
        return _listed("objectives", self.config.objectives)

    @property
    def _common(self) -> dict[str, Callable[[], Objective]]:
        """Makers of the objectives that count for all devices, by name."""
        return {
            "accuracy": lambda: self._accuracy("accuracy"),
            "macs": lambda: self._cost("macs"),
            "params": lambda: self._cost("params"),
        }

    @property
    def _by_device(self) -> "dict[str, Callable[[Setup], Objective]]":
        """Makers of the objectives of one device from its part of the setup, by name."""
        return {
            "latency": Setup._latency,
            "measured_latency": Setup._measured_latency,
            "peak_memory": lambda part: part._counted("peak_memory", measure_memory),
            "energy": Setup._energy,
        }

    def _objectives(self, names: list[str]) -> list[Objective]:
        common, by_device = self._common, self._by_device
        if set(names) - set(common) - set(by_device):
            common[self.metric] = lambda: self._accuracy(self.metric)
        found: list[Objective] = []
        for name in names:
            if name in common:
                found.append(common[name]())
            elif name in by_device:
                found += [part._named(by_device[name](part), len(self.parts)) for part in self.parts]
            else:
                here = [known for known in by_device if known != "energy" or all(p._counts_energy for p in self.parts)]
                names = [*common, *here]
                raise SearchError(
                    f"unknown objective {name!r}: available are {', '.join(names)} (metric=NAME takes another metric "
                    f"of the task){did_you_mean(name, names)}"
                )
        return found

    @property
    def descriptors(self) -> list[Descriptor]:
        """The configured descriptors. Raises SearchError for an unknown name."""
        names = _listed("descriptors", self.config.get("descriptors"))
        if unknown := [name for name in names if name not in (*COSTS, *PROXIES)]:
            raise SearchError(f"unknown descriptor {unknown[0]!r}: available are {', '.join((*COSTS, *PROXIES))}")
        proxies = [name for name in names if name in PROXIES]
        costs = cost_descriptors(self.net, [name for name in names if name in COSTS])
        return costs + (proxy_descriptors(self.net, self.task, proxies) if proxies else [])

    def _named(self, objective: Objective, n_devices: int) -> Objective:
        return objective if n_devices == 1 else replace(objective, name=f"{objective.name}@{self.device.name}")

    def _ready_table(self, path: Path) -> LatencyModel:
        table = load_latency(path)
        require_network(table, self.net, path)
        require_device(table, self.device, path)
        return table

    @property
    def metric(self) -> str:
        """The name, among the task's metrics, of the accuracy that is optimised."""
        return self.config.get("metric") or self.task.metric

    def accuracy_among(self, names: Sequence[str]) -> str | None:
        """Which of some names of objectives is the accuracy: "accuracy", or the task's metric; None if neither is."""
        if "accuracy" in names:
            return "accuracy"
        return self.metric if self.metric in names else None

    def _accuracy(self, name: str) -> Objective:
        if self.metric in _LESS_IS_BETTER:
            raise SearchError(
                f"metric={self.metric}: less of it is better, but the metric of a search is maximised. "
                "Take another one, or search from Python with goal='min'"
            )
        device = self.config.get("validate_on")
        measure = Validation(self.net, self.task, metric=self.config.get("metric"), device=device)
        return Objective(name, goal="max", measure=measure)

    def _latency(self) -> Objective:
        made = "table" in vars(self)  # before, a stand-in: other mistakes are found before the table is built
        measure = self.table.latency if made else lambda archs: self.table.latency(archs)
        return Objective("latency", goal="min", measure=measure, expensive=False)

    def _measured_latency(self) -> Objective:
        def measure(architectures: list[Architecture]) -> NDArray[np.float64]:
            return np.array([m.median_ms for m in measure_end_to_end(self.net, architectures, self.device)])

        self.device.require_here()
        scope = f"{self.device.describe()} {cpu_model()}"
        return Objective("measured_latency", goal="min", measure=measure, scope=scope)

    @property
    def _counts_energy(self) -> bool:
        try:
            energy_counter(self.device)
        except DeviceError:
            return False
        return True

    def _energy(self) -> Objective:
        energy_counter(self.device)  # refuses a machine without one before anything is measured
        return self._counted("energy", measure_energy)

    def _counted(self, name: str, count: Callable[[nn.Module, tuple[Tensor, ...], Device], float]) -> Objective:
        """An objective that is measured in one inference of each extracted sub-network on the device."""

        def measure(architectures: list[Architecture]) -> NDArray[np.float64]:
            models = (self.net.inference(self.net.extract(a), a) for a in architectures)
            inputs = (self.net.example_inputs(a, self.device.batch_size) for a in architectures)
            return np.array([count(model, given, self.device) for model, given in zip(models, inputs, strict=True)])

        self.device.require_here()
        return Objective(name, goal="min", measure=measure, scope=f"{self.device.describe()} {cpu_model()}")

    def _cost(self, name: str) -> Objective:
        return Objective(name, goal="min", measure=lambda archs: self.net.costs(archs)[name], expensive=False)


def _listed(setting: str, value: Any) -> list[str]:
    """Names in a setting: a list, or a single one; None: none. Raises SearchError for anything else."""
    names = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise SearchError(f"{setting} must list names, as in {setting}=[a,b], got {value!r}")
    return list(names)


def _takes(target: str, name: str) -> bool:
    """Whether the function or class `target` takes an argument of this name; True if there is no such target."""
    try:
        parameters = inspect.signature(get_object(target)).parameters
    except Exception:  # said better when it is called
        return True
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
