"""CSV files of measurements as spreadsheets, pandas and Python write them."""

import csv
import json

import numpy as np
import pytest
from torch import nn

from hardware import TableError, import_latency
from supernet import Choice, SearchSpace, SuperNetwork
from supernet.families.mobilenetv3 import ElasticMobileNetV3

from .test_importing import PHONE, SETTINGS, STAGES, additive_ms, write_csv


@pytest.fixture(scope="module")
def net():
    return ElasticMobileNetV3(STAGES, head_widths=(24, 16), resolutions=(16, 32, 48, 64), **SETTINGS)


class Mixed(SuperNetwork):
    """Choices of texts, truth values, None, fractions and tuples."""

    space = SearchSpace(
        Choice("act", ("relu", "gelu")),
        Choice("gated", (False, True)),
        Choice("limit", (None, 6)),
        Choice("ratio", (0.25, 0.5), 2),
        Choice("kernel", ((1, 3), (3, 3))),
    )

    def build(self, architecture):
        return nn.Identity()


def mixed_ms(architecture):
    return 1.0 + architecture["gated"] + (architecture["act"] == "gelu") + sum(architecture["ratio"])


@pytest.mark.parametrize("written", [json.dumps, str], ids=["JSON", "Python"])
def test_columns_hold_any_value_of_a_choice(tmp_path, written):
    net = Mixed()
    names, architectures = [choice.name for choice in net.space.choices], net.space.sample(40, 0)
    rows = [
        [a[n] if n == "act" else written(list(a[n]) if n == "ratio" else a[n]) for n in names] + [mixed_ms(a)]
        for a in architectures
    ]
    rows[0][2] = rows[0][2] if architectures[0]["limit"] else ""  # as pandas writes None
    model = import_latency(write_csv(tmp_path / "t.csv", [*names, "ms"], rows), net, PHONE)
    np.testing.assert_allclose(model.latency(architectures), [mixed_ms(a) for a in architectures], rtol=0.1)
    rows[3][0] = "tanh"
    with pytest.raises(TableError, match=r"line 5: act: 'tanh' is not one of \('relu', 'gelu'\)"):
        import_latency(write_csv(tmp_path / "t.csv", [*names, "ms"], rows), net, PHONE)


def test_architectures_may_be_written_by_python(net, tmp_path):
    architectures = net.space.sample(30, 0)
    rows = [(dict(a), ms) for a, ms in zip(architectures, additive_ms(net, architectures), strict=True)]
    model = import_latency(write_csv(tmp_path / "t.CSV", ("architecture", "ms"), rows), net, PHONE)
    assert model.error["n_architectures"] == 30


@pytest.mark.parametrize(("delimiter", "decimal"), [(";", ","), (";", "."), ("\t", ","), (",", ".")])
def test_files_of_spreadsheets_are_read(net, tmp_path, delimiter, decimal):
    """With a byte order mark, quotes, and what separates cells and decimals in many countries; measured twice, too."""
    architectures = net.space.sample(30, 0)
    latencies = additive_ms(net, architectures)
    rows = [
        ("".join(map(str, a["ks"])), a["e"][0], json.dumps(a["d"]), a["r"], f"{ms:.6f}".replace(".", decimal))
        for a, ms in zip([*architectures, *architectures[:5]], [*latencies, *latencies[:5]], strict=True)
    ]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("ks", "e", "d", "r", "ms"), *rows])
    model = import_latency(tmp_path / "t.csv", net, PHONE)
    np.testing.assert_allclose(model.latencies_ms, [*latencies, *latencies[:5]], atol=1e-6)
    assert model.error["mape_percent"] < 30
    assert model.error["n_architectures"] == 30


def test_decimal_commas_between_commas_are_named(net, tmp_path):
    rows = [(a.to_json(), "1,5") for a in net.space.sample(8, 8)]
    with pytest.raises(TableError, match="line 2, column ms: '1,5' is not a number above 0"):
        import_latency(write_csv(tmp_path / "t.csv", ("architecture", "ms"), rows), net, PHONE)


@pytest.mark.parametrize(
    ("column", "ms"),
    [("latency_s", 1e3), ("latency [s]", 1e3), ("Latency (µs)", 1e-3), ("time_us", 1e-3), ("latency_ms", 1), ("t", 1)],
)
def test_latencies_are_in_the_unit_that_their_column_names(net, tmp_path, column, ms):
    architectures = net.space.sample(8, 0)
    rows = [(a.to_json(), 2.0 + i) for i, a in enumerate(architectures)]
    model = import_latency(write_csv(tmp_path / "t.csv", ("architecture", column), rows), net, PHONE)
    np.testing.assert_allclose(model.latencies_ms, ms * np.arange(2.0, 10.0))


@pytest.mark.parametrize("label", ["{}[{}]", "{}_{}", "{}{}"])
@pytest.mark.parametrize("first", [0, 1])
def test_each_gene_may_have_its_column(net, tmp_path, label, first):
    architectures = net.space.sample(20, 0)
    header = [label.format(n, first + i) for n in ("ks", "e", "d") for i in range(len(architectures[0][n]))]
    rows = [[*a["ks"], *a["e"], *a["d"], a["r"], 1 + i] for i, a in enumerate(architectures)]
    model = import_latency(write_csv(tmp_path / "t.csv", [*header, "r", "ms"], rows), net, PHONE)
    np.testing.assert_array_equal(model.rows, net.space.encode(architectures))
    with pytest.raises(TableError, match=r"line 2: ks is missing"):
        import_latency(write_csv(tmp_path / "t.csv", ["other", *header[1:], "r", "ms"], rows), net, PHONE, column="ms")


def test_what_is_no_latency_is_told_from_what_is(net, tmp_path):
    """A column of architectures with a name of its own, an index, remarks, deviations, rows that were not measured."""
    architectures = net.space.sample(10, 0)
    rows = [[i, a.to_json(), 1 + i, 0.1, "quiet"] for i, a in enumerate(architectures)]
    for i, blank in enumerate(("", "nan", "NaN", "N/A")):
        rows[i][2] = blank
    header = ("Unnamed: 0", "config", "pixel", "pixel_std", "remark")
    model = import_latency(write_csv(tmp_path / "t.csv", header, rows), net, PHONE)
    np.testing.assert_array_equal(model.latencies_ms, np.arange(5.0, 11.0))
    np.testing.assert_array_equal(model.rows, net.space.encode(architectures[4:]))


@pytest.mark.parametrize(("encoding", "name"), [("utf-16", "t.csv"), ("utf-8", "t.tsv")])
def test_unicode_text_of_spreadsheets_is_read(net, tmp_path, encoding, name):
    architectures = net.space.sample(8, 0)
    lines = ["", "architecture\tlatency", *(f"{a.to_json()}\t{i + 1},5" for i, a in enumerate(architectures))]
    (tmp_path / name).write_text("\r\n".join(lines), encoding=encoding, newline="")
    model = import_latency(tmp_path / name, net, PHONE)
    np.testing.assert_array_equal(model.latencies_ms, np.arange(1.5, 9.0))


def test_lists_may_be_written_by_numpy(net, tmp_path):
    architectures = net.space.sample(8, 0)
    rows = [(*(np.array(a[n]) for n in ("ks", "e", "d")), a["r"], i + 1) for i, a in enumerate(architectures)]
    model = import_latency(write_csv(tmp_path / "t.csv", ("ks", "e", "d", "r", "ms"), rows), net, PHONE)
    np.testing.assert_array_equal(model.rows, net.space.encode(architectures))
