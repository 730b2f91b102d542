"""What may vary in BERT-like classifiers, in the vocabulary of DyNAS-T's published configurations."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from supernet.architecture import ArchitectureError
from supernet.space import Choice, SearchSpace, within_depth

DEPTH, HEADS, NEURONS, WIDTH = "num_layers", "num_attention_heads", "intermediate_size", "hidden_size"


def default_depths(n_layers: int) -> list[int]:
    """From half of the layers to all of them."""
    return list(range((n_layers + 1) // 2, n_layers + 1))


def default_heads(n_heads: int) -> list[int]:
    """From half of the heads to all of them, in steps of a sixth: 6, 8, 10 and 12 of 12."""
    step = max(1, n_heads // 6)
    return sorted(range(n_heads, (n_heads + 1) // 2 - 1, -step))


def default_ffn_sizes(n_neurons: int) -> list[int]:
    """A third, two thirds and all of the neurons, in multiples of 8: 1024, 2048 and 3072 of 3072."""
    thirds = (n_neurons * k // 3 // 8 * 8 for k in (1, 2))
    return sorted({n_neurons, *(size for size in thirds if size)})


def bert_space(depths: Sequence[int], heads: Sequence[int], ffn_sizes: Sequence[int], width: int) -> SearchSpace:
    """Depth, and for each layer its heads and its neurons: `{"num_layers": 6, "num_attention_heads": [...], ...}`.

    Args:
        depths: numbers of layers that are allowed, in any order.
        heads: likewise, for each layer.
        ffn_sizes: likewise.
        width: of the hidden states; published configurations name it, though it does not vary.
    """
    n_layers = max(depths)
    exists = within_depth(DEPTH, [n_layers])
    return SearchSpace(
        Choice(DEPTH, tuple(sorted(depths))),
        Choice(HEADS, tuple(sorted(heads)), n_layers, exists),
        Choice(NEURONS, tuple(sorted(ffn_sizes)), n_layers, exists),
        translate=partial(_published, width=width, n_layers=n_layers),
    )


def allowed(name: str, values: Sequence[int] | None, default: Sequence[int], most: int) -> list[int]:
    """The allowed values of a choice, or the default. Raises ValueError for none, and for one outside 1..most."""
    if values is None:
        return list(default)
    found = list(values)
    if not found:
        raise ValueError(f"{name} must hold at least one value, got none")
    if wrong := [v for v in found if isinstance(v, bool) or not isinstance(v, int) or not 1 <= v <= most]:
        raise ValueError(f"{name}: {wrong[0]!r} is not in 1..{most}, which is what the model has")
    return found


def _published(mapping: Mapping[str, Any], *, width: int, n_layers: int) -> Mapping[str, Any]:
    """A configuration as DyNAS-T keeps it: it names the width, and lists may end with the last active layer."""
    values = dict(mapping)
    if (given := values.pop(WIDTH, width)) not in (width, [width], (width,)):
        raise ArchitectureError(f"{WIDTH}: {given!r} is not {width}: the width is a setting of the super-network")
    depth: Any = values.get(DEPTH)
    depth = depth[0] if isinstance(depth, (list, tuple)) and len(depth) == 1 else depth
    for name in (HEADS, NEURONS):
        listed: Any = values.get(name)
        if isinstance(listed, (list, tuple)) and 0 < len(listed) == depth < n_layers:
            values[name] = [*listed, *listed[-1:] * (n_layers - len(listed))]
    return values
