"""The bundle's task: unknown, so its model is checked and measured alone."""

from __future__ import annotations

from typing import Any

import single  # type: ignore[import-not-found]

INPUTS = "not used: this bundle was made without a task"


class Program(single.SingleModel):
    """Answers nothing."""

    def answer(self, text: str) -> dict[str, Any]:
        """Says why there is no answer."""
        return {"input": text, "error": "this bundle was made without a task, so it cannot prepare inputs"}
