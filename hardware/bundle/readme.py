"""The short text that explains a bundle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from hardware.bundle.kinds import Making

_TEMPLATE = Path(__file__).parent / "templates" / "README.md"
_ELSEWHERE = """\
`model.safetensors` is the plain state dict of `net.build(architecture)`, where `net` is the super-network
`{supernet}` and `architecture` the one in `architecture.json`:

```python
import json
from safetensors.torch import load_model

architecture = net.space.validate(json.load(open("architecture.json"))["architecture"])
model = net.build(architecture)
load_model(model, "model.safetensors")
model.eval()
```
"""


def readme(
    making: Making, metrics: Mapping[str, Any], *, files: Sequence[str], inputs: Sequence[str], example: str
) -> str:
    """The README of a bundle.

    Where the family has a method `library_code(architecture)`, its result (Python that builds `model` with the stock
    library and loads `model.safetensors`) is shown as it is.

    Args:
        making: what is in it.
        metrics: as in `metrics.json`.
        files: of the model.
        inputs: of its sample.
        example: what to write behind `python run.py`.
    """
    net, device = making.net, making.device
    code = getattr(net, "library_code", None)
    loading = f"```python\n{code(making.architecture).strip()}\n```\n" if code else _ELSEWHERE.format(supernet=net.name)
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=f"{net.name} for {device.name}",
        supernet=net.name,
        device=device.name,
        backend=device.backend,
        threads=device.threads,
        batch=device.batch_size,
        example=example,
        facts="\n".join(f"| {name} | {value} |" for name, value in _facts(metrics)),
        files="`, `".join(files),
        inputs="`, `".join(inputs),
        loading=loading,
    )


def _facts(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    given = [
        (f"{name} ({kind})", f"{value:.4g}" if isinstance(value, float) else str(value))
        for kind in ("measured", "predicted")
        for name, value in metrics[kind].items()
    ]
    parity, latency = metrics["parity"], "not measured yet: `run.py` does"
    if measured := metrics.get("latency"):
        latency = f"{measured['median_ms']:.3f} ms a batch (median of {measured['repeats']})"
    return [
        *given,
        ("latency on the device", latency),
        ("size of the model", f"{metrics['bytes'] / 1e6:.2f} MB"),
        ("MACs", f"{metrics['macs']:,} a sample"),
        ("parameters", f"{metrics['params']:,}"),
        ("relative difference to PyTorch", f"{parity['relative_difference']:.1e}"),
    ]
