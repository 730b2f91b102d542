"""Devices, export and measuring."""

import time

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import hardware
from hardware import Device, DeviceError, Protocol, measure
from hardware.backends import available
from hardware.export import onnx_bytes, to_onnx
from hardware.measuring import measure_interleaved

QUICK = Protocol(rounds=5, most_rounds=8, sample_ms=0.5)


def here(backend, **settings):
    """A device of this machine; skips the test where the backend or what it needs is not here."""
    device = Device("here", backend, **settings)
    try:
        device.require_here()
    except DeviceError as error:
        pytest.skip(str(error))
    return device


@pytest.mark.parametrize("backend", available())
def test_every_backend_measures_a_model(backend):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval()
    found = measure(model, torch.randn(2, 3, 16, 16), here(backend, batch_size=2), QUICK)
    low, first, third, high = found.quantiles_ms
    assert 0 < low <= first <= third <= high
    assert low <= found.median_ms <= high
    assert found.repeats >= QUICK.rounds
    assert found.spread == pytest.approx((third - first) / found.median_ms)


@pytest.mark.parametrize("backend", available())
def test_more_work_takes_longer(backend):
    small, large = (nn.Conv2d(16, width, 3, padding=1).eval() for width in (8, 128))
    inputs = torch.randn(1, 16, 48, 48)
    device = here(backend)
    assert measure(large, inputs, device, QUICK).median_ms > 2 * measure(small, inputs, device, QUICK).median_ms


def test_thread_count_of_the_process_is_left_as_it_was():
    before = torch.get_num_threads()
    measure(nn.Linear(4, 4).eval(), torch.randn(1, 4), Device("two", "torch", threads=2), QUICK)
    assert torch.get_num_threads() == before


def test_the_median_is_of_single_inferences_in_milliseconds():
    (found,) = measure_interleaved([lambda: time.sleep(0.002)], Protocol(rounds=3, most_rounds=3))
    assert 2.0 <= found.median_ms < 4.0


def test_moments_in_which_the_machine_is_slow_do_not_count():
    calls = iter(range(10_000))
    (found,) = measure_interleaved([lambda: time.sleep(0.002 if next(calls) % 3 else 0.01)], Protocol(rounds=12))
    assert 2.0 <= found.median_ms < 3.0
    assert found.quantiles_ms[3] >= 10.0  # the spread of all samples is still told


def test_models_that_differ_are_measured_in_turns():
    order = []
    runners = [lambda: order.append("a"), lambda: order.append("b")]
    measure_interleaved(runners, Protocol(rounds=2, most_rounds=2, sample_ms=1e-6))
    after_warm_up = "".join(order)[-4:]
    assert after_warm_up == "abab"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"backend": "onnx"}, "unknown backend 'onnx'; have .*onnxruntime, .*torch"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"name": "a/b"}, "must be a plain word"),
    ],
)
def test_mistakes_in_a_device_are_named(settings, expected):
    with pytest.raises(DeviceError, match=expected):
        Device(**({"name": "here"} | settings))


def test_a_device_with_more_cores_than_this_machine_can_be_described_but_not_measured():
    device = Device("there", "torch", threads=10_000)
    with pytest.raises(DeviceError, match=r"threads must lie in 1\.\.\d+ on this machine, got 10000"):
        measure(nn.Linear(4, 4), torch.randn(1, 4), device, QUICK)


def test_a_device_describes_itself():
    device = Device("here", "torch", threads=1, batch_size=4)
    assert Device(**device.describe()) == device


def test_too_few_rounds_are_refused():
    with pytest.raises(ValueError, match="rounds must lie in 2"):
        Protocol(rounds=1)


def test_exported_models_compute_the_same_for_any_batch(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Hardswish(), nn.Flatten(), nn.Linear(8 * 36, 4))
    model[1].running_mean.fill_(0.3)
    path = to_onnx(model, (torch.randn(1, 3, 8, 8),), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path)
    assert [node.name for node in session.get_inputs()] == ["input"]
    for n in (1, 5):
        inputs = torch.randn(n, 3, 8, 8)
        (output,) = session.run(["output"], {"input": inputs.numpy()})
        np.testing.assert_allclose(output, model(inputs).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_batch_norms_are_folded_into_convolutions():
    import onnx

    graph = onnx.load_from_string(
        onnx_bytes(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), (torch.randn(1, 3, 8, 8),))
    )
    assert [node.op_type for node in graph.graph.node] == ["Conv"]


def test_the_package_names_what_it_offers():
    assert all(hasattr(hardware, name) for name in hardware.__all__)
