#!/usr/bin/env python3
"""Measures the models of this bundle on this machine and appends to results.jsonl.

    python3 profile.py

Can be stopped at any time: the same command goes on where it was. When it says that all is done, take results.jsonl
back to where the bundle was made and run `supernet-profile import` there.

Needs Python 3.9, numpy and onnxruntime.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

MANIFEST, MODELS, RESULTS, PROGRAM = "manifest.json", "models.zip", "results.jsonl", "program"


def main() -> int:
    """Measures what results.jsonl does not hold yet; returns the exit code."""
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    try:
        with alone():
            profile()
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        return 130
    except ImportError as error:
        say(f"{error}: python3 -m pip install numpy onnxruntime")
        return 1
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        say(str(error))
        return 1
    return 0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Waits until no other process measures in this folder."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (HERE / "results.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another process measures here: waiting until it ends")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def profile() -> None:
    """One group after the other: some blocks, in turns with some whole sub-networks."""
    import ledger  # type: ignore[import-not-found]
    import onnxruntime

    manifest = json.loads((HERE / MANIFEST).read_text(encoding="utf-8"))
    if ledger.digest_of(HERE / MODELS) != manifest["models_sha256"]:
        raise ValueError(f"{MODELS} is damaged or incomplete: copy the bundle again")
    results = ledger.Ledger(HERE / RESULTS, ledger.digest_of(HERE / MANIFEST))
    records = results.read()
    machine = machine_here(onnxruntime.__version__)
    if not records:
        results.append({"kind": "machine", **machine, "date": now()})
    elif changed := [key for key in machine if records[0].get(key) != machine[key]]:
        raise ValueError(
            f"{RESULTS} was begun on another machine ({changed[0]} {records[0].get(changed[0])!r} there, "
            f"{machine[changed[0]]!r} here): move it away to begin anew"
        )
    pin(manifest["device"]["cores"])
    done = max(0, len(records) - 1)
    n_groups = len(manifest["groups"])
    with zipfile.ZipFile(HERE / MODELS) as archive:
        for index in range(done, n_groups):
            blocks, whole = (manifest["groups"][index][kind] for kind in ("blocks", "whole"))
            say(f"group {index + 1} of {n_groups}: {len(blocks)} blocks, {len(whole)} whole models")
            found = measured(manifest, [*blocks, *whole], archive)
            results.append({"kind": "group", "index": index, "date": now(), "measurements": found})
    say(f"done: {n_groups} of {n_groups} groups are in {RESULTS}")


def pin(cores: list[int]) -> None:
    """Keeps this process, and the threads that it starts from here on, on these cores; an empty list: wherever."""
    if not cores:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError(
            f"this system cannot keep threads on cores {cores}: make the bundle for a device without cores"
        )
    if missing := sorted(set(cores) - os.sched_getaffinity(0)):
        raise ValueError(f"core {missing[0]} of the device is none of this machine: make the bundle with other cores")
    os.sched_setaffinity(0, cores)


def measured(manifest: dict[str, Any], names: list[str], archive: zipfile.ZipFile) -> dict[str, Any]:
    """Measurements of these models, taken in turns, by name."""
    from timing import Protocol, measure_interleaved  # type: ignore[import-not-found]

    runners = [prepared(manifest, name, archive) for name in names]
    results = measure_interleaved(runners, Protocol(**manifest["protocol"]))
    return {name: result.describe() for name, result in zip(names, results)}


def prepared(manifest: dict[str, Any], name: str, archive: zipfile.ZipFile) -> Any:
    """One inference of a model, ready to be timed."""
    import numpy as np
    import runtime  # type: ignore[import-not-found]

    device, rng = manifest["device"], np.random.default_rng(0)
    session = runtime.open_session(archive.read(f"{name}.onnx"), device["threads"])
    described = manifest["inputs"][name]
    feed = {node.name: array_of(described[node.name], rng) for node in session.get_inputs()}
    return lambda: session.run(None, feed)


def array_of(described: dict[str, Any], rng: Any) -> Any:
    """An input: its values where they matter (indices, masks), else normal ones of its shape."""
    import numpy as np

    if "values" in described:
        return np.array(described["values"], dtype=described["dtype"]).reshape(described["shape"])
    return rng.standard_normal(described["shape"]).astype(described["dtype"])


def machine_here(onnxruntime_version: str) -> dict[str, Any]:
    """What a latency depends on beside the model, as in the provenance of a table."""
    import processor  # type: ignore[import-not-found]

    return {
        "cpu": processor.cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {"onnxruntime": onnxruntime_version},
    }


def now() -> str:
    """The time in UTC, as ISO 8601 writes it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def say(text: str) -> None:
    """Prints a line to stderr, at once."""
    sys.stderr.write(f"profile.py: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    # this folder must not be searched for modules: the standard library has a `profile` too
    sys.path[:] = [str(HERE / PROGRAM), *(entry for entry in sys.path if Path(entry or ".").resolve() != HERE)]
    sys.exit(main())
