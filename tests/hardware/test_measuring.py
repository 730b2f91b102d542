"""Devices, export and measuring."""

import json
import math
import os
import subprocess
import sys
import time

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import hardware
from hardware import Device, DeviceError, Measurement, Protocol, measure, processor, timing
from hardware.backends import Runner, available
from hardware.device import plain_name
from hardware.export import onnx_bytes, to_onnx
from hardware.measuring import measure_interleaved
from hardware.timing import Difference, waited_ns
from supernet.parts import single

from .conftest import Steady

QUICK = Protocol(rounds=5, most_rounds=8, sample_ms=0.5)


def here(backend, **settings):
    """A device of this machine; skips the test where the backend or what it needs is not here."""
    device = Device("here", backend, **settings)
    try:
        device.require_here()
    except DeviceError as error:
        pytest.skip(str(error))
    return device


BACKENDS = [pytest.param(b, marks=[pytest.mark.slow] if "compile" in b else []) for b in available()]


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_measures_a_model(backend):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval()
    found = measure(model, torch.randn(2, 3, 16, 16), here(backend, batch_size=2), QUICK)
    low, first, third, high = found.quantiles_ms
    assert 0 < low <= first <= third <= high
    assert 0 < found.median_ms <= third  # of the undisturbed samples, which may all lie below the lowest tenth of all
    assert found.repeats >= QUICK.rounds
    assert found.spread == pytest.approx((third - first) / found.median_ms)


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_work_takes_longer(backend):
    inputs, device = torch.randn(1, 16, 48, 48), here(backend)
    quickest = {8: math.inf, 256: math.inf}  # 32 times the work
    for width in [8, 256] * 3:  # what runs beside the tests slows some measurements down, and never makes one quicker
        model = nn.Conv2d(16, width, 3, padding=1).eval()
        quickest[width] = min(quickest[width], measure(model, inputs, device, QUICK).quantiles_ms[0])
    assert quickest[256] > 2 * quickest[8]


