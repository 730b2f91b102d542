"""Training-free proxies: values against small networks worked out by hand, and the promises to callers."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import supernet
from supernet.proxies import PROXIES, Proxy, gradient_norm, synflow, w_pca
from supernet.tasks import digits

from .bert_models import SPACE, classifier, sentences
from .conftest import tiny_vit
from .hat_reference import small_net


class Tokens(nn.Module):
    """Embeddings of token numbers, a layer norm, a head."""

    def __init__(self):
        super().__init__()
        self.embedding, self.norm, self.head = nn.Embedding(3, 2), nn.LayerNorm(2), nn.Linear(2, 1, bias=False)

    def forward(self, ids):
        return {"logits": self.head(self.norm(self.embedding(ids)).sum(dim=1)), "ids": ids}


def linear(weights, bias=None):
    layer = nn.Linear(len(weights[0]), len(weights), bias=bias is not None)
    layer.weight.data = torch.tensor(weights)
    if bias is not None:
        layer.bias.data = torch.tensor(bias)
    return layer


def test_gradient_norm_adds_up_norms_of_parameters():
    model = linear([[1.0, -2.0]], [0.5])
    inputs, targets = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0]])
    # output 1*3 - 2*4 + 0.5 = -4.5; the loss is half its square: by weights -4.5 * (3, 4), by bias -4.5
    score = gradient_norm(model, inputs, targets, lambda out, target: 0.5 * ((out - target) ** 2).sum())
    assert score == pytest.approx(4.5 * 5.0 + 4.5)


def test_gradient_norm_normalises_with_the_batch_and_leaves_the_model_as_it_is():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.9), nn.Linear(4, 2)).eval()
    before = copy.deepcopy(model.state_dict())
    inputs, targets = torch.randn(16, 4), torch.zeros(16, dtype=torch.long)
    score = gradient_norm(model, inputs, targets, nn.functional.cross_entropy)
    far_off = copy.deepcopy(model)
    far_off[1].running_mean += 100.0
    assert gradient_norm(far_off, inputs, targets, nn.functional.cross_entropy) == pytest.approx(score)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_synflow_is_the_flow_along_all_paths():
    model = nn.Sequential(linear([[1.0, -2.0], [3.0, 0.0]]), nn.BatchNorm1d(2), nn.ReLU(), linear([[-1.0, 5.0]]))
    # with absolute weights and ones: hidden (3, 3), output 3 + 15 = 18; every layer carries the whole flow
    assert synflow(model, torch.randn(2, 2)) == pytest.approx(np.log10(2 * 18.0))
    assert synflow(model, torch.full((2, 2), 9.0)) == synflow(model, torch.zeros(2, 2))
    assert synflow(nn.Sequential(linear([[0.0]])), torch.ones(1, 1)) == -np.inf


def test_synflow_of_tokens_keeps_their_numbers():
    model = Tokens()
    model.embedding.weight.data = torch.tensor([[1.0, 1.0], [-2.0, 3.0], [0.0, 0.0]])
    model.head.weight.data = torch.tensor([[1.0, -1.0]])
    # tokens 0 and 1: (1, 1) + (2, 3), so the head gives 3 + 4; embeddings and head carry it both
    assert synflow(model, torch.tensor([[0, 1]])) == pytest.approx(np.log10(2 * 7.0))
    assert synflow(model, torch.tensor([[2, 2]])) == -np.inf


def test_w_pca_counts_components_of_layers_that_widen():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 8))
    n_parameters = sum(p.numel() for p in model.parameters())
    inputs = torch.randn(50, 4)
    # the second layer widens, but its six outputs span the two dimensions of its inputs; the last one is an output
    assert w_pca(model, inputs, share=1 - 1e-9) == n_parameters * 2
    assert w_pca(model, inputs[:1]) == 0.0  # nothing varies


def test_w_pca_takes_the_components_that_explain_the_share():
    model = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), linear([[1.0, 1.0, 1.0]]))
    inputs = torch.tensor([[10.0, 1.0], [10.0, -1.0], [-10.0, 1.0], [-10.0, -1.0]])  # variances 100 to 1
    assert w_pca(model, inputs, share=0.98) == 9 * 1
    assert w_pca(model, inputs, share=0.995) == 9 * 2


def test_w_pca_of_convolutions_looks_at_channels_over_positions():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 1, bias=False), nn.Conv2d(3, 1, 1, bias=False))
    assert w_pca(model, torch.randn(2, 1, 5, 5), share=1 - 1e-9) == 6 * 1  # three multiples of one channel
    narrow = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 1, 1, bias=False))
    assert w_pca(narrow, torch.randn(2, 3, 5, 5), share=1 - 1e-9) == 12 * 3  # none widens: all but the output count
    with pytest.raises(ValueError, match="share must lie between 0 and 1, got 1"):
        w_pca(narrow, torch.randn(2, 3, 5, 5), share=1.0)


@pytest.fixture(scope="module")
def net():
    return supernet.create("digits_mobilenetv3", checkpoint="embedded").eval()


def test_proxies_of_sub_networks_repeat_and_tell_them_apart(net):
    task = digits()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for name in PROXIES:
        proxy = Proxy(net, task, name, batch_size=16)
        small, large, again = proxy([net.smallest, net.largest, net.smallest])
        assert np.isfinite([small, large]).all()
        assert small == again != large
        assert proxy.scope == Proxy(net, task, name, batch_size=16).scope != Proxy(net, task, name).scope
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_an_unknown_proxy_is_refused(net):
    with pytest.raises(ValueError, match="unknown proxy 'grasp': choose one of gradient_norm, synflow, w_pca"):
        Proxy(net, digits(), "grasp")


def families():
    bert = supernet.create("bert", model=classifier("Bert"), **SPACE)
    hat, vit = small_net(), tiny_vit()
    tokens = torch.randint(4, min(hat.words), (3, 6), generator=torch.Generator().manual_seed(0))
    return {"bert": (bert, sentences()), "hat": (hat, (tokens, tokens)), "vit": (vit, None)}


@pytest.mark.parametrize("name", ["bert", "hat", "vit"])
def test_every_family_has_proxies(name):
    net, inputs = families()[name]

    def scores(architecture):
        model = net.extract(architecture)
        given = net.example_inputs(architecture, 4) if inputs is None else inputs
        targets = torch.zeros(1)
        norm = gradient_norm(model, given, targets, lambda out, _: getattr(out, "logits", out).pow(2).mean())
        return [norm, synflow(model, given), w_pca(model, given)]

    small, large = scores(net.smallest), scores(net.largest)
    assert np.isfinite([small, large]).all()
    assert small[0] > 0.0
    assert large[1] > small[1]
    assert large[2] > small[2] > 0.0
