"""Filled places, on a module with tied weights, buffers and plain attributes."""

import pytest
import torch
from torch import nn

from supernet.building import build_on_meta
from supernet.places import fill, filled, places_of


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(4)
        self.absent = None
        self.again = self.norm
        self.settings = {"sizes": [1, 2]}

    def forward(self, x):
        return self.again(self.second(self.first(x)))


def test_tied_places_share_a_name_and_are_filled_together():
    module = Tied()
    places = places_of(module)
    assert [(p.name, p.is_repeated) for p in places if p.attribute == "weight"][:2] == [
        ("first.weight", False),
        ("first.weight", True),
    ]
    assert {p.name for p in places} == {n for n, _ in [*module.named_parameters(), *module.named_buffers()]}
    fill(places, {"first.weight": torch.ones(4, 4)})
    assert module.second.weight is module.first.weight
    assert isinstance(module.first.weight, nn.Parameter)


def test_places_are_restored_even_after_an_error():
    module = build_on_meta(Tied)
    before = dict(module.named_parameters())
    real = Tied()
    tensors = {**dict(real.named_parameters()), **dict(real.named_buffers())}
    with filled(places_of(module), tensors):
        outputs = module(torch.randn(3, 4))
    outputs.sum().backward()
    assert real.second.weight.grad is not None
    with pytest.raises(RuntimeError), filled(places_of(module), tensors):
        module(torch.randn(3, 5))
    assert all(module.get_parameter(name) is parameter for name, parameter in before.items())
