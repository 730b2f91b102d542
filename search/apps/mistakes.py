"""Messages about mistakes in the input: one line that names what is wrong and what to do."""

import difflib
import re

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

_NO_GROUP = re.compile(r"Could not override '([^']+)'")


def explained(error: BaseException, program: str) -> str:
    """One line about a mistake: about the innermost error, since Hydra wraps the errors of what it instantiates."""
    where = ""
    while isinstance(error, HydraException) and isinstance(error.__cause__, Exception):
        if isinstance(error, MissingConfigException):
            break
        where = _setting(error) or where
        error = error.__cause__
    return " ".join(_text(error, where, program).split())


def _text(error: BaseException, where: str, program: str) -> str:
    if isinstance(error, MissingConfigException):
        return _missing_config(error)
    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"cannot read the argument {error.override!r}: settings are written as key=value"
    if isinstance(error, OverrideParseException):
        return f"cannot read the argument {error.override!r}: {_first_line(error)}"
    if isinstance(error, ConfigCompositionException) and (group := _NO_GROUP.match(str(error))):
        return f"{group[1]!r} is no setting of this application: {program} --help lists those that are"
    if isinstance(error, OmegaConfBaseException):
        return _bad_setting(error, program)
    if isinstance(error, OSError) and error.strerror:
        return f"cannot use {error.filename}: {error.strerror}" if error.filename else error.strerror
    text = str(error).strip() or type(error).__name__
    if where and "ModuleNotFoundError" in text:
        return f"{where}: {text} Modules are looked for on the path of Python, and in the folder where the command runs"
    if isinstance(error, (TypeError, ImportError)) and where:
        return f"{where}: {text}"
    return text


def _missing_config(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file or "").rpartition("/")
    if not group:
        return _first_line(error)
    options = list(error.options or ())
    close = difflib.get_close_matches(option, options, n=2)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"unknown {group} {option!r}: available are {', '.join(options) or 'none'}{hint}"


def _bad_setting(error: OmegaConfBaseException, program: str) -> str:
    name = error.full_key or error.key
    if isinstance(error, MissingMandatoryValue):
        return f"a value is missing: give {name}=..." if name else _first_line(error)
    if isinstance(error, (ConfigAttributeError, ConfigKeyError)):
        parent = error.parent_node
        more = f", +{name}=... adds an argument" if OmegaConf.is_dict(parent) and "_target_" in parent else ""
        return f"unknown setting {name!r}{_meant(error)}: {program} --help lists the settings there are{more}"
    return _first_line(error) + (f" (setting {name!r})" if name else "")


def _meant(error: OmegaConfBaseException) -> str:
    """A question that suggests the existing setting with the most similar name; "" if there is none."""
    there = [str(name) for name in error.parent_node.keys()] if OmegaConf.is_dict(error.parent_node) else []
    close = difflib.get_close_matches(str(error.key), there, n=1)
    return (
        f" (did you mean {str(error.full_key or error.key).removesuffix(str(error.key))}{close[0]}?)" if close else ""
    )


def _setting(error: HydraException) -> str:
    """The part of the configuration that Hydra was instantiating; "" if it does not say."""
    return next((line.split(":", 1)[1].strip() for line in str(error).splitlines() if line.startswith("full_key:")), "")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
