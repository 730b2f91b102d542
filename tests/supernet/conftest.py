"""Small super-networks that tests share."""

import pytest
import torch
from torch import nn

from supernet import Choice, SearchSpace, SuperNetwork, within_depth
from supernet.families.mobilenetv3 import ElasticMobileNetV3, Stage
from supernet.families.vit import ElasticViT


class TinyNet(SuperNetwork):
    """The ten lines of a user: three elastic widths and an elastic depth, as a plain `nn.Sequential` of blocks."""

    space = SearchSpace(
        Choice("width", (8, 16, 24), repeat=3, active=within_depth("depth", [3])), Choice("depth", (1, 2, 3), repeat=1)
    )
    input_shape = (3, 12, 12)

    def build(self, architecture):
        widths = [3, *architecture["width"][: architecture["depth"][0]]]
        blocks = [
            nn.Sequential(nn.Conv2d(c, w, 3, padding=1), nn.BatchNorm2d(w), nn.ReLU())
            for c, w in zip(widths, widths[1:], strict=False)
        ]
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 5))
        return nn.Sequential(nn.ModuleDict({"blocks": nn.Sequential(*blocks)})["blocks"], head)


def randomised(net):
    """Weights and statistics that differ everywhere, so that a wrong slice shows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(noise.abs() * 0.3 + 0.7 if name.endswith("running_var") else noise * 0.3)
    return net.eval()


def tiny_mobilenetv3(**changes):
    settings = {"stem_width": 8, "head_widths": (24, 16), "num_classes": 5, "in_chans": 1, "resolutions": (16, 24)}
    stages = [Stage(8, 2, "re"), Stage(16, 2, "hs", True)][: changes.pop("n_stages", 2)]
    return ElasticMobileNetV3(stages, **(settings | {"depths": (1, 2), **changes}))


def tiny_vit(**changes):
    settings = {"depths": (1, 2, 3), "hidden_sizes": (20, 32), "heads": (1, 2, 3), "mlp_sizes": (24, 50), "head_dim": 8}
    settings |= {"patch_size": 4, "resolutions": (12, 16), "num_classes": 5}
    return ElasticViT(**(settings | changes))


@pytest.fixture(params=[TinyNet, tiny_mobilenetv3, tiny_vit], ids=["custom", "mobilenetv3", "vit"])
def net(request):
    return randomised(request.param())


@pytest.fixture
def vit():
    return randomised(tiny_vit())


@pytest.fixture
def mobilenetv3():
    return randomised(tiny_mobilenetv3())
