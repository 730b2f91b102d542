"""Runs an application under Hydra; a user's mistake ends in one line of text and exit code 2."""

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from search.apps import helping
from search.apps.arguments import prepared
from search.apps.mistakes import explained

_ACTING = ("profile", "deploy")
_FULL_ERROR = "HYDRA_FULL_ERROR"
_MISTAKES = (ValueError, OSError, HydraException, OmegaConfBaseException)


def launch(name: str) -> None:
    """Composes `conf/<name>.yaml` with the command line and calls `search.apps.<name>_app.run(config)`.

    Exit codes: 0 for success, 2 for a mistake in the input (measurements are kept), 1 for an error in this package, 130
    for an interrupt. With `HYDRA_FULL_ERROR=1` the traceback of a mistake is shown, too.
    """
    mistakes: list[tuple[str, Exception]] = []
    helping.register()
    if "" not in sys.path:
        sys.path.append("")  # classes that a configuration names may stand in the folder that it is run in
    try:
        sys.argv[1:] = prepared(sys.argv[1:], acts=name in _ACTING)
        with _errors_passed_on():
            hydra.main(version_base="1.3", config_path="pkg://conf", config_name=name)(_job(name, mistakes))()
    except _MISTAKES as error:
        mistakes.append(("", error))
    except KeyboardInterrupt:
        _say(f"supernet-{name}: interrupted; run the same command again to go on")
        sys.exit(130)
    for job, mistake in mistakes:
        if os.environ.get(_FULL_ERROR) == "1":
            traceback.print_exception(mistake)
        _say(f"supernet-{name}: {job}{explained(mistake, f'supernet-{name}')}")
    if mistakes:
        sys.exit(2)


def _job(name: str, mistakes: list[tuple[str, Exception]]) -> Callable[[Any], None]:
    """The function that Hydra runs for each job of a multirun, or once; a mistake in one job stops no other."""

    def job(config: Any) -> None:
        try:
            importlib.import_module(f"search.apps.{name}_app").run(config)  # here, for a quick --help
        except _MISTAKES as error:
            several = HydraConfig.get().mode is RunMode.MULTIRUN
            mistakes.append((f"{HydraConfig.get().job.override_dirname}: " if several else "", error))

    job.__module__, job.__qualname__ = f"search.apps.{name}", name
    return job


@contextmanager
def _errors_passed_on() -> Iterator[None]:
    """Makes Hydra raise errors instead of printing them, and logging silent about a log file on a full disk."""
    before, logging.raiseExceptions = (os.environ.get(_FULL_ERROR), logging.raiseExceptions), False
    os.environ[_FULL_ERROR] = "1"
    try:
        yield
    finally:
        os.environ.pop(_FULL_ERROR)
        if before[0] is not None:
            os.environ[_FULL_ERROR] = before[0]
        logging.raiseExceptions = before[1]


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
