"""Blocks of networks that are called with keywords, and more than once, within one inference."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from supernet import Choice, SearchSpace, SuperNetwork
from supernet.blocks import count_macs

N_STEPS = 3


class Step(nn.Module):
    """Attends to what came before; the memory is given by keyword."""

    def __init__(self, width, inner):
        super().__init__()
        self.query, self.out = nn.Linear(width, inner), nn.Linear(inner, width)
        self.key = nn.Linear(width, inner)

    def forward(self, x, *, memory, scale=1.0):
        weights = (self.query(x) * scale) @ self.key(memory).transpose(1, 2)
        return x + functional.relu(self.out(weights.softmax(-1) @ self.key(memory)))


class Decoder(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.encode = nn.Linear(4, width)
        self.layers = nn.ModuleList(Step(width, i) for i in inner)

    def forward(self, source):
        x = memory = self.encode(source)
        for layer in self.layers:
            x = layer(x, memory=memory, scale=0.5)
        return x


class Repeated(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, source):
        memory = self.model.encode(source)
        for _ in range(N_STEPS):
            x = memory[:, -1:]
            for layer in self.model.layers:
                x = layer(x, memory=memory, scale=0.5)
            memory = torch.cat([memory, x], dim=1)
        return memory


class ToyTranslation(SuperNetwork):
    space = SearchSpace(Choice("inner", (4, 8), repeat=2))
    input_shape = (5, 4)

    def build(self, architecture):
        return Decoder(6, architecture["inner"])

    def inference(self, model, architecture):
        return Repeated(model)


@pytest.fixture
def net():
    return ToyTranslation().eval()


def test_each_block_of_an_inference_does_the_work_of_all_its_calls(net):
    blocks = [block for block in net.inference_map.cover() if "layers" in block.slot]
    uses = dict(net.inference_map.uses(blocks, batch_size=2))
    assert len(uses) == 2  # both layers have the same two structures and inputs
    for block, use in uses.items():
        assert [call.kwargs["memory"].shape[1] for call in use.calls] == [5, 6, 7]
        outputs = use.module(*use.inputs)
        assert len(outputs) == N_STEPS
        layer = use.modules[0]
        for output, call in zip(outputs, use.calls, strict=True):
            torch.testing.assert_close(output, layer(*call.args, **call.kwargs), rtol=0, atol=0)
        inner = block.architecture["inner"][int(block.slot[-1])]
        # per call: query and output on one position, key of the memory (twice), two products with the memory
        assert block.macs == sum(2 * 6 * inner + 2 * n * 6 * inner + 2 * n * inner for n in (5, 6, 7))


def test_costs_are_those_of_one_pass_of_the_model(net):
    (macs,) = net.costs([net.largest])["macs"]
    layer = 2 * 5 * 6 * 8 + 2 * 5 * 6 * 8 + 2 * 5 * 5 * 8
    assert macs == 5 * 4 * 6 + 2 * layer
    assert net.costs([net.largest])["params"] == sum(p.numel() for p in net.shared.parameters())


def test_new_inputs_flow_through_a_replayed_block(net):
    block = next(block for block in net.inference_map.cover() if "layers" in block.slot)
    ((_, use),) = net.inference_map.uses([block])
    again = use.module(*(torch.zeros_like(tensor) for tensor in use.inputs))
    for output, call in zip(again, use.calls, strict=True):
        zeros = torch.zeros_like(call.args[0])
        expected = use.modules[0](zeros, memory=torch.zeros_like(call.kwargs["memory"]), scale=0.5)
        torch.testing.assert_close(output, expected)


def test_a_block_called_with_positional_tensors_once_is_the_module_itself(net):
    block = next(block for block in net.inference_map.cover() if block.slot == "encode")
    ((_, use),) = net.inference_map.uses([block])
    assert use.module is use.modules[0]


@pytest.mark.parametrize("shape", [(7,), (2, 7), (2, 3, 5, 7)])
def test_linear_layers_count_on_the_meta_device_as_elsewhere(shape):
    model = nn.Sequential(nn.Linear(7, 4), nn.ReLU(), nn.Linear(4, 3, bias=False))
    n_rows = int(np.prod(shape[:-1]))
    assert count_macs(model, (torch.zeros(shape),)) == n_rows * (7 * 4 + 4 * 3)
    assert count_macs(model.to("meta"), (torch.zeros(shape, device="meta"),)) == n_rows * (7 * 4 + 4 * 3)
