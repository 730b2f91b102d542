"""Searching for devices that others measured, from the command line."""

import csv
import json

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def measured(own, tmp_path_factory):
    """Latencies of sub-networks of supernet=small on two phones, as somebody might publish them."""
    from accidents_for_tests import small

    net = small()
    architectures = net.space.sample(40, 0)
    costs = net.costs(architectures)
    path = tmp_path_factory.mktemp("published") / "phones.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("architecture", "old", "new"))
        columns = (architectures, costs["macs"] / 1e5, 1 + costs["params"] / 1e5)
        writer.writerows((a.to_json(), macs, params) for a, macs, params in zip(*columns, strict=True))
    return path


@pytest.fixture(scope="module")
def tables(app, own, measured, tmp_path_factory):
    """A folder with the imported latencies of both."""
    folder = tmp_path_factory.mktemp("tables")
    for phone in ("old", "new"):
        ran = app(
            "profile", "import", "hardware=imported", f"hardware.name={phone}", "supernet=small",
            f"results={measured}", f"column={phone}", f"output={folder}", "--config-dir", own,
        )  # fmt: skip
        assert ran.code == 0, ran.err
        assert "on 40 sub-networks outside the fit" in ran.out
    return folder


def test_one_search_for_each_phone(app, small, tables, tmp_path):
    arguments = ["deploy=none", f"latency_table={tables}", f"output={tmp_path}", *small[1:]]
    ran = app("search", "-m", "hardware=imported", "hardware.name=old,new", *arguments)
    assert ran.code == 0, ran.err
    fronts = [pd.read_csv(tmp_path / f"hardware.name={phone}" / "front.csv") for phone in ("old", "new")]
    assert all(len(front) > 0 and front["latency"].is_monotonic_increasing for front in fronts)
    assert (tmp_path / "hardware.name=old" / "latency_old.json").is_file()


def test_a_phone_that_is_not_here_gets_bundles_without_latency(app, small, tables, tmp_path):
    arguments = [f"latency_table={tables}", f"output={tmp_path}", *small[1:], "budget=4", "deploy=[0]"]
    ran = app("search", "hardware=imported", "hardware.name=old", *arguments)
    assert ran.code == 0, ran.err
    metrics = json.loads((tmp_path / "bundle/old/0/metrics.json").read_text())
    assert "latency" not in metrics
    assert "it was measured elsewhere" in metrics["not_measured"]
    assert metrics["predicted"]["latency_ms"] == pytest.approx(pd.read_csv(tmp_path / "front.csv")["latency"][0])
    assert "not measured here" in (tmp_path / "bundle/overview.html").read_text()


def test_what_needs_the_phone_is_refused(app, small, tables, tmp_path):
    phone = ["hardware=imported", "hardware.name=old", f"output={tmp_path}", *small[1:], "budget=4", "deploy=none"]
    for settings in ([], [f"latency_table={tables}", "objectives=[accuracy,measured_latency]"]):
        ran = app("search", *phone, *settings)
        assert ran.code == 2
        assert "device 'old': it was measured elsewhere" in ran.err
        assert not (tmp_path / "results.csv").exists()


def test_a_column_must_be_chosen(app, own, measured, tmp_path):
    ran = app(
        "profile", "import", "hardware=imported", "hardware.name=old", "supernet=small", f"results={measured}",
        f"output={tmp_path}", "--config-dir", own,
    )  # fmt: skip
    assert ran.code == 2
    assert "give column=..., one of old, new" in ran.err


def test_latencies_in_another_kind_of_file_are_refused(app, own, tmp_path):
    (tmp_path / "latencies.xlsx").write_bytes(b"PK")
    phone = ["hardware=imported", "hardware.name=old", "supernet=small", f"output={tmp_path}", "--config-dir", own]
    ran = app("profile", "import", *phone, f"results={tmp_path / 'latencies.xlsx'}")
    assert ran.code == 2
    assert "latencies.xlsx: cannot tell what this is; import takes .csv" in ran.err
    ran = app("profile", "import", *phone)
    assert ran.code == 2
    assert "give results=FILE" in ran.err
