import pytest
import torch
from torch import nn

from hardware.backends.scattering import Scattering


def module():
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
    net = nn.Sequential(convolution, nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(5, 4, dtype=torch.bfloat16))
    net.tied = net[3].weight
    return net.eval()


def places(net):
    """Half-open ranges of addresses, one for each weight."""
    return [(p.data_ptr(), p.data_ptr() + p.numel() * p.element_size()) for p in net.parameters()]


def test_copies_have_their_weights_at_different_places():
    net = module()
    taken = sorted(place for copied in [net, *Scattering().copies(net, 4)] for place in places(copied))
    assert all(end <= start for (_, end), (start, _) in zip(taken, taken[1:], strict=False))


def test_copies_are_of_the_same_shapes_types_and_layouts():
    net = module()
    for copied in Scattering().copies(net, 2):
        assert copied.tied is copied[3].weight
        assert not copied.training
        for mine, its in zip(net.parameters(), copied.parameters(), strict=True):
            assert (its.shape, its.dtype, its.stride()) == (mine.shape, mine.dtype, mine.stride())
            assert torch.isfinite(its).all()
            assert its.float().std() > 0
        out = copied[1](copied[0](torch.ones(1, 3, 3, 3)))
        assert torch.isfinite(out).all()


def test_memory_does_not_grow_with_the_number_of_modules():
    scattering = Scattering()
    large, small = (scattering.copies(nn.Linear(n, n), 3) for n in (64, 32))
    memory = large[0].weight.untyped_storage()
    assert all(copied.weight.untyped_storage().data_ptr() == memory.data_ptr() for copied in [*large, *small])
    assert memory.nbytes() == pytest.approx(3 * (64 * 64 + 64) * 4)


def test_a_module_is_left_as_it_is():
    net = module()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    Scattering().copies(net, 2)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_module_without_weights():
    assert [type(copied) for copied in Scattering().copies(nn.ReLU(), 2)] == [nn.ReLU, nn.ReLU]
