"""Limits numerical libraries to one thread, which is faster for small problems, most of all on a busy machine."""

from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> Any:
    """A context manager within which linear algebra libraries use one thread."""
    return _controller().limit(limits=1)
