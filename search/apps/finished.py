"""Finished searches, read from their folders: configuration, devices, and the sub-networks to deploy."""

from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from search.apps.choosing import Choice, chosen_ranks, where_of
from search.apps.setup import Setup
from search.apps.tables import best_rank, read, row_with
from search.errors import SearchError
from search.report import front_file


@dataclass(frozen=True)
class Finished:
    """A finished search, for one of its devices.

    Args:
        folder: of the search.
        setup: made from its configuration, for this device.
        cwd: the folder in which it was started.
        devices: names of all its devices.
    """

    folder: Path
    setup: Setup
    cwd: Path
    devices: tuple[str, ...]

    @classmethod
    def parts(cls, folder: Path, devices: list[str] | None) -> "list[Finished]":
        """The search in a folder, once for each of these devices (None: all). Latency tables are those it kept there.

        Raises SearchError for an unknown device, naming the devices there are.
        """
        setup = Setup(DictConfig(OmegaConf.load(folder / ".hydra" / "config.yaml")), folder)
        hydra = folder / ".hydra" / "hydra.yaml"
        cwd = Path(OmegaConf.load(hydra).hydra.runtime.cwd) if hydra.exists() else folder
        parts = {part.config.hardware.name: part for part in setup.parts}
        for name, part in parts.items():
            table = folder / f"latency_{name}.json"
            part.config.latency_table = str(table) if table.exists() else None
        if unknown := [name for name in devices or () if name not in parts]:
            raise SearchError(f"device={unknown[0]}: this search was for {', '.join(parts)}")
        chosen = [name for name in parts if devices is None or name in devices]
        return [cls(folder, parts[name], cwd, tuple(parts)) for name in chosen]

    @property
    def device(self) -> str:
        """Name of the device."""
        return str(self.setup.config.hardware.name)

    @contextmanager
    def there(self) -> Iterator[None]:
        """Changes to the folder in which the search was started, if it exists, so that relative paths are valid."""
        with chdir(self.cwd) if self.cwd.is_dir() else nullcontext():
            yield

    def rows(self, config: DictConfig) -> "Iterator[tuple[str, pd.Series[Any]]]":
        """The rows that `rank`, `id` or `where` selects, each after the name for the folder of its bundle.

        Without any of these settings, the rows that the search deployed; if it deployed none, the ends of the front.
        """
        if config.id is not None:
            yield f"id-{config.id}", self._measured(config.id)
            return
        front = self.folder / front_file(self.device if len(self.devices) > 1 else "")
        for rank in self._ranks(front, config):
            yield str(rank), row_with(front, "rank", rank)

    def _measured(self, id_: int) -> "pd.Series[Any]":
        row = row_with(self.folder / "results.csv", "id", id_)
        if row["status"] == "failed":
            raise SearchError(f"id={id_} was not measured: {row['error']}")
        return row.rename(lambda column: str(column).removesuffix(f"@{self.device}"))

    def _ranks(self, front: Path, config: DictConfig) -> list[int]:
        if config.where is not None:
            where = where_of(config.where, self.device, list(self.devices))
            with self.there():
                names = [*self.setup.optimised, *self.setup.bounded]
                highest = self.setup.accuracy_among(names)
            return [best_rank(front, where, names, highest)]
        rank: Choice = config.rank
        if isinstance(rank, int):
            return [rank]
        if rank is not None and not isinstance(rank, str):
            return list(dict.fromkeys(rank))
        deployed = self.setup.config.get("deploy")
        usual: Choice = "ends" if deployed in (None, "none") else deployed
        return chosen_ranks(usual if rank is None else rank, len(read(front, "rank")))


def finished_searches(folder: Path) -> list[Path]:
    """The folder itself if it is that of a search, else the searches below it. Raises SearchError if there are none."""
    found = [results.parent for results in sorted(folder.rglob("results.csv"))]
    found = [path for path in found if (path / ".hydra" / "config.yaml").exists()]
    if not found:
        raise SearchError(f"search={folder}: no finished search there (no results.csv and .hydra/config.yaml)")
    return [folder] if folder in found else found
