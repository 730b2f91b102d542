"""Python source of a value, for code that builds a sub-network with its library alone."""

import builtins
from collections.abc import Mapping
from functools import partial
from typing import Any

_STEP = "    "


class Source:
    """Writes values as Python source and remembers what the source has to import."""

    def __init__(self) -> None:
        self._imports: set[str] = set()

    @property
    def imports(self) -> str:
        """The import statements of all that was written so far, a line each."""
        return "\n".join(sorted(self._imports))

    def of(self, value: Any, indent: str = "") -> str:
        """The source of plain values, classes and functions, and of lists, dicts, partials of these.

        Lists of lists or dicts are spread over lines, those behind the first with `indent` before them.
        """
        if isinstance(value, partial):
            self._imports.add("from functools import partial")
            given = [self.of(value.func), *map(self.of, value.args), *self._named(value.keywords)]
            return f"partial({', '.join(given)})"
        if isinstance(value, Mapping):
            return f"dict({', '.join(self._named(value))})"
        if isinstance(value, list):
            parts = [self.of(part, indent + _STEP) for part in value]
            if not any(isinstance(part, (list, Mapping)) for part in value):
                return f"[{', '.join(parts)}]"
            lines = "".join(f"{indent}{_STEP}{part},\n" for part in parts)
            return f"[\n{lines}{indent}]"
        return self._name(value) if callable(value) else repr(value)

    def _named(self, values: Mapping[str, Any]) -> list[str]:
        return [f"{name}={self.of(value)}" for name, value in values.items()]

    def _name(self, value: Any) -> str:
        name, module = str(value.__qualname__), str(value.__module__)
        if module == builtins.__name__:
            return name
        if module.startswith("torch.nn."):
            self._imports.add("from torch import nn")
            return f"nn.{name}"
        self._imports.add(f"from {module} import {name}")
        return name
