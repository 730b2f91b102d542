"""Batch-norm recalibration against its definition."""

import pytest
import torch
from torch import nn

from supernet import recalibrate


def test_statistics_are_sample_weighted_means_of_biased_batch_statistics():
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randn(n, 4, 5, 5, generator=generator) * 2 + 1 for n in (8, 8, 3)]
    layer = nn.BatchNorm2d(4)
    recalibrate(layer, batches)
    weights = torch.tensor([8.0, 8.0, 3.0]) / 19
    means = torch.stack([b.mean(dim=(0, 2, 3)) for b in batches])
    variances = torch.stack([b.var(dim=(0, 2, 3), correction=0) for b in batches])
    torch.testing.assert_close(layer.running_mean, weights @ means)
    torch.testing.assert_close(layer.running_var, weights @ variances)


def test_later_layers_see_inputs_normalised_with_the_batch():
    batch = torch.randn(16, 3, 6, 6, generator=torch.Generator().manual_seed(2)) * 3
    model = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    model[0].running_mean.fill_(100.0)
    recalibrate(model, [batch])
    torch.testing.assert_close(model[1].running_mean, torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(model[1].running_var, torch.ones(3), atol=1e-3, rtol=0)


def test_everything_else_stays_as_it_was(mobilenetv3):
    model = mobilenetv3.extract(mobilenetv3.smallest)
    model.train()
    momenta = [m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    recalibrate(model, (torch.randn(8, 1, 16, 16) for _ in range(2)))
    assert not any(module.training for module in model.modules())
    assert momenta == [m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, before[name], rtol=0, atol=0)
        assert parameter.grad is None


def test_order_of_equal_batches_does_not_matter(mobilenetv3):
    batches = list(torch.randn(4, 8, 1, 16, 16, generator=torch.Generator().manual_seed(0)))
    one, other = (recalibrate(mobilenetv3.extract(mobilenetv3.largest), b) for b in (batches, batches[::-1]))
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)


def test_no_batches_is_an_error_and_no_batch_norm_is_not(mobilenetv3):
    for single in (torch.zeros(4, 1, 16, 16), {"x": torch.zeros(4, 1, 16, 16)}):
        with pytest.raises(TypeError, match=r"must be a list of batches, .*recalibrate\(model, \[batch\]\)"):
            recalibrate(mobilenetv3.extract(mobilenetv3.smallest), single)
    with pytest.raises(ValueError, match="needs at least one batch"):
        recalibrate(mobilenetv3.extract(mobilenetv3.smallest), [])
    recalibrate(nn.Linear(2, 2), [])


@pytest.mark.parametrize("offset", [0.0, 3.0, 300.0])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_variances_are_exact_however_far_the_mean_is_from_zero(offset, layout):
    scale = torch.tensor([1.0, 0.01, 20.0]).reshape(3, 1, 1)
    batch = torch.randn(8, 3, 40, 40, generator=torch.Generator().manual_seed(3)) * scale + offset
    layer = nn.BatchNorm2d(3)
    recalibrate(layer, [batch.contiguous(memory_format=layout)])
    exact = batch.double()
    torch.testing.assert_close(layer.running_mean.double(), exact.mean(dim=(0, 2, 3)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.running_var.double(), exact.var(dim=(0, 2, 3), correction=0), rtol=1e-4, atol=0)


def test_a_constant_channel_has_no_variance():
    layer = nn.BatchNorm2d(2)
    recalibrate(layer, [torch.full((4, 2, 5, 5), 3.0)])
    torch.testing.assert_close(layer.running_var, torch.zeros(2), rtol=0, atol=1e-6)
    assert (layer.running_var >= 0).all()
