#!/usr/bin/env python3
"""Checks, measures and uses the model of this bundle; prints one JSON object.

    python run.py [images...] [--threads N] [--batch N] [--repeats N]

1. Runs the stored sample and compares with what PyTorch computed: a difference ends the program with exit code 1.
2. Measures latency.
3. Classifies images: PNG, PGM, PPM, .npy; others if Pillow is installed. Those that cannot be read are reported in
   their place, and make the exit code 1 at the end.

Needs Python 3.9 and the packages of requirements.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # `python -I` leaves it out

import images as image_files  # type: ignore[import-not-found]  # noqa: E402
import parity  # type: ignore[import-not-found]  # noqa: E402
import preprocessing  # type: ignore[import-not-found]  # noqa: E402
import runtime  # type: ignore[import-not-found]  # noqa: E402

_SECONDS = 2.0  # of measuring, unless --repeats says how often
_TOP = 5


def main(arguments: list[str] | None = None) -> int:
    """Prints the report to stdout and returns the exit code."""
    bundle = read_json("bundle.json")
    options = parse(arguments, bundle["device"])
    report: dict[str, Any] = {"device": bundle["device"]["name"], "versions": versions(), "cpu": cpu()}
    try:
        model = runtime.load(HERE, options.threads)
        sample = parity.load_sample(HERE / "sample.npz")
        report["parity"] = parity.compare(model, sample, bundle["parity"]["tolerance"])
    except Exception as error:  # runtimes and damaged files raise errors of many kinds
        reason = f"the stored sample cannot be run: {type(error).__name__}: {error}"
        report["parity"] = {"ok": False, "error": reason}
    if not report["parity"]["ok"]:
        report["error"] = report["parity"].get("error") or "the model's output differs from the stored sample's"
        return finish(report, 1)
    inputs = parity.inputs_of(sample)
    report["latency"] = latency(model, inputs, options)
    report["predictions"] = [classified(model, next(iter(inputs)), path) for path in options.images]
    failed = [entry["file"] for entry in report["predictions"] if "error" in entry]
    if failed:
        report["error"] = f"not classified: {', '.join(failed)}"
    return finish(report, 1 if failed else 0)


def parse(arguments: list[str] | None, device: dict[str, Any]) -> argparse.Namespace:
    """Command line; threads and batch are the device's unless given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("images", nargs="*", help="image files to classify")
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


def read_json(name: str) -> Any:
    """A JSON file of the bundle; None where there is none."""
    path = HERE / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def finish(report: dict[str, Any], code: int) -> int:
    """Writes the report, and its error also to stderr."""
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    if "error" in report:
        sys.stderr.write(f"run.py: {report['error']}\n")
    return code


# --- latency ---


def latency(model: Any, sample_inputs: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Of one inference of the whole batch, in ms."""
    inputs = {}
    for name, array in sample_inputs.items():
        copies = -(-options.batch // len(array))
        inputs[name] = np.ascontiguousarray(np.concatenate([array] * copies)[: options.batch])
    warm_up = [timed_ms(model, inputs) for _ in range(5)]
    repeats = options.repeats or int(min(max(_SECONDS * 1e3 / min(warm_up), 20), 1000))
    times = np.array([timed_ms(model, inputs) for _ in range(repeats)])
    low, median, high = (round(float(np.percentile(times, q)), 6) for q in (10, 50, 90))
    return {
        "median_ms": median,
        "p10_ms": low,
        "p90_ms": high,
        "repeats": repeats,
        "threads": options.threads,
        "batch": options.batch,
    }


def timed_ms(model: Any, inputs: dict[str, Any]) -> float:
    """Wall time of one inference."""
    start = time.perf_counter()
    model(inputs)
    return (time.perf_counter() - start) * 1e3


# --- classification ---


def classified(model: Any, input_name: str, path: str) -> dict[str, Any]:
    """The most probable classes of one image, or the error that prevented it."""
    settings = read_json("preprocessing.json")
    if settings is None:
        return {"file": path, "error": "this bundle was made without a task, so it cannot prepare images"}
    try:
        pixels = image_files.read_image(Path(path), int(settings["input_size"][0]))
        inputs = preprocessing.preprocess(pixels, settings)[None]
    except (OSError, ValueError, MemoryError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return {"file": path, "error": reason}
    return {"file": path, "top": most_probable(model({input_name: inputs})[0])}


def most_probable(logits: Any) -> list[dict[str, Any]]:
    """Classes in descending order of softmax probability; names as in labels.json."""
    labels = read_json("labels.json") or []
    scores = np.exp(logits.astype(np.float64) - logits.max())
    probabilities = scores / scores.sum()
    best = np.argsort(-probabilities, kind="stable")[:_TOP]
    return [
        {
            "index": int(i),
            "class": labels[i] if i < len(labels) else str(i),
            "probability": round(float(probabilities[i]), 6),
        }
        for i in best
    ]


# --- provenance ---


def versions() -> dict[str, str]:
    """Of everything that decides result and speed."""
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
