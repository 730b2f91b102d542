"""A super-network of your own: a space and a builder are enough to search, profile and extract.

Run: python examples/custom_supernetwork.py
"""

from torch import nn

import hardware
import search
from supernet import Architecture, Choice, SearchSpace, SuperNetwork, within_depth
from supernet.tasks import digits
from supernet.training import Recipe, train
from supernet.validation import Validation


class TinyNet(SuperNetwork):
    """Up to three convolutions of elastic width."""

    space = SearchSpace(
        Choice("width", (8, 16, 32), repeat=3, active=within_depth("depth", [3])),
        Choice("depth", (1, 2, 3), repeat=1),
    )
    input_shape = (1, 16, 16)

    def build(self, architecture: Architecture) -> nn.Module:
        """A plain sequence of blocks and a head."""
        widths = [1, *architecture["width"][: architecture["depth"][0]]]
        blocks = [
            nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU())
            for before, after in zip(widths, widths[1:], strict=False)
        ]
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))
        return nn.Sequential(nn.Sequential(*blocks), head)


def main(folder: str = "runs/custom", epochs: int = 15, budget: int = 20) -> search.Result:
    """Trains, profiles and searches; everything lands in `folder`."""
    net, task = TinyNet(), digits(image_size=16)
    train(net, task, Recipe(epochs=epochs), f"{folder}/training")
    device = hardware.Device("cpu", backend="onnxruntime")
    table = hardware.LatencyTable.build(net, device, path=f"{folder}/latency.json")
    validate = Validation(net, task)
    objectives = [
        search.Objective("accuracy", goal="max", measure=validate),
        search.Objective("latency", goal="min", measure=table.latency, expensive=False),
    ]
    result = search.run(net.space, objectives, budget=budget, store=f"{folder}/store.sqlite")
    fastest = result.pareto().iloc[0]
    hardware.deploy(net, fastest["architecture"], device, f"{folder}/bundle", task=task)
    return result


if __name__ == "__main__":
    print(main().pareto()[["accuracy", "latency"]])
