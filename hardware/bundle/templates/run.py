#!/usr/bin/env python3
"""Checks, measures and uses the model of this bundle; prints one JSON object.

    python run.py [inputs...] [--threads N] [--batch N] [--repeats N]

1. Runs the stored sample and compares with what PyTorch computed: a difference ends the program with exit code 1.
2. Measures latency.
3. Answers the inputs (`--help` says what they are). Those that it cannot answer are reported in their place, and make
   the exit code 1 at the end.

Needs Python 3.9 and the packages of requirements.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # `python -I` leaves it out

try:
    import numpy as np
    import runtime  # type: ignore[import-not-found]
    import task  # type: ignore[import-not-found]
except ImportError as error:
    sys.exit(f"run.py: {error}: python -m pip install -r {HERE / 'requirements.txt'}")

_SECONDS = 2.0  # of measuring, unless --repeats says how often


def main(arguments: list[str] | None = None) -> int:
    """Prints the report to stdout and returns the exit code."""
    bundle = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
    options = parse(arguments, bundle["device"])
    report: dict[str, Any] = {"bundle": bundle.get("id"), "device": bundle["device"]["name"], "cpu": cpu()}
    try:
        program = task.Program(HERE, options.threads)
        report["parity"] = program.check(bundle["parity"]["tolerance"])
    except Exception as error:  # runtimes and damaged files raise errors of many kinds
        reason = f"the stored sample cannot be run: {type(error).__name__}: {error}"
        report["parity"] = {"ok": False, "error": reason}
    report["versions"] = versions()
    if not report["parity"]["ok"]:
        report["error"] = report["parity"].get("error") or "the model's output differs from the stored sample's"
        return finish(report, 1)
    report["latency"] = latency(program.inference(options.batch), options)
    report["predictions"] = [program.answer(given) for given in options.inputs]
    failed = [repr(next(iter(entry.values()))) for entry in report["predictions"] if "error" in entry]
    if failed:
        report["error"] = f"no answer for {', '.join(failed)}"
    return finish(report, 1 if failed else 0)


def parse(arguments: list[str] | None, device: dict[str, Any]) -> argparse.Namespace:
    """Command line; threads and batch are the device's unless given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("inputs", nargs="*", help=task.INPUTS)
    parser.add_argument("--threads", type=positive, default=device["threads"], help="default: %(default)s")
    parser.add_argument("--batch", type=positive, default=device["batch_size"], help="default: %(default)s")
    parser.add_argument("--repeats", type=positive, help=f"inferences to time (default: {_SECONDS:g} seconds)")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """An integer of at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def finish(report: dict[str, Any], code: int) -> int:
    """Writes the report, and its error also to stderr."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr] # whatever the system's
    sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    if "error" in report:
        sys.stderr.write(f"run.py: {report['error']}\n")
    return code


# --- latency ---


def latency(inference: Callable[[], Any], options: argparse.Namespace) -> dict[str, Any]:
    """Latency in ms of one inference of the whole batch: median, and 10 and 90 % quantiles."""
    warm_up = [timed_ms(inference) for _ in range(5)]
    repeats = options.repeats or int(min(max(_SECONDS * 1e3 / min(warm_up), 20), 1000))
    times = np.array([timed_ms(inference) for _ in range(repeats)])
    low, median, high = (round(float(np.percentile(times, q)), 6) for q in (10, 50, 90))
    return {
        "median_ms": median,
        "p10_ms": low,
        "p90_ms": high,
        "repeats": repeats,
        "threads": options.threads,
        "batch": options.batch,
    }


def timed_ms(inference: Callable[[], Any]) -> float:
    """Wall time of one inference."""
    start = time.perf_counter()
    inference()
    return (time.perf_counter() - start) * 1e3


# --- provenance ---


def versions() -> dict[str, str]:
    """Versions of everything that decides result and speed."""
    return {"python": platform.python_version(), "numpy": np.__version__, **runtime.versions()}


def cpu() -> dict[str, Any]:
    """Name of the processor, and how many cores it shows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "hardware"))]
    return {
        "model": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }


if __name__ == "__main__":
    sys.exit(main())
