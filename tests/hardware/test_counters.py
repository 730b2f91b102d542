"""Peak memory and energy of inferences."""

import ctypes
import platform

import pytest
import torch
from torch import nn

import hardware.energy
from hardware import Device, DeviceError, measure_energy, measure_memory

MEASURED = platform.system() == "Linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


def model(width, layers):
    first = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*first, *(nn.Conv2d(width, width, 3, padding=1) for _ in range(layers))).eval()


@pytest.mark.skipif(not MEASURED, reason="peak memory is measured on Linux with glibc only")
@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_peak_memory_grows_with_weights_and_with_activations(backend):
    device = Device("here", backend)
    small = measure_memory(model(8, 1), torch.randn(1, 3, 16, 16), device)
    wide, large = model(256, 8), model(32, 2)
    weights = sum(p.numel() * p.element_size() for p in wide.parameters())
    assert 0.9 * weights < measure_memory(wide, torch.randn(1, 3, 16, 16), device) - small < 4 * weights
    activations = 2 * 32 * 256 * 256 * 4  # one layer's input and output
    assert 0.9 * activations < measure_memory(large, torch.randn(1, 3, 256, 256), device) - small < 5 * activations


def test_a_machine_without_a_counter_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware.energy, "POWERCAP", tmp_path / "powercap")
    with pytest.raises(DeviceError, match="shows no energy counter of its processor"):
        measure_energy(model(4, 1), torch.randn(1, 3, 8, 8), Device("here", "torch"))


def test_energy_is_what_the_packages_counted_for_each_inference(tmp_path, monkeypatch):
    for package, zone in (("intel-rapl:0", "package-0"), ("intel-rapl:1", "package-1"), ("intel-rapl:0:0", "core")):
        folder = tmp_path / package
        folder.mkdir()
        (folder / "name").write_text(zone)
        (folder / "max_energy_range_uj").write_text("999999\n")
        (folder / "energy_uj").write_text("999000\n")
    monkeypatch.setattr(hardware.energy, "POWERCAP", tmp_path)

    class Spending(nn.Module):
        """Every inference spends 2 uJ of one package and 1 uJ of the other; the counters wrap."""

        def forward(self, x):
            for package, spent in (("intel-rapl:0", 2), ("intel-rapl:1", 1), ("intel-rapl:0:0", 500)):
                counter = tmp_path / package / "energy_uj"
                counter.write_text(str((int(counter.read_text()) + spent) % 1_000_000))
            return x

    found = measure_energy(Spending(), torch.zeros(1), Device("here", "torch"), seconds=0.02)
    assert found == pytest.approx(0.003)


def test_a_counter_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "intel-rapl:0").mkdir()
    monkeypatch.setattr(hardware.energy, "POWERCAP", tmp_path)
    with pytest.raises(DeviceError, match=r"intel-rapl:0/max_energy_range_uj cannot be read"):
        measure_energy(model(4, 1), torch.randn(1, 3, 8, 8), Device("here", "torch"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_counts_memory_and_energy():
    device, inputs = Device("gpu", "cuda_graphs"), torch.randn(1, 3, 224, 224)
    wide = model(512, 4)
    weights = sum(p.numel() * p.element_size() for p in wide.parameters())
    memory = measure_memory(wide, inputs, device)
    assert memory > weights
    assert measure_memory(wide, inputs, device) == pytest.approx(memory, rel=0.01)  # the first one of a process, too
    assert measure_energy(wide, inputs, device, seconds=0.5) > 0
