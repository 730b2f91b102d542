"""Parses constraints as people write them: `latency <= 5 and accuracy >= 97`."""

import re
from collections.abc import Sequence

from search.errors import ConstraintError

_TERM = re.compile(r"\s*([\w@.-]+?)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


def parsed(text: str | Sequence[str] | None) -> dict[str, tuple[str, float]]:
    """Bounds by objective, `{name: (operator, bound)}`, as `search.run` takes them.

    Args:
        text: terms joined by `and` or commas, or a list of such texts; None or "": no bounds.

    Raises ConstraintError naming the term that cannot be read, or an objective with two bounds.
    """
    if not text:
        return {}
    texts = list(text) if isinstance(text, Sequence) and not isinstance(text, str) else [text]
    terms = [term for one in texts for term in re.split(r",|\band\b", str(one)) if term.strip()]
    constraints: dict[str, tuple[str, float]] = {}
    for term in terms:
        match = _TERM.fullmatch(term)
        if match is None:
            raise ConstraintError(
                f"cannot read the constraint {term.strip()!r}: write a name, <= or >=, and a number without a unit, "
                "as in 'latency <= 5'"
            )
        name, operator, bound = match.groups()
        if name in constraints:
            raise ConstraintError(f"{name} has two constraints in {text!r}: one for each objective")
        constraints[name] = (operator, float(bound))
    return constraints
