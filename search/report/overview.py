"""The overview page of deployed sub-networks: for each device their metrics, and how to run them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.report.deployed import BACK, Bundle, bundles_below
from search.report.quantities import Quantity
from search.report.templates import environment
from supernet.files import written_whole

FILE = "overview.html"
_INSIDE = "/bundle/"


@dataclass(frozen=True)
class Column:
    """A column of the table: its heading, and for each bundle a value to sort by, its text and a remark."""

    heading: str
    cells: list[tuple[float, str, str]]


@dataclass(frozen=True)
class Section:
    """A device and its bundles; `cards` hold label, value and remark."""

    name: str
    cards: list[tuple[str, str, str]]
    bundles: list[Bundle]


def write_overview(folder: str | Path) -> Path:
    """Writes `overview.html` about all bundles in a folder and below it, and returns its path.

    To show latencies that `run.py` measured on the device, save its output as `run.json` in the folder of the bundle.
    Raises SearchError if there is no bundle, or an incomplete one.
    """
    top = Path(folder)
    bundles = bundles_below(top)
    names = list(dict.fromkeys(bundle.device["name"] for bundle in bundles))
    ordered = [bundle for name in names for bundle in bundles if bundle.device["name"] == name]
    networks = list(dict.fromkeys(bundle.metrics.get("supernet", "") for bundle in bundles))
    page = (
        environment()
        .get_template(FILE)
        .render(
            title=f"{', '.join(filter(None, networks)) or 'Sub-networks'} on {', '.join(names)}",
            bundles=ordered,
            columns=_columns(ordered),
            sections=[_section(name, [b for b in ordered if b.device["name"] == name]) for name in names],
            methods={name: text for bundle in ordered for name, text in bundle.methods.items()},
            back=BACK,
            reports=_reports(top, ordered),
            labels=_labels(ordered),
        )
    )
    path = top / FILE
    with written_whole(path) as part:
        part.write_bytes(page.encode())
    return path


def _reports(top: Path, bundles: Sequence[Bundle]) -> list[str]:
    """Paths of the searches' reports, from the page: of the only one, or of those of a multirun."""
    below = [f"{bundle.path.partition(_INSIDE)[0]}/report.html" for bundle in bundles if _INSIDE in bundle.path]
    return [path for path in dict.fromkeys(["../report.html", *below]) if (top.resolve() / path).exists()]


def _labels(bundles: Sequence[Bundle]) -> dict[str, str]:
    """What bundles are called, by path: device and rank where that tells them apart."""
    labels = {bundle.path: bundle.path.rpartition(_INSIDE)[2] for bundle in bundles}
    return labels if len(set(labels.values())) == len(labels) else {path: path for path in labels}


def _columns(bundles: Sequence[Bundle]) -> list[Column]:
    found = []
    for name in dict.fromkeys(name for bundle in bundles for name in bundle.accuracies):
        values = [bundle.accuracies.get(name, float("nan")) for bundle in bundles]
        split, _, metric = name.partition("_")
        found.append(_numbers(Quantity.of(metric or name, values), values, f"{split} " if metric else ""))
    measured = [bundle.measured for bundle in bundles]
    predicted = [bundle.predicted_ms for bundle in bundles]
    medians = [float("nan") if latency is None else latency.ms for latency in measured]
    found.append(Column("predicted ms", [(ms, "–" if np.isnan(ms) else _significant(ms), "") for ms in predicted]))
    cells = [
        (ms, "not measured here" if np.isnan(ms) else _significant(ms), _compared(ms, expected))
        for ms, expected in zip(medians, predicted, strict=True)
    ]
    found.append(Column("measured ms", cells))
    sizes = [bundle.megabytes for bundle in bundles]
    found.append(Column("size (MB)", [(size, "–" if np.isnan(size) else f"{size:,.2f}", "") for size in sizes]))
    for cost in ("params", "macs"):
        values = [bundle.metrics[cost] for bundle in bundles]
        found.append(_numbers(Quantity.of(cost, values), values))
    return found


def _numbers(quantity: Quantity, values: Sequence[float], prefix: str = "") -> Column:
    return Column(f"{prefix}{quantity.label}", [(value, quantity.number(value), "") for value in values])


def _significant(ms: float) -> str:
    """A latency with three significant digits, as devices differ by orders of magnitude."""
    return f"{ms:#.3g}".rstrip(".") if ms < 1000 else f"{ms:,.0f}"


def _compared(measured: float, predicted: float) -> str:
    """Relative difference of a measurement from its prediction, as text; "" without either."""
    if np.isnan(measured) or np.isnan(predicted):
        return ""
    error = measured / predicted - 1
    return f"{error:+.1%}" if abs(error) < 1 else f"{error:+,.0%}"


def _section(name: str, bundles: list[Bundle]) -> Section:
    device, formats = bundles[0].device, dict.fromkeys(bundle.metrics["format"] for bundle in bundles)
    n_measured = sum(bundle.measured is not None for bundle in bundles)
    cards = [
        ("backend", str(device["backend"]), f"{device['precision']}{_cores(device.get('cores'))}"),
        ("format", ", ".join(formats), "of the bundles"),
        ("threads", str(device["threads"]), str(device.get("machine") or "this kind of processor")),
        ("batch size", str(device["batch_size"]), "samples an inference"),
        (
            "measured",
            f"{n_measured} of {len(bundles)}",
            "the others: run.py on the device" if n_measured < len(bundles) else "on the device",
        ),
    ]
    return Section(name, cards, bundles)


def _cores(cores: object) -> str:
    return f", cores {', '.join(map(str, cores))}" if isinstance(cores, list) and cores else ""
