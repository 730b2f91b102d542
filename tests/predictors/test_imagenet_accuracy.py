"""Quality on published measurements, through the benchmark's own functions."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CSV = ROOT.parent / "shared" / "measurements" / "ofa_mbv3_imagenet_top1.csv"
needs_measurements = pytest.mark.skipif(
    not CSV.is_file(), reason="the published measurements (../shared/measurements) are not beside this checkout"
)


@pytest.fixture(scope="module")
def benchmark():
    path = ROOT / "benchmarks" / "predictors" / "accuracy.py"
    spec = importlib.util.spec_from_file_location("predictors_accuracy_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(path.parent)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured(benchmark):
    return benchmark.load(CSV)


@needs_measurements
def test_inactive_blocks_are_zero(measured):
    X = measured.masked
    assert X.shape == measured.raw.shape == (len(measured.top1), 135)
    kernels, expansions, depths = X[:, :60], X[:, 60:120], X[:, 120:]
    n_active = depths.reshape(-1, 5, 3) @ [2, 3, 4]
    for blocks in (kernels, expansions):
        np.testing.assert_array_equal(blocks.reshape(-1, 5, 12).sum(axis=2), n_active)


@needs_measurements
def test_no_network_is_in_training_and_test(benchmark, measured):
    X = measured.masked
    train, test = benchmark.split(X, 100, seed=0)
    networks = {row.tobytes() for row in X[train]}
    assert len(networks) == len(train) == 100
    assert networks.isdisjoint(row.tobytes() for row in X[test])
    assert len(networks) + len({row.tobytes() for row in X[test]}) == len({row.tobytes() for row in X})


@needs_measurements
def test_auto_predicts_imagenet_accuracy_from_100_measurements(benchmark, measured):
    results = [benchmark.evaluate("auto", measured, n=100, seed=seed) for seed in range(5)]
    assert np.median([r.mape for r in results]) <= 0.13
    assert np.median([r.spearman for r in results]) >= 0.994
    assert 0.85 <= np.median([r.coverage for r in results]) <= 0.95


@needs_measurements
def test_costs_help_where_samples_are_few(benchmark, measured):
    names = ("auto", "auto+costs", "peer: svr")
    mape = [np.median([benchmark.evaluate(name, measured, 20, seed).mape for seed in range(3)]) for name in names]
    assert mape[1] < 0.85 * mape[0] < 0.85 * mape[2]


@needs_measurements
def test_the_table_is_printed(benchmark, capsys):
    benchmark.main([str(CSV), "--sizes", "10", "20", "--draws", "2", "--methods", "ridge", "peer: dynast"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["method", "n", "MAPE", "%"]
    assert [line.split()[:2] for line in lines[1:3]] == [["ridge", "10"], ["ridge", "20"]]
    assert all(
        line.startswith("peer: dynast") and line.split()[-2] == "-" for line in lines[3:5]
    )  # it gives no uncertainty
