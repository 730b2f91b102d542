"""What varies in a vision transformer: defaults, and configurations as they are published."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from supernet.architecture import ArchitectureError
from supernet.space import Choice, SearchSpace, within_depth

LAYER_CHOICES = ("num_attention_heads", "intermediate_size")

_PUBLISHED = {"vit_hidden_sizes": "hidden_size", "vit_intermediate_sizes": "intermediate_size"}
_MULTIPLE = 32


def default_hidden_sizes(full: int) -> tuple[int, ...]:
    """By default about 2/3, 5/6 and all of the width."""
    return tuple(sorted({_rounded(full * 2 / 3), _rounded(full * 5 / 6), full} & set(range(1, full + 1))))


def default_mlp_sizes(full: int) -> tuple[int, ...]:
    """By default a third, two thirds and all of the neurons."""
    return tuple(sorted({math.ceil(full / 3), math.ceil(2 * full / 3), full}))


def default_heads(full: int) -> tuple[int, ...]:
    """By default half, two thirds, five sixths and all of the heads."""
    return tuple(sorted({math.ceil(full * part / 6) for part in (3, 4, 5, 6)}))


def default_depths(full: int) -> tuple[int, ...]:
    """By default from half of the layers on."""
    return tuple(range(math.ceil(full / 2), full + 1))


def space_of(
    *,
    depths: Sequence[int],
    hidden_sizes: Sequence[int],
    heads: Sequence[int],
    mlp_sizes: Sequence[int],
    resolutions: Sequence[int],
) -> SearchSpace:
    """The space over these values; layers beyond the depth have no say.

    Raises ValueError unless all are positive integers.
    """
    depths, widths = ascending("depths", depths), ascending("hidden_sizes", hidden_sizes)
    pixels, deepest = ascending("resolutions", resolutions), depths[-1]
    exists = within_depth("num_layers", [deepest])
    return SearchSpace(
        Choice("num_layers", depths),
        Choice("hidden_size", widths),
        Choice("num_attention_heads", ascending("heads", heads), deepest, exists),
        Choice("intermediate_size", ascending("mlp_sizes", mlp_sizes), deepest, exists),
        Choice("r", pixels),
        translate=partial(published, deepest=deepest, widest=widths[-1]),
    )


def published(mapping: Mapping[str, Any], *, deepest: int, widest: int) -> Mapping[str, Any]:
    """A configuration as users keep it, in the space's vocabulary.

    Takes the names that hardware-aware searches publish (`vit_hidden_sizes`, `vit_intermediate_sizes`; the first may be
    left out where all have the full width), and lists that end with the last layer.

    Raises ArchitectureError for a list shorter than the number of layers.
    """
    full = {"hidden_size": widest} if "vit_intermediate_sizes" in mapping else {}
    values = full | {_PUBLISHED.get(name, name): value for name, value in mapping.items()}
    n_layers = values.get("num_layers")
    if isinstance(n_layers, (list, tuple)) and len(n_layers) == 1:
        n_layers = n_layers[0]
    for name in LAYER_CHOICES:
        listed = values.get(name)
        if isinstance(listed, (list, tuple)) and len(listed) < deepest and isinstance(n_layers, int):
            if not listed or len(listed) < n_layers:
                raise ArchitectureError(f"{name} needs a value for each of {n_layers} layers, got {list(listed)}")
            values[name] = [*listed, *[listed[-1]] * (deepest - len(listed))]
    return values


def _rounded(size: float) -> int:
    return max(_MULTIPLE, _MULTIPLE * round(size / _MULTIPLE))


def ascending(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """The distinct values in ascending order. Raises ValueError unless they are positive integers."""
    listed = list(values)
    if not listed or any(isinstance(v, (bool, str)) or int(v) != v or v < 1 for v in listed):
        raise ValueError(f"vit: {name} must be positive integers, got {listed}")
    return tuple(sorted({int(v) for v in listed}))
