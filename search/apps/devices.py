"""Several devices in one search: composes the configurations that the setting `devices` names."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from search.errors import SearchError


def with_devices(config: DictConfig, folder: Path) -> DictConfig:
    """The configuration with the settings of each device in place of its name in `devices`.

    A name is an option of the group `hardware`; further settings, as `hardware.threads=2`, hold for all devices. The
    result is written to `.hydra/config.yaml` in the folder, where a later deployment reads it.

    Raises SearchError where `devices` is no list of distinct names, or `hardware` is given as well.
    """
    if "hardware" not in HydraConfig.get().runtime.choices:  # Hydra merges what it is given as a list
        raise SearchError("hardware takes one device: give devices=[a,b] for one search, -m hardware=a,b for several")
    if config.devices is None or isinstance(config.devices, DictConfig):
        return config
    names = config.devices
    if isinstance(names, str) or not names or len(set(names)) != len(names):
        raise SearchError(f"devices must list options of hardware, each once, as in devices=[a,b]; got {names}")
    given = HydraConfig.get().overrides.task
    if any(override.startswith("hardware=") for override in given):
        raise SearchError("give hardware or devices, not both")
    settings = {name: _composed(name, given) for name in names}
    config = DictConfig(OmegaConf.merge(config, {"devices": None}))
    config.devices = settings
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    return config


def _composed(name: str, overrides: Sequence[str]) -> DictConfig:
    program = HydraConfig.get().job.config_name
    return DictConfig(compose(program, overrides=[*overrides, f"hardware={name}"]).hardware)
