"""What is measured on a GPU."""

import pytest
import torch
from torch import nn

import hardware
import supernet
from hardware import Device, LatencyTable, Protocol, deploy

from .test_bundle import run, tiny_network

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_table_of_graphs_tells_whole_networks(precision, tmp_path):
    torch.manual_seed(0)
    net = supernet.create("ofa_mobilenetv3", resolutions=(96,)).eval()
    device = Device("gpu", "cuda_graphs", precision=precision)
    table = LatencyTable.build(net, device, path=tmp_path / "table.json", n_held_out=16, protocol=Protocol(width=0.02))
    assert table.error["mape_percent"] < 4
    assert table.error["spearman"] > 0.9
    whole = hardware.measure(net.extract(net.largest), net.example_inputs(net.largest, 1), device)
    assert table.latency([net.largest])[0] == pytest.approx(whole.median_ms, rel=0.1)


def test_energy_is_of_the_network_alone():
    model, inputs = nn.Linear(8, 8), torch.zeros(1, 8)
    device = Device("gpu", "cuda_graphs")
    assert hardware.measure_energy(model, inputs, device, seconds=0.3) < 20  # filling the cache alone takes as much


@pytest.mark.parametrize(
    ("backend", "precision"), [("cuda_graphs", "fp32"), ("cuda_graphs", "fp16"), ("cuda_compile", "fp32")]
)
def test_a_bundle_runs_as_its_device_does(backend, precision, tmp_path):
    net = tiny_network()
    latency_ms = {}
    for name in ("cuda", backend):
        device = Device("gpu", name, precision=precision)
        bundle = deploy(net, net.largest, device, tmp_path / name)
        code, report, errors = run(bundle, "--repeats", 200, absent={"supernet", "hardware", "search", "predictors"})
        assert code == 0, errors
        assert report["parity"]["ok"]
        latency_ms[name] = report["latency"]["median_ms"]
    assert latency_ms[backend] < 0.7 * latency_ms["cuda"]  # Python does not launch every kernel
