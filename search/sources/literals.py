"""Values from text of other programs. The text is only ever data: nothing in it is executed."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from supernet.architecture import ArchitectureError
from supernet.space import Choice, SearchSpace

_LONGEST = 100_000
_PLAIN_NAMES = {"null": None, "true": True, "false": False}


def literal(text: str) -> Any:
    """The value of a JSON text or of a Python literal. Raises ValueError for anything else."""
    if len(text) > _LONGEST:
        raise ValueError(f"a text of {len(text)} characters is too long for an architecture")
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"{text[:60]!r} is neither JSON nor a Python literal") from error


def mapping_of(cell: Any) -> Mapping[str, Any]:
    """The architecture in a cell of a table, as a mapping. Raises ValueError for a cell that holds something else."""
    value = literal(cell) if isinstance(cell, str) else cell
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{str(cell)[:60]!r} is no mapping of choices to values")
    return value


def choice_values(choice: Choice, cell: Any) -> Any:
    """The values of a choice in a cell: a list, separated values, or one character per position.

    Raises ValueError for a list that cannot be parsed.
    """
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if text[:1] in ("[", "("):
        return literal(text)
    parts = [part for part in re.split(r"[\s,;|/]+", text) if part]
    if len(parts) == 1 and choice.repeat not in (None, 1) and len(text) == choice.n_genes:
        parts = list(text)
    values = [_value(choice, part) for part in parts]
    return values[0] if len(values) == 1 else values


def _value(choice: Choice, text: str) -> Any:
    """The value of a choice that the text stands for; without any the text itself, which the space will refuse."""
    for value in choice.values:
        if str(value) == text or _number(text) == _number(str(value)) is not None:
            return value
    return _PLAIN_NAMES.get(text.lower(), text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def architecture_columns(space: SearchSpace, columns: Sequence[str], fixed: Mapping[str, Any]) -> dict[str, list[str]]:
    """Columns of each choice: one of its name, or one per position, as in `ks[0]`, `ks_0`, `ks0` or `ks.0`.

    Choices that are fixed, or have only one value, need no column. Raises ArchitectureError naming the first choice
    that lacks one.
    """
    found: dict[str, list[str]] = {}
    for choice in space.choices:
        if choice.name in columns:
            found[choice.name] = [choice.name]
            continue
        styles = ("{}[{}]", "{}_{}", "{}{}", "{}.{}")
        positions = [[style.format(choice.name, i) for i in range(choice.n_genes)] for style in styles]
        whole = next((names for names in positions if all(name in columns for name in names)), None)
        if whole is not None:
            found[choice.name] = whole
        elif choice.name not in fixed and len(choice.values) > 1:
            raise ArchitectureError(
                f"no column for {choice.name!r}: give its value for all rows, as in fixed={{{choice.name!r}: ...}}"
            )
    return found
