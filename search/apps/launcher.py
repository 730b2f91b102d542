"""Runs an application under Hydra and turns a user's mistakes into one clear message and exit code 2."""

import importlib
import os
import re
import sys
import traceback
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

_FULL_ERROR = "HYDRA_FULL_ERROR"
_MISTAKES = (ValueError, OSError, HydraException, OmegaConfBaseException)


def launch(name: str) -> None:
    """Composes `conf/<name>.yaml` with the command line and calls `search.apps.<name>_app.run(config)`.

    Exits with 0, with 2 for a mistake in the input (what was measured is kept), with 1 for an error of ours, with 130
    when interrupted. `HYDRA_FULL_ERROR=1` shows the traceback of mistakes as well.
    """
    show_traceback = os.environ.get(_FULL_ERROR) == "1"
    os.environ[_FULL_ERROR] = "1"  # Hydra passes exceptions on
    sys.argv[1:] = [quoted(argument) for argument in sys.argv[1:]]

    def job(config: Any) -> None:
        importlib.import_module(f"search.apps.{name}_app").run(config)

    job.__module__, job.__qualname__ = f"search.apps.{name}", name
    try:
        hydra.main(version_base="1.3", config_path="pkg://conf", config_name=name)(job)()
    except _MISTAKES as error:
        if show_traceback:
            traceback.print_exc()
        _say(f"supernet-{name}: {message(error)}")
        sys.exit(2)
    except KeyboardInterrupt:
        _say(f"supernet-{name}: interrupted; run the same command again to go on")
        sys.exit(130)


def quoted(argument: str) -> str:
    """`key=value` with comparisons in the value, as in `where=latency <= 5`, quoted for Hydra's grammar."""
    key, equals, value = argument.partition("=")
    if not equals or not re.fullmatch(r"[+~\w./@:-]+", key) or not re.search(r"[<>]", value) or value[0] in "'\"[{":
        return argument
    return f"{key}='{value}'"


def message(error: BaseException) -> str:
    """What to tell the user: the innermost mistake, since Hydra wraps errors of what it instantiates."""
    while isinstance(error, HydraException) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror and not isinstance(error, (ConnectionError, TimeoutError)):
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error).strip() or type(error).__name__


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
