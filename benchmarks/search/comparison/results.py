"""Finished runs, one per line of a compressed file: nothing is run twice, and an interrupted benchmark goes on."""

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DECIMALS = 4  # of scores; the file is a few hundred kB so


@dataclass(frozen=True)
class Run:
    """What is run: one search.

    Args:
        tactic: label of ours or name of a peer.
        landscape: its name.
        budget: evaluations.
        seed: of the search, and of the noise.
        noise: standard deviation of what is added to accuracies.
        batch: architectures per batch; None: as the tactic wants.
        cap: quantile of the latencies under which accuracy alone counts; None: the front counts.
    """

    tactic: str
    landscape: str
    budget: int
    seed: int
    noise: float = 0.0
    batch: int | None = None
    cap: float | None = None


@dataclass(frozen=True)
class Curve:
    """How good a search was after each evaluation, as steps.

    Args:
        at: evaluations, counted from 1, at which the score changed.
        score: what it became: a share of the best hypervolume, or, under a cap, the best accuracy less the best known.
        evaluations: how many there were.
        cpu_s: CPU seconds beside the measuring of accuracy.
        machine: where it ran.
    """

    at: tuple[int, ...]
    score: tuple[float, ...]
    evaluations: int
    cpu_s: float
    machine: str = ""

    @classmethod
    def of(cls, scores: NDArray[np.float64], cpu_s: float, machine: str) -> "Curve":
        """From a score per evaluation; NaN where there is none yet."""
        rounded = np.round(scores, _DECIMALS)
        changed = np.flatnonzero(rounded != np.concatenate([[np.nan], rounded[:-1]]))
        changed = changed[~np.isnan(rounded[changed])]
        at, score = (changed + 1).tolist(), rounded[changed].tolist()
        return cls(tuple(at), tuple(score), len(scores), round(cpu_s, 2), machine)

    def after(self, evaluations: int | NDArray[np.int64]) -> Any:
        """Score after that many; NaN before the first, and beyond the last."""
        asked = np.asarray(evaluations)
        step = np.searchsorted(self.at, asked, side="right")
        found = np.concatenate([[np.nan], self.score])[step]
        return np.where(asked <= self.evaluations, found, np.nan)

    def reached(self, score: float) -> float:
        """Evaluations that the score took; inf where it was never reached."""
        return float(next((at for at, value in zip(self.at, self.score, strict=True) if value >= score), np.inf))


class Results:
    """Curves by run, of which some may be read only.

    Args:
        path: .jsonl.gz file that new curves are appended to.
        others: further files to read.
    """

    def __init__(self, path: Path, others: Sequence[Path] = ()) -> None:
        self.path = path
        self.curves: dict[Run, Curve] = {}
        self._own: dict[Run, Curve] = {}
        for other in others:
            self.curves |= _read(other)
        if path.exists():
            self._own = _read(path)
            self.curves |= self._own
            self.pack()

    def add(self, run: Run, curve: Curve) -> None:
        """Remembers a finished run, now and on disk."""
        self.curves[run] = self._own[run] = curve
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(self.path, "at", encoding="utf-8") as file:
            file.write(_line(run, curve))

    def keep(self) -> None:
        """Writes what was read from other files, too, into the file that is written."""
        self._own = dict(self.curves)
        self.pack()

    def forget(self, doomed: Callable[[Run], bool]) -> int:
        """Drops runs, of the file that is written for good; says how many."""
        dropped = [run for run in self.curves if doomed(run)]
        for run in dropped:
            del self.curves[run]
            self._own.pop(run, None)
        self.pack()
        return len(dropped)

    def pack(self) -> None:
        """Writes the file anew, in order and as one compressed block: smaller, and without torn lines."""
        lines = sorted(_line(run, curve) for run, curve in self._own.items())
        draft = self.path.with_suffix(".draft")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
        draft.replace(self.path)

    def chosen(self, keep: Callable[[Run], bool]) -> dict[Run, Curve]:
        """Some of the curves."""
        return {run: curve for run, curve in self.curves.items() if keep(run)}


def _line(run: Run, curve: Curve) -> str:
    return json.dumps(asdict(run) | asdict(curve), separators=(",", ":")) + "\n"


def _read(path: Path) -> dict[Run, Curve]:
    """Every whole line; what a kill tore off at the end is left out."""
    found = {}
    for line in _whole_lines(path):
        data = json.loads(line)
        curve = {name: data.pop(name) for name in ("at", "score", "evaluations", "cpu_s", "machine")}
        found[Run(**data)] = Curve(**curve | {"at": tuple(curve["at"]), "score": tuple(curve["score"])})
    return found


def _whole_lines(path: Path) -> Iterable[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        try:
            for line in file:
                if line.endswith("\n"):
                    yield line
        except EOFError:
            return
