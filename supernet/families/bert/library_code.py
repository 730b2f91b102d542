"""The few lines that build a sub-network with transformers alone."""

from typing import Any

from supernet.families.bert.resized_layers import HEADS, LAYOUTS, NEURONS

_NOT_SETTINGS = {
    *("architectures", "auto_map", "dtype", "model_type", "torch_dtype", "transformers_version"),
    *(HEADS, NEURONS),
}

_WHOLE = """\
{imports}

config = {config_class}(
{settings}
)
model = {model_class}(config)
{resizing}model.load_state_dict(load_file("model.safetensors"))
model.eval()
"""

_RESIZING = """\
sizes = zip(
    model.base_model.{layers},
    {heads},  # attention heads
    {neurons},
    strict=True,
)
for layer, n_heads, n_neurons in sizes:
    channels = {head_channels} * n_heads
    for name in {projections}:
        setattr(layer.{attention}, name, nn.Linear({width}, channels))
{counts}    layer.{merge} = nn.Linear(channels, {width})
    layer.{widen} = nn.Linear({width}, n_neurons)
    layer.{narrow} = nn.Linear(n_neurons, {width})
"""


def library_code(model: Any) -> str:
    """Python that builds a model like this one and loads `model.safetensors` into it."""
    config, model_class = model.config, type(model)
    usual = model_class.config_class().to_dict()
    settings = {name: value for name, value in config.to_dict().items() if name not in _NOT_SETTINGS}
    settings = {name: value for name, value in settings.items() if name not in usual or value != usual[name]}
    imports = ["from safetensors.torch import load_file"]
    imports += ["from torch import nn"] if hasattr(config, HEADS) else []
    config_class = model_class.config_class.__name__
    imports.append(f"from transformers import {', '.join(sorted((config_class, model_class.__name__)))}")
    return _WHOLE.format(
        imports="\n".join(imports),
        config_class=config_class,
        model_class=model_class.__name__,
        settings="\n".join(f"    {name}={value!r}," for name, value in settings.items()),
        resizing=_resizing(model) if hasattr(config, HEADS) else "",
    )


def _resizing(model: Any) -> str:
    """Lines that give the layers of a stock model the sizes of this one's."""
    config, layout = model.config, LAYOUTS[model.config.model_type]
    attention = layout.layers_of(model)[0].get_submodule(layout.attention)
    counts = {name: "n_heads" for name in layout.head_counts} | {name: "channels" for name in layout.channel_counts}
    lines = [f"    layer.{layout.attention}.{name} = {n}\n" for name, n in counts.items() if hasattr(attention, name)]
    return _RESIZING.format(
        layers=layout.layers,
        attention=layout.attention,
        heads=getattr(config, HEADS),
        neurons=getattr(config, NEURONS),
        head_channels=config.hidden_size // config.num_attention_heads,
        width=config.hidden_size,
        projections=tuple(name for name in layout.projections if hasattr(attention, name)),
        counts="".join(lines),
        merge=layout.merge,
        widen=layout.widen,
        narrow=layout.narrow,
    )