class First(nn.Module):
    """Needs only the first of what it is given; without anything, a weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, *inputs):
        return (inputs[0] if inputs else self.weight) * 2


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
@pytest.mark.parametrize("n_inputs", [0, 1, 2])
def test_blocks_may_ignore_what_they_are_given_or_be_given_nothing(backend, n_inputs):
    inputs = tuple(torch.ones(1, 3) for _ in range(n_inputs))
    assert measure(First(), inputs, here(backend), QUICK).median_ms > 0


class Second(nn.Module):
    """Needs only the second of what it is given, which it calls by a name."""

    def forward(self, first, second):
        return second * 2


ON_CPU = ["torch", "onnxruntime", "openvino"]


@pytest.mark.parametrize("backend", ON_CPU)
def test_inputs_may_be_named_unused_transposed_and_learnt(backend):
    device = here(backend, batch_size=2)
    inputs = {"first": torch.ones(2, 5), "second": torch.ones(3, 2).t().requires_grad_()}
    assert measure(Second(), inputs, device, QUICK).median_ms > 0
    assert measure(Second(), inputs.values(), device, QUICK).median_ms > 0


@pytest.mark.parametrize("backend", ON_CPU)
def test_models_of_double_precision_are_measured_in_that_of_the_device(backend):
    model = nn.Linear(8, 4).double()
    assert measure(model, torch.ones(1, 8, dtype=torch.double), here(backend), QUICK).median_ms > 0
    assert model.weight.dtype == torch.double


@pytest.mark.parametrize("backend", ON_CPU)
def test_a_model_in_training_mode_is_measured_in_eval_mode_and_left_as_it_was(backend):
    seen = []

    class Watched(nn.Dropout):
        def forward(self, x):
            seen.append(self.training)
            return super().forward(x)

    model = nn.Sequential(nn.Linear(8, 4), Watched(), nn.BatchNorm1d(4).eval()).train()
    model[2].eval()
    measure(model, torch.ones(1, 8), here(backend), QUICK)
    assert seen
    assert not any(seen)
    assert [module.training for module in model] == [True, True, False]


@pytest.mark.parametrize("measured", [measure, hardware.measure_memory, hardware.measure_energy])
def test_inputs_of_another_batch_size_are_refused(measured):
    device = Device("here", "torch", batch_size=2)
    expected = r"batch size is 2, the example inputs have shapes \(4, 8\): give .* 2 samples, or .*batch_size=4"
    with pytest.raises(DeviceError, match=expected):
        measured(nn.Linear(8, 4), torch.ones(4, 8), device)
    with pytest.raises(DeviceError, match="must be tensors, got a str"):
        measured(nn.Linear(8, 4), ("text",), device)


@pytest.mark.parametrize("measured", [measure, hardware.measure_memory])
def test_thread_count_of_the_process_is_left_as_it_was(measured):
    before = torch.get_num_threads()
    measured(nn.Linear(4, 4).eval(), torch.randn(1, 4), Device("two", "torch", threads=2))
    assert torch.get_num_threads() == before


class Clock:
    """Time that passes only as tests say, also for what the thread waits."""

    def __init__(self):
        self.ms = self.waited_ms = 0.0

    def spend(self, ms, waiting=0.0):
        """Works so long, after having waited for a processor."""
        self.ms += ms + waiting
        self.waited_ms += waiting

    def perf_counter_ns(self):
        return round(self.ms * 1e6)


@pytest.fixture
def clock(monkeypatch):
    """What measurements take for the time."""
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    monkeypatch.setattr(timing, "waited_ns", lambda: round(clock.waited_ms * 1e6))
    return clock


def test_the_median_is_of_single_inferences_in_milliseconds(clock):
    (found,) = measure_interleaved([lambda: clock.spend(0.2)], Protocol(rounds=3, most_rounds=3, sample_ms=0.5))
    assert found.median_ms == pytest.approx(0.2)
    assert found.repeats == 3 * 3  # runs of half a millisecond
    (found,) = measure_interleaved([Runner(lambda: clock.spend(8), inferences=4)], Protocol(rounds=3, most_rounds=3))
    assert found.median_ms == pytest.approx(2)


def test_moments_in_which_the_machine_is_slow_do_not_count(clock):
    calls = iter(range(10_000))
    (found,) = measure_interleaved([lambda: clock.spend(2 if next(calls) % 3 else 10)], Protocol(rounds=12))
    assert found.median_ms == pytest.approx(2)
    assert found.quantiles_ms[3] == pytest.approx(10)  # the spread of all samples is still told


def test_models_that_differ_are_measured_in_turns():
    order = []
    runners = [lambda: order.append("a"), lambda: order.append("b")]
    measure_interleaved(runners, Protocol(rounds=2, most_rounds=2, sample_ms=1e-6))
    last = "".join(order)[-4:]
    assert {"".join(sorted(last[:2])), "".join(sorted(last[2:]))} == {"ab"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"backend": "onnx"}, "unknown backend 'onnx': available are .*onnxruntime, .*torch"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        *[
            ({"name": name}, "must be a plain word")
            for name in ("a/b", "..", "", "a b", "a\n", "-o", "gpu:0", "a@b", 4090)
        ],
        ({"precision": "fp8"}, "backend 'onnxruntime' has precision fp32; got 'fp8'"),
        ({"backend": "cuda_graphs", "precision": "int8"}, "has precision fp32, tf32, bf16, fp16; got 'int8'"),
        ({"cores": [0, 0]}, "cores must be different numbers"),
        ({"cores": [-1]}, "cores must be different numbers"),
        ({"cores": [0], "threads": 2}, "2 threads need as many cores"),
    ],
)
def test_mistakes_in_a_device_are_named(settings, expected):
    with pytest.raises(DeviceError, match=expected):
        Device(**({"name": "here"} | settings))


@given(st.text(max_size=150))
def test_any_text_can_be_made_a_name(text):
    name = plain_name(text)
    assert Device(name).name == name
    assert plain_name(name) == name


def test_an_unknown_backend_is_named():
    with pytest.raises(ValueError, match="unknown backend 'onnx': available are .*onnxruntime"):
        hardware.backends.create("onnx")


def test_a_device_with_more_cores_than_this_machine_can_be_described_but_not_measured():
    device = Device("there", "torch", threads=10_000)
    with pytest.raises(DeviceError, match=r"threads must lie in 1\.\.\d+ on this machine, got 10000"):
        measure(nn.Linear(4, 4), torch.randn(1, 4), device, QUICK)


def test_a_device_describes_itself():
    device = Device("here", "torch", threads=1, batch_size=4, precision="bf16", cores=[1, 0], machine="aarch64")
    assert json.loads(json.dumps(device.describe())) == device.describe()
    assert Device(**device.describe()) == device


def test_what_this_machine_is_not_is_said_before_anything_is_measured():
    settings = [
        ({"machine": "pdp11"}, "has a processor of kind pdp11, this machine's is .*measure its latency table there"),
        ({"cores": [100_000]}, "core 100000 is not one that this process may use"),
    ]
    if not torch.cuda.is_available():
        settings.append(({"backend": "cuda_graphs"}, r"needs a CUDA device; PyTorch \(built .*\) sees none"))
    if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
        settings.append(({"backend": "onnxruntime_tensorrt"}, "needs ONNX Runtime's TensorrtExecutionProvider"))
    for changes, expected in settings:
        with pytest.raises(DeviceError, match=expected):
            measure(nn.Linear(4, 4), torch.randn(1, 4), Device(**({"name": "there"} | changes)), QUICK)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match=r"backend 'openvino' needs openvino: pip install 'supernet-search\[openvino"):
        Device("here", "openvino").require_here()


def test_a_precision_without_instructions_is_refused(monkeypatch):
    monkeypatch.setattr(processor, "_flags", lambda: {"avx2"})
    with pytest.raises(DeviceError, match=r"does not compute in bf16 \(it would need one of: .*avx512_bf16"):
        Device("here", "torch", precision="bf16").require_here()


def test_a_processor_without_a_name_has_that_of_its_board(monkeypatch):
    files = {"/proc/cpuinfo": ["processor : 0", "Features : fp asimd"], "/proc/device-tree/model": ["Raspberry Pi 4\0"]}
    monkeypatch.setattr(processor, "_lines", lambda path: files[path])
    assert processor.cpu_model() == "Raspberry Pi 4"


def test_half_precision_leaves_the_model_as_it_is(monkeypatch):
    monkeypatch.setattr(processor, "computes", lambda precision: True)
    model = nn.Sequential(nn.Embedding(10, 16), nn.Linear(16, 4)).eval()
    measure(model, torch.arange(10)[None], Device("here", "torch", precision="bf16"), QUICK)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot keep threads on cores")
def test_threads_stay_on_the_devices_cores_while_it_measures():
    before = os.sched_getaffinity(0)
    core = min(before)
    seen = []

    class Watching(nn.Module):
        def forward(self, x):
            seen.append(os.sched_getaffinity(0))
            return x

    measure(Watching(), torch.zeros(1), Device("here", "torch", cores=[core]), QUICK)
    assert seen[-1] == {core}
    assert os.sched_getaffinity(0) == before


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=60), st.floats(0.001, 1))
def test_a_measurement_is_consistent(samples, width):
    found = Measurement.of(samples, len(samples), width)
    low, high = found.interval_ms
    assert low <= found.median_ms <= high
    assert found.stable == (high - low <= width * found.median_ms)
    assert Measurement.from_description(json.loads(json.dumps(found.describe()))) == found


def test_the_interval_holds_the_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [Measurement.of(rng.normal(1, 0.02, 15), 15, 1).interval_ms for _ in range(400)]
    assert np.mean([low <= 1 <= high for low, high in intervals]) == pytest.approx(0.96, abs=0.03)


def test_measuring_goes_on_until_the_interval_is_narrow_or_says_that_it_is_not(clock):
    rng = np.random.default_rng(0)
    steady, noisy = (lambda: clock.spend(2)), (lambda: clock.spend(rng.uniform(1.0, 1.1)))
    first, second = measure_interleaved([steady, noisy], Protocol(rounds=8, most_rounds=40, width=0.03))
    assert first.stable
    assert first.repeats == 8
    assert second.stable
    assert 8 < second.repeats < 40
    assert not measure_interleaved([noisy], Protocol(rounds=8, most_rounds=9, width=1e-4))[0].stable


def test_what_other_programs_take_of_the_processor_does_not_count(clock):
    rng = np.random.default_rng(0)

    def work():
        clock.spend(rng.uniform(5.0, 5.1), waiting=rng.uniform(0, 50))

    class Accelerated(Runner):
        waits_count = True

    protocol = Protocol(rounds=12, most_rounds=12)
    alone, waiting = measure_interleaved([work, Accelerated(work)], protocol)
    assert alone.quantiles_ms == pytest.approx((5.05,) * 4, abs=0.05)
    assert waiting.quantiles_ms[3] > 20


def test_the_time_that_a_thread_waits_is_the_second_number_of_its_schedule(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "_SCHEDULED", tmp_path / "schedstat")
    assert waited_ns() == 0
    (tmp_path / "schedstat").write_text("111 222 333\n")
    assert waited_ns() == 222


@pytest.mark.skipif(not waited_ns(), reason="the system does not tell how long a thread waits for a processor")
def test_a_thread_beside_a_busy_program_waits():
    (core, *_), before = sorted(os.sched_getaffinity(0)), os.sched_getaffinity(0)
    code = f"import os\nos.sched_setaffinity(0, {{{core}}})\nprint(flush=True)\nwhile True: pass"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        os.sched_setaffinity(0, {core})
        start, already, waited = time.perf_counter_ns(), waited_ns(), 0
        while waited < 20e6 and time.perf_counter_ns() - start < 60e9:  # both share the core: half of the time, or more
            waited = waited_ns() - already
        assert 20e6 <= waited <= time.perf_counter_ns() - start
    finally:
        os.sched_setaffinity(0, before)
        other.kill()
        other.communicate()


def test_too_few_rounds_are_refused():
    with pytest.raises(ValueError, match="rounds must lie in 2"):
        Protocol(rounds=1)


def test_exported_models_compute_the_same_for_any_batch(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Hardswish(), nn.Flatten(), nn.Linear(8 * 36, 4))
    model[1].running_mean.fill_(0.3)
    path = to_onnx(single(model, {"input": torch.randn(1, 3, 8, 8)})["model"], tmp_path / "model.onnx")
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


def test_a_difference_is_what_the_longer_run_has_more():
    difference = Difference(Steady(3.0), Steady(1.0), 4)
    (found,) = measure_interleaved([difference], Protocol(rounds=6))
    assert found.median_ms == pytest.approx(0.5)
    assert found.stable
    assert difference.run_ms() == 4.0
