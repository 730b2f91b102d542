"""Stock classifiers: new ones, and those of a directory or of the hub."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig

from supernet.families.bert.resized_layers import HEADS, LAYOUTS


def classifier(model: Any, settings: Mapping[str, Any]) -> Any:
    """The model itself, one of a directory or the hub, or a new BERT base; `settings` change its configuration."""
    if isinstance(model, nn.Module):
        if settings:
            raise TypeError(f"{', '.join(settings)}: settings cannot change a model that is given as it is")
        return model
    if model is None:
        default = BertConfig()
        _refuse([name for name in settings if not hasattr(default, name)], default)
        return AutoModelForSequenceClassification.from_config(checked(BertConfig(**settings)))
    path = Path(model).expanduser()
    source = str(path if path.is_dir() else model)
    if not path.is_dir() and (path.is_absolute() or source.startswith(("~", ".")) or source.count("/") > 1):
        raise FileNotFoundError(f"no model at {source}: give a folder that save_pretrained wrote, or a name on the hub")
    try:
        config, unknown = AutoConfig.from_pretrained(source, return_unused_kwargs=True, **settings)
    except OSError as error:
        known = "" if path.is_dir() else " (there is no such folder, and the hub was asked in vain)"
        raise OSError(f"no model at {source}{known}: {error}") from error
    _refuse(unknown, config)
    return AutoModelForSequenceClassification.from_pretrained(source, config=checked(config, f"{model}: "))


def _refuse(unknown: Iterable[str], config: Any) -> None:
    if names := list(unknown):
        raise TypeError(f"{names[0]!r} is neither an argument of bert nor a setting of {type(config).__name__}")


def checked(config: Any, where: str = "") -> Any:
    """A configuration that can be made elastic; else ValueError says why not."""
    if config.model_type not in LAYOUTS:
        known = ", ".join(sorted(LAYOUTS))
        raise ValueError(
            f"{where}a model of the type {config.model_type!r} cannot be made elastic: where heads and neurons are is "
            f"known for {known}"
        )
    if hasattr(config, HEADS):
        raise ValueError(f"{where}its layers differ in size, as those of a sub-network do: give the whole model")
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"{where}num_attention_heads: {config.num_attention_heads} heads do not divide hidden_size "
            f"{config.hidden_size}"
        )
    return config
