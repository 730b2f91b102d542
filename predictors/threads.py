"""One thread for small problems: on a busy machine, threads that wait for each other cost far more than they save."""

from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> Any:
    """A context in which the linear algebra libraries use one thread."""
    return _controller().limit(limits=1)
