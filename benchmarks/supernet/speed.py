"""Speed of a super-network against its extracted sub-networks, on one thread of this machine.

    python benchmarks/supernet/speed.py [--family ofa_mobilenetv3] [--batch-size 8] [--repeats 15]

Prints a table for the largest, the smallest and a random sub-network at 224 pixels: forward through shared weights over
the extracted model's, time of an extraction (median of eight other architectures), recalibration over a plain forward
of the same images. What is compared runs in turns; shown are medians, and the quartiles of ratios.
Times are processor times, so that other work on the machine disturbs them little.
"""

import argparse
import platform
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

import supernet
from hardware.provenance import cpu_model
from supernet import Architecture, SuperNetwork

SIZE = 224
N_CALIBRATION_BATCHES = 4
N_NEW = 8


def main() -> None:
    """Measures and prints."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--family", default="ofa_mobilenetv3")
    arguments.add_argument("--batch-size", type=int, default=8)
    arguments.add_argument("--repeats", type=int, default=15)
    arguments.add_argument("--channels-last", action="store_true", help="memory layout of the images")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    net = supernet.create(given.family, resolutions=(SIZE,)).eval()
    print(f"{net.title}, {SIZE} px, batch {given.batch_size}, one thread, {given.repeats} repeats")
    print(f"{cpu_model()}, torch {torch.__version__}, Python {platform.python_version()}\n")
    print("| sub-network | extracted ms | shared / extracted | extraction ms | recalibration / forward |")
    print("|---|---|---|---|---|")
    chosen = {"largest": net.largest, "smallest": net.smallest, "random": net.space.sample(1, 0)[0]}
    for seed, (name, architecture) in enumerate(chosen.items(), start=1):
        print(row(name, net, architecture, given, seed))


def row(name: str, net: SuperNetwork, architecture: Architecture, given: argparse.Namespace, seed: int) -> str:
    """One line of the table; `seed` draws the new architectures."""
    model = net.extract(architecture)
    (images,) = net.example_inputs(architecture, given.batch_size)
    if given.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        extracted, shared = in_turns(given.repeats, lambda: model(images), lambda: net(images, architecture))
    extraction = [timed(lambda a=a: net.extract(a)) for a in net.space.sample(N_NEW, seed)]  # type: ignore[misc]
    batches = [images] * N_CALIBRATION_BATCHES

    def plain() -> None:
        with torch.inference_mode():
            for batch in batches:
                model(batch)

    forward, recalibration = in_turns(max(3, given.repeats // 3), plain, lambda: supernet.recalibrate(model, batches))
    cells = [
        name,
        f"{np.median(extracted):.1f}",
        ratio(shared, extracted),
        f"{np.median(extraction):.1f}",
        ratio(recalibration, forward),
    ]
    return f"| {' | '.join(cells)} |"


def in_turns(n_repeats: int, *functions: Callable[[], object]) -> list[list[float]]:
    """Times in ms of each function, called in turns, in alternating order; the first repeat does not count."""
    times: list[list[float]] = [[] for _ in functions]
    for repeat in range(n_repeats + 1):
        pairs = list(zip(functions, times, strict=True))
        for function, found in pairs if repeat % 2 else reversed(pairs):
            elapsed = timed(function)
            if repeat:
                found.append(elapsed)
    return times


def timed(function: Callable[[], object]) -> float:
    """Processor time in ms."""
    started = time.process_time()
    function()
    return 1e3 * (time.process_time() - started)


def ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """Median and quartiles of the ratios of neighbouring measurements."""
    low, middle, high = np.quantile(np.divide(above, below), (0.25, 0.5, 0.75))
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
