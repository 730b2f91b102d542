"""Latencies that others measured: tables of layers, CSV files of whole networks, and the mistakes in them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.stats import spearmanr
from torch import nn

import supernet
from hardware import Device, DeviceError, TableError, import_latency, load_latency, measure
from supernet import Choice, SearchSpace, SuperNetwork
from supernet.families.mobilenetv3 import ElasticMobileNetV3, Stage
from supernet.families.proxyless import ElasticProxylessNAS

MEASUREMENTS = Path(__file__).parents[2].parent / "shared" / "measurements"
PHONE = Device("phone", "imported")
needs_measurements = pytest.mark.skipif(
    not MEASUREMENTS.is_dir(), reason="the published measurements (../shared/measurements) are not beside this checkout"
)

STAGES = [Stage(8, 2, "re"), Stage(16, 2, "hs", True)]
SETTINGS = {"stem_width": 8, "depths": (1, 2), "kernel_sizes": (3, 5), "expand_ratios": (3, 6), "num_classes": 5}


@pytest.fixture(scope="module")
def net():
    return ElasticMobileNetV3(STAGES, head_widths=(24, 16), resolutions=(16, 32, 48, 64), **SETTINGS)


@pytest.fixture(scope="module")
def proxyless():
    return ElasticProxylessNAS(STAGES[:1], head_width=24, resolutions=(16, 32), **SETTINGS)


def layers(net, size, pool=200):
    """All entries of a table of layers for an image size, with latencies that grow with the size."""
    rng = np.random.default_rng(size)
    architectures = [{**a, "r": size} for a in [net.smallest, net.largest, *net.space.sample(pool, 0)]]
    names = {name for a in architectures for block in net.published_blocks(a).values() for name in block}
    return {
        name: {"count": 50, "mean": float(size**2 * rng.uniform(1e-4, 2e-4)), "std": 0.01} for name in sorted(names)
    }


@pytest.fixture
def folder(net, tmp_path):
    path = tmp_path / "phone"
    path.mkdir()
    for size in (32, 64):
        (path / f"{size}_lookup_table.yaml").write_text(yaml.safe_dump(layers(net, size)))
    return path


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def additive_ms(net, architectures):
    return 1.0 + net.costs(architectures)["macs"] / 1e5


# --- tables of layers ---


def test_latency_is_the_sum_of_the_layers(net, folder):
    table = import_latency(folder, net, PHONE)
    for size in (32, 64):
        architectures = [net.space.validate({**a, "r": size}) for a in net.space.sample(30, 1)]
        entries = layers(net, size)
        expected = [
            sum(entries[name]["mean"] for block in net.published_blocks(a).values() for name in block)
            for a in architectures
        ]
        np.testing.assert_allclose(table.latency(architectures), expected)


def test_sizes_in_between_are_interpolated_and_beyond_unknown(net, folder):
    table = import_latency(folder, net, PHONE)
    largest = [{**net.largest, "r": size} for size in (16, 32, 48, 64)]
    beyond, small, between, large = table.latency([net.space.validate(a) for a in largest])
    assert np.isnan(beyond)
    assert between == pytest.approx(small + (large - small) * (48**2 - 32**2) / (64**2 - 32**2))
    assert table.provenance["image_sizes"] == [32, 64]


def test_a_table_of_layers_is_kept_like_any_other(net, folder, tmp_path):
    table = import_latency(folder, net, PHONE)
    table.save(tmp_path / "table.json")
    again = load_latency(tmp_path / "table.json")
    architectures = net.space.sample(40, 2)
    np.testing.assert_array_equal(again.latency(architectures), table.latency(architectures))
    assert again.scope == table.scope
    assert again.device == PHONE
    assert again.provenance["source"] == "phone"


def test_numbers_that_several_layers_share_may_be_merged(net, folder):
    architectures = net.space.sample(20, 5)
    plain = import_latency(folder, net, PHONE).latency(architectures)
    for file in folder.iterdir():
        lines = ["shared: &first {count: 50, std: 0.01, mean: 7}"]
        for name, entry in yaml.safe_load(file.read_text()).items():
            lines.append(f"{json.dumps(name)}: {{<<: [*first, {{std: 9}}], mean: {entry['mean']!r}}}")
        file.write_text("\n".join(lines))
    np.testing.assert_array_equal(import_latency(folder, net, PHONE).latency(architectures), plain)


def test_proxyless_tables_name_the_expansion_ratio(proxyless, tmp_path):
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(layers(proxyless, 32, pool=30)))
    table = import_latency(tmp_path / "t.yaml", proxyless, PHONE)
    assert np.isfinite(table.latency([proxyless.largest])).all()
    assert any("expand:6-kernel:5-stride:2-idskip:0" in key and "se:" not in key for key in table.keys)


@pytest.mark.parametrize(
    ("line", "replacement", "message"),
    [
        (2, "  mean: quick", r"32_lookup_table.yaml, line 3, column 9: mean must be a number.*'quick'"),
        (2, "  mean: -1", r"line 3, column 9: mean must be a number"),
        (2, "  mean: 0", r"line 3, column 9: mean must be above 0 ms"),
        (2, "  median: 1", r"line 2, column 3: AvgPool2D-input:\S+ has no mean"),
        (2, "  <<: [3]", r"line 3, column 8: only mappings can be merged"),
        (4, "<<:", "line 5, column 1: only the numbers of a layer can be merged"),
        (2, "  mean: [1", r"is not YAML: .*line 4"),
        (2, "  mean: [1]", r"line 3, column 9: mean must be a number"),
        (4, "? [a, b]\n:", "line 5, column 3: the name of a layer must be a text"),
        (4, "AvgPool2D-input:2x2x24-output:1x1x24:", "is in line 1 already"),
    ],
)
def test_mistakes_in_tables_name_their_place(net, folder, line, replacement, message):
    file = folder / "32_lookup_table.yaml"
    lines = file.read_text().splitlines()
    lines[0] = "AvgPool2D-input:2x2x24-output:1x1x24:"
    lines[line] = replacement
    file.write_text("\n".join(lines))
    with pytest.raises(TableError, match=message):
        import_latency(folder, net, PHONE)


def test_tables_of_something_else_are_refused(net, proxyless, folder, tmp_path):
    with pytest.raises(TableError, match="is not a table of proxylessnas: it lacks the layer expanded_conv-"):
        import_latency(folder, proxyless, PHONE)
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "other.yaml").write_text("a: {mean: 1}\n")
    (tmp_path / "empty").mkdir()
    for name, message in [
        ("list.yaml", "it holds no mapping"),
        ("other.yaml", "it has no entry Conv-input"),
        ("empty", "no .yaml files"),
        ("none.yaml", "cannot read"),
        ("table.txt", "cannot tell what this is"),
    ]:
        with pytest.raises(TableError, match=message):
            import_latency(tmp_path / name, net, PHONE)


# --- CSV files ---


def test_architectures_as_json_become_a_predictor(net, tmp_path):
    architectures = net.space.sample(120, 0)
    latencies = additive_ms(net, architectures)
    rows = [(a.to_json(), ms, "quiet") for a, ms in zip(architectures, latencies, strict=True)]
    path = write_csv(tmp_path / "phone.csv", ("architecture", "latency_ms", "remark"), rows)
    model = import_latency(path, net, PHONE)
    unseen = net.space.sample(300, 1)
    truth = additive_ms(net, unseen)
    assert np.mean(np.abs(model.latency(unseen) / truth - 1)) < 0.05
    assert spearmanr(model.latency(unseen), truth).statistic > 0.99
    assert model.error["n_architectures"] == 120
    assert model.error["mape_percent"] == pytest.approx(100 * np.mean(np.abs(model.latency(unseen) / truth - 1)), abs=4)


def test_columns_of_genes_and_one_of_several_latencies(net, tmp_path):
    architectures = net.space.sample(60, 3)
    latencies = additive_ms(net, architectures)
    rows = [
        ("".join(map(str, a["ks"])), json.dumps(a["e"]), "".join(map(str, a["d"])), a["r"], ms, 2 * ms)
        for a, ms in zip(architectures, latencies, strict=True)
    ]
    rows[5] = (*rows[5][:4], "", rows[5][5])
    path = write_csv(tmp_path / "gpus.csv", ("ks", "e", "d", "r", "small", "large"), rows)
    small, large = (import_latency(path, net, PHONE, column=name) for name in ("small", "large"))
    assert (small.error["n_architectures"], large.error["n_architectures"]) == (59, 60)
    np.testing.assert_allclose(large.latency(architectures) / small.latency(architectures), 2.0, rtol=0.05)
    assert small.scope != large.scope
    with pytest.raises(TableError, match=r"2 columns that may be latencies: give column=.*small, large"):
        import_latency(path, net, PHONE)
    with pytest.raises(TableError, match="has no column 'medium'"):
        import_latency(path, net, PHONE, column="medium")


def test_what_a_file_does_not_tell_can_be_given(net, tmp_path):
    architectures = [net.space.validate({**a, "r": 48}) for a in net.space.sample(40, 4)]
    rows = [("".join(map(str, (*a["ks"], *a["e"], *a["d"]))),) for a in architectures]
    rows = [(row[0][:4], row[0][4:8], row[0][8:], 1.0 + i) for i, row in enumerate(rows)]
    path = write_csv(tmp_path / "phone.csv", ("ks", "e", "d", "latency"), rows)
    assert import_latency(path, net, PHONE, fixed={"r": 48}).latency(architectures).shape == (40,)
    with pytest.raises(TableError, match="line 2: .*r"):
        import_latency(path, net, PHONE)


def test_measurements_of_a_disturbed_hour_are_set_aside(net, tmp_path):
    architectures = net.space.sample(150, 5)
    latencies = additive_ms(net, architectures) * np.random.default_rng(0).normal(1, 0.01, 150)
    latencies[20:45] *= 1.5
    rows = [(a.to_json(), ms) for a, ms in zip(architectures, latencies, strict=True)]
    model = import_latency(write_csv(tmp_path / "phone.csv", ("architecture", "ms"), rows), net, PHONE)
    unseen = net.space.sample(200, 6)
    assert model.error["n_set_aside"] == pytest.approx(25, abs=8)
    assert np.mean(np.abs(model.latency(unseen) / additive_ms(net, unseen) - 1)) < 0.05


def test_of_very_many_measurements_some_are_kept(net, tmp_path, monkeypatch):
    monkeypatch.setattr("hardware.predicted.MOST_ROWS", 50)
    architectures = net.space.sample(400, 5)
    latencies = additive_ms(net, architectures)
    rows = [(a.to_json(), ms) for a, ms in zip(architectures, latencies, strict=True)]
    model = import_latency(write_csv(tmp_path / "phone.csv", ("architecture", "ms"), rows), net, PHONE)
    assert (len(model.latencies_ms), model.provenance["n_measurements"]) == (50, 400)
    assert spearmanr(model.latencies_ms, additive_ms(net, net.space.decode(model.rows.astype(int)))).statistic > 0.999
    assert spearmanr(model.latency(architectures), latencies).statistic > 0.97


def test_predictions_are_where_the_relative_error_is_least(net, tmp_path):
    """Measurements are slower than undisturbed ones by any amount: a mean is too slow for most of them."""
    architectures = net.space.sample(300, 5)
    measured = additive_ms(net, architectures) * np.exp(np.random.default_rng(0).exponential(0.2, 300))
    rows = [(a.to_json(), ms) for a, ms in zip(architectures[:150], measured, strict=False)]
    model = import_latency(write_csv(tmp_path / "phone.csv", ("architecture", "ms"), rows), net, PHONE)
    ratio = model.latency(architectures[150:]) / measured[150:]
    error, unscaled, *others = (
        100 * np.abs(c * ratio - 1).mean() for c in (1, 1 / model.scale, *np.arange(0.8, 1.2, 0.01))
    )
    assert 0.8 < model.scale < 0.99
    assert error < min(unscaled, 1.03 * min(others))
    assert model.error["mape_percent"] == pytest.approx(error, rel=0.25)


def test_a_predictor_is_kept_and_read_again(net, tmp_path):
    architectures = net.space.sample(50, 7)
    rows = [(a.to_json(), ms) for a, ms in zip(architectures, additive_ms(net, architectures), strict=True)]
    model = import_latency(write_csv(tmp_path / "phone.csv", ("architecture", "ms"), rows), net, PHONE)
    model.save(tmp_path / "phone.json")
    again = load_latency(tmp_path / "phone.json")
    np.testing.assert_array_equal(again.latency(architectures), model.latency(architectures))
    assert (again.scope, again.error, again.provenance) == (model.scope, model.error, model.provenance)
    assert again.space.fingerprint == net.space.fingerprint
    assert again.latency([]).shape == (0,)
    rows = np.array(model.rows, dtype=int)
    for mistake, message in [
        ({"latencies_ms": [0.0] * 50}, "no positive latencies"),
        ({"description": "none"}, "unknown description 'none'"),
        ({"rows": None}, "not a complete latency predictor"),
        ({"rows": rows[:, 1:].tolist()}, "rows of 10 numbers, expected 11"),
        ({"rows": (rows + 7).tolist()}, "architectures that are not of its space"),
        ({"set_aside": list(range(50))}, "no measurement to fit to"),
        ({"version": 9}, "of version 9: this package reads version 1"),
        ({"scale": 0}, "scale of predictions"),
        ({"error": None}, "its error is no mapping"),
    ]:
        (tmp_path / "bad.json").write_text(json.dumps(json.loads((tmp_path / "phone.json").read_text()) | mistake))
        with pytest.raises(TableError, match=rf"bad\.json.*{message}"):
            load_latency(tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("{", 1), r"phone\.csv, line 4, column architecture: .* is neither JSON nor a Python literal"),
        (("[1]", 1), "line 4, column architecture: .* is no mapping of choices"),
        (('{"ks": 3, "e": 3, "d": 9, "r": 32}', 1), r"line 4, column architecture: d.*9"),
        ((None, "fast"), "line 4, column ms: 'fast' is not a number above 0"),
        ((None, 0), "line 4, column ms: '0' is not a number above 0"),
        ((None, "inf"), "line 4, column ms"),
        ((None, 1, 2), "line 4: 3 cells, but the header has 2"),
    ],
)
def test_mistakes_in_csv_files_name_their_place(net, tmp_path, row, message):
    rows = [(a.to_json(), 1.0 + i) for i, a in enumerate(net.space.sample(8, 8))]
    rows[2] = (rows[2][0] if row[0] is None else row[0], *row[1:])
    with pytest.raises(TableError, match=message):
        import_latency(write_csv(tmp_path / "phone.csv", ("architecture", "ms"), rows), net, PHONE)


def test_csv_files_of_something_else_are_refused(net, tmp_path):
    for header, rows, message in [
        (("a", "ms"), [(1, 2)] * 8, "must have a column 'architecture', or one for each of ks, e, d, r"),
        (("architecture", "ms"), [(net.smallest.to_json(), 1)] * 3, "holds 3 measurements of ms: give 5 or more"),
        (("a", "a"), [(1, 2)], "a header of different names"),
        (("a", "ms"), [], "a row for each architecture"),
    ]:
        with pytest.raises(TableError, match=message):
            import_latency(write_csv(tmp_path / "phone.csv", header, rows), net, PHONE)


def test_any_super_network_takes_whole_measurements(tmp_path):
    class Tiny(SuperNetwork):
        space = SearchSpace(Choice("width", (8, 16, 32), repeat=3))
        input_shape = (4,)

        def build(self, architecture):
            widths = [4, *architecture["width"]]
            return nn.Sequential(*(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)))

    tiny = Tiny()
    rows = [(a.to_json(), sum(a["width"])) for a in tiny.space.sample(20, 0)]
    model = import_latency(write_csv(tmp_path / "t.csv", ("architecture", "ms"), rows), tiny, PHONE)
    assert model.latency([{"width": [16, 8, 32]}])[0] == pytest.approx(56, rel=0.1)
    (tmp_path / "t.yaml").write_text("a: {mean: 1}\n")
    with pytest.raises(TableError, match="of a Once-for-All family, not of Tiny"):
        import_latency(tmp_path / "t.yaml", tiny, PHONE)


def test_nothing_runs_on_an_imported_device():
    with pytest.raises(DeviceError, match="'phone': it was measured elsewhere"):
        measure(nn.Identity(), torch.zeros(1), PHONE)


# --- published measurements ---


@needs_measurements
def test_the_tables_of_a_phone():
    net = supernet.create("ofa_mobilenetv3", width_mult=1.2, resolutions=(160, 192, 224))
    table = import_latency(MEASUREMENTS / "ofa_note10_table", net, Device("note10", "imported"))
    assert len(table.blocks) == 284 - 5 + 3  # pooling at each size, and two layers of any size, make up the heads
    assert np.isfinite(table.latency(net.space.sample(500, 0))).all()
    fast, slow = table.latency([net.smallest, net.largest])
    assert 9 < fast < 11
    assert 85 < slow < 100


@needs_measurements
@pytest.mark.parametrize(
    ("name", "space", "worst"),
    [
        ("wmt14enfr_cpu_raspberrypi", "wmt14_en_fr", 0.62),
        pytest.param("wmt14ende_cpu_raspberrypi", "wmt14_en_de", 3.4, marks=pytest.mark.slow),
        pytest.param("wmt14ende_cpu_xeon", "wmt14_en_de", 4.8, marks=pytest.mark.slow),
        pytest.param("wmt19ende_gpu_titanxp", "wmt19_en_de", 5.3, marks=pytest.mark.slow),
        pytest.param("iwslt14deen_gpu_titanxp", "iwslt14_de_en", 6.5, marks=pytest.mark.slow),
    ],
)
def test_measured_translation_transformers(name, space, worst):
    net = supernet.create("hat_transformer", space=space, vocab_size=100)
    model = import_latency(MEASUREMENTS / f"hat_{name}.csv", net, Device("pi", "imported"))
    assert model.error["mape_percent"] < worst
    assert model.latency([net.largest])[0] > 2 * model.latency([net.smallest])[0]
    with pytest.raises(TableError, match="of HAT's translation Transformers"):
        import_latency(MEASUREMENTS / f"hat_{name}.csv", supernet.create("digits_mobilenetv3"), PHONE)
    other = supernet.create("hat_transformer", space="multi30k_en_de", vocab_size=100)
    with pytest.raises(TableError, match="is of another super-network: encoder_embed_dim is 512..640 there"):
        import_latency(MEASUREMENTS / f"hat_{name}.csv", other, PHONE)
