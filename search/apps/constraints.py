"""Constraints as people write them: `latency <= 5 and accuracy >= 97`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from search.errors import ConstraintError

_TERM = re.compile(r"\s*([\w@.-]+?)\s*(<=|>=)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")


def parsed(text: str | Sequence[str] | Mapping[str, Any] | None) -> dict[str, tuple[str, float]]:
    """`{objective: (operator, bound)}` of one text, a list of texts, or nothing; terms are joined by `and` or commas.

    Raises ConstraintError naming the term that cannot be read.
    """
    if not text:
        return {}
    texts = [text] if isinstance(text, str) else list(text)
    terms = [term for one in texts for term in re.split(r",|\band\b", str(one)) if term.strip()]
    constraints: dict[str, tuple[str, float]] = {}
    for term in terms:
        match = _TERM.fullmatch(term)
        if match is None:
            raise ConstraintError(f"cannot read the constraint {term.strip()!r}: write it as in 'latency <= 5'")
        name, operator, bound = match.groups()
        if name in constraints:
            raise ConstraintError(f"{name} has two constraints in {text!r}: one for each objective")
        constraints[name] = (operator, float(bound))
    return constraints
