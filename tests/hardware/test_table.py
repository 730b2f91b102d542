"""Latency tables: additive over blocks, corrected, resumable, self-contained."""

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.stats import spearmanr

import hardware.building
import supernet
from hardware import Device, LatencyTable, Protocol, TableError, measure_end_to_end
from hardware.building import alone
from hardware.timing import Runner
from supernet import ArchitectureError
from supernet.families.mobilenetv3 import ElasticMobileNetV3, Stage

QUICK = Protocol(rounds=3, most_rounds=4, sample_ms=0.2)
DEVICE = Device("here", "onnxruntime")


def tiny_net(**changes):
    settings = {"stem_width": 8, "head_widths": (24, 16), "num_classes": 5, "in_chans": 1, "resolutions": (16, 32)}
    settings |= {"depths": (1, 2), "kernel_sizes": (3, 5), "expand_ratios": (3, 6), **changes}
    return ElasticMobileNetV3([Stage(8, 2, "re"), Stage(16, 2, "hs", True)], **settings)


@pytest.fixture(scope="module")
def net():
    return tiny_net()


@pytest.fixture(scope="module")
def table(net):
    return LatencyTable.build(net, DEVICE, n_probes=6, n_held_out=2, protocol=QUICK, progress=False)


def test_every_block_is_measured_and_says_how(net, table):
    assert table.complete
    assert set(table.blocks) == {block.key for block in net.block_map.cover()}
    assert all(m.median_ms > 0 and m.repeats > 0 for m in table.blocks.values())
    assert table.provenance["versions"].keys() == {"onnxruntime"}
    assert table.provenance["cpu"]
    assert [probe.held_out for probe in table.probes] == [False] * 6 + [True] * 2


def test_latency_is_the_corrected_sum_of_the_blocks(net, table):
    architectures = net.space.sample(50, 1)
    ids = net.block_map.ids(architectures)
    per_block = np.array([table.blocks[block.key].median_ms for block in net.block_map.blocks])
    per_block = np.maximum(per_block - table.empty_call_ms, 0)
    expected = [per_block[row[row >= 0]].sum() for row in ids]
    slope, intercept = table.correction.slope, table.correction.intercept
    assert not table.correction.weights  # too few probes
    np.testing.assert_allclose(table.latency(architectures), slope * np.array(expected) + intercept)


def test_a_network_takes_what_its_blocks_take_and_a_call(net, exact):
    table = LatencyTable.build(net, exact(), n_probes=6, n_held_out=5, protocol=QUICK, progress=False)
    assert table.empty_call_ms == pytest.approx(0.005)
    assert (table.correction.slope, table.correction.intercept) == pytest.approx((1, 0.005), rel=1e-4)
    unseen = net.space.sample(20, 5)
    np.testing.assert_allclose(table.latency(unseen), 0.005 + 2e-6 * net.costs(unseen)["macs"], rtol=1e-4)


def test_a_saved_table_answers_alike_without_the_super_network(net, table, tmp_path):
    table.save(tmp_path / "table.json")
    again = LatencyTable.load(tmp_path / "table.json")
    architectures = net.space.sample(200, 2)
    np.testing.assert_allclose(again.latency(architectures), table.latency(architectures), rtol=1e-4)
    np.testing.assert_allclose(again.latency([dict(a) for a in architectures]), again.latency(architectures))
    assert again.device == DEVICE
    assert again.error == table.error
    assert again.probes == table.probes


def test_a_table_of_the_first_format_is_still_read(table, tmp_path):
    path = tmp_path / "table.json"
    table.save(path)
    record = json.loads(path.read_text())
    for name in ("traits", "correction"):
        del record[name]
    columns = record["blocks"]
    names = ("median_ms", "quantiles_ms", "repeats", "stable")
    rows = zip(*(columns[name] for name in names), strict=True)
    blocks = [dict(zip(names, row, strict=True)) for row in rows]
    old_device = {name: record["device"][name] for name in ("name", "backend", "threads", "batch_size")}
    record |= {"version": 1, "slope": 2.0, "intercept": 0.5, "device": old_device}
    record["blocks"] = dict(zip(columns["keys"], blocks, strict=True))
    path.write_text(json.dumps(record))
    architectures = table.space.sample(20, 0)
    old = LatencyTable.load(path)
    assert old.device == DEVICE
    np.testing.assert_allclose(old.latency(architectures), 2 * table.block_sum(architectures) + 0.5)


def test_scope_tells_tables_of_different_latencies_apart(table, tmp_path):
    table.save(tmp_path / "table.json")
    assert LatencyTable.load(tmp_path / "table.json").scope == table.scope
    assert dataclasses.replace(table, correction=dataclasses.replace(table.correction, slope=2)).scope != table.scope
    assert dataclasses.replace(table, device=Device("there", "torch")).scope != table.scope


def test_a_table_says_of_which_super_network_it_is_not(net, table):
    table.require(net)
    with pytest.raises(TableError, match="device 'here' is not of .*: .* of its blocks have another structure"):
        table.require(tiny_net(num_classes=7))
    other = tiny_net(depths=(1, 2, 3))
    with pytest.raises(TableError, match="another search space"):
        table.require(other)
    with pytest.raises(ArchitectureError, match=r"model of device 'here' takes architectures of its own space: "):
        table.latency([other.largest])
    assert repr(table).startswith("LatencyTable(device 'here', error: ")


def test_look_up_is_vectorised(net, table, takes_seconds):
    architectures = net.space.sample(500, 3) * 200
    assert table.latency(architectures).shape == (100_000,)
    assert takes_seconds(1, lambda: table.latency(architectures))  # 0.06 s; 25 s one by one


class Killed(BaseException):
    pass


def test_a_killed_build_goes_on_and_measures_no_block_twice(tmp_path, monkeypatch):
    net, path = tiny_net(resolutions=(16,)), tmp_path / "table.json"
    monkeypatch.setattr(hardware.building, "_MOST_BLOCKS", 8)

    def stop_after_two_chunks(what, done, total):
        if what == "measuring blocks" and done >= 16:
            raise Killed

    with pytest.raises(Killed):
        LatencyTable.build(net, DEVICE, path=path, n_probes=4, protocol=QUICK, progress=stop_after_two_chunks)
    kept = LatencyTable.load(path).blocks
    assert 8 <= len(kept) <= 16
    table = LatencyTable.build(net, DEVICE, path=path, n_probes=4, protocol=QUICK, progress=False)
    assert table.complete
    final = LatencyTable.load(path).blocks
    assert {key: final[key] for key in kept} == kept
    reported = []
    again = LatencyTable.build(net, DEVICE, path=path, protocol=QUICK, progress=lambda *step: reported.append(step))
    assert again.blocks == table.blocks
    assert again.probes == table.probes
    assert not any(what.startswith("measuring") for what, *_ in reported)


@pytest.fixture(scope="module")
def small_net():
    return tiny_net(resolutions=(16,), kernel_sizes=(3,), expand_ratios=(3,))


def test_a_group_that_was_killed_goes_on_from_its_samples(small_net, tmp_path, monkeypatch):
    path, taken = tmp_path / "table.json", []
    time_ms = Runner.time_ms
    monkeypatch.setattr(hardware.building, "_SECONDS", 0.0)

    def counting(self, calls):
        if len(taken) == 35:
            raise Killed
        taken.append(self)
        return time_ms(self, calls)

    monkeypatch.setattr(Runner, "time_ms", counting)
    with pytest.raises(Killed):
        LatencyTable.build(small_net, DEVICE, path=path, n_probes=2, protocol=QUICK, progress=False)
    kept = LatencyTable.load(path)
    n_samples = sum(map(len, kept.samples.values()))
    n_models = len(kept.samples)
    assert not kept.blocks
    assert n_samples == 35 - 2 * n_models > 0  # two runs of each model come before its samples
    taken.clear()
    monkeypatch.setattr(Runner, "time_ms", lambda self, calls: (taken.append(self), time_ms(self, calls))[1])
    table = LatencyTable.build(small_net, DEVICE, path=path, protocol=QUICK, progress=False)
    assert len(taken) <= 2 * n_models + QUICK.most_rounds * n_models - n_samples
    assert table.complete
    assert not LatencyTable.load(path).samples


def test_of_two_builds_of_one_table_the_second_waits_and_measures_nothing(net, table, tmp_path, monkeypatch):
    path, told = tmp_path / "tables" / "table.json", []
    waits = threading.Event()

    def report(what, done, total):
        told.append(what)
        if "another process" in what:
            waits.set()

    def second():
        return LatencyTable.build(net, DEVICE, path=path, protocol=QUICK, progress=report)

    monkeypatch.setattr(hardware.building, "measure_interleaved", None)
    with ThreadPoolExecutor() as pool, alone(path, lambda *_: None):
        found = pool.submit(second)
        assert waits.wait(120)
        table.save(path)
        assert not found.done()
    assert found.result().blocks == table.blocks
    assert list(path.parent.iterdir()) == [path]
    assert told[0] == "waiting for another process that builds this table"


def test_whole_sub_networks_that_memory_does_not_hold_together_take_turns(small_net, monkeypatch):
    monkeypatch.setattr(hardware.building, "free_bytes", lambda place: 4 * 12_000)
    at_once = []
    measure = hardware.building.measure_interleaved

    def counting(runners, *rest):
        at_once.append(len(runners))
        return measure(runners, *rest)

    monkeypatch.setattr(hardware.building, "measure_interleaved", counting)
    table = LatencyTable.build(small_net, DEVICE, n_probes=4, n_held_out=0, protocol=QUICK, progress=False)
    n_models = len(table.blocks) + len(table.probes)
    assert len(at_once) > 2
    assert max(at_once) < n_models
    assert all(probe.medians_ms for probe in table.probes)
    assert table.complete


def test_a_table_of_something_else_is_not_continued(net, table, tmp_path):
    path = tmp_path / "table.json"
    table.save(path)
    with pytest.raises(TableError, match="a latency table of another device"):
        LatencyTable.build(net, Device("there", "onnxruntime"), path=path, progress=False)
    with pytest.raises(TableError, match="a latency table of another space"):
        LatencyTable.build(tiny_net(depths=(1, 2, 3)), DEVICE, path=path, progress=False)
    with pytest.raises(TableError, match="a latency table of another structure of blocks; remove it"):
        LatencyTable.build(tiny_net(num_classes=7), DEVICE, path=path, progress=False)
    record = json.loads(path.read_text())
    for provenance in ({**record["provenance"], "cpu": "another one"}, {"source": "a file of others"}):
        path.write_text(json.dumps(record | {"provenance": provenance}))
        with pytest.raises(TableError, match="a latency table of another processor"):
            LatencyTable.build(net, DEVICE, path=path, progress=False)


STUB = '{"format": "supernet-search latency table", "version": 2}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a complete latency table"),
        ("\0", "not a complete latency table"),
        ("{}", "holds no latency table"),
        ("[1]", "holds no JSON object"),
        (STUB, "not a complete latency table"),
        (STUB.replace("2", "3"), "a latency table of version 3: this package reads version 1 or 2; update it, or"),
        (STUB.replace("table", "predictor"), "'supernet-search latency predictor', .* try `hardware.load_latency`"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(TableError, match=rf"table\.json.*{message}"):
        LatencyTable.load(path)
    with pytest.raises(TableError, match="cannot read"):
        LatencyTable.load(tmp_path / "absent.json")


def first_slot(data):
    return next(slot for slot in data["slots"].values() if slot["genes"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data["blocks"]["median_ms"].__setitem__(0, "fast"), "'fast' is not a number"),
        (lambda data: data["blocks"]["median_ms"].__setitem__(0, float("nan")), "block .* finite numbers"),
        (lambda data: data["blocks"]["median_ms"].pop(), "ValueError"),
        (lambda data: data["correction"].update(slope=None), "the correction holds"),
        (lambda data: data["correction"]["weights"].update(luck=1.0), "'luck', which is none of fetches"),
        (lambda data: data["probes"][0]["medians_ms"].__setitem__(0, -1.0), "not above 0"),
        (lambda data: data["probes"][0]["architecture"].update(r=7), "7"),
        (lambda data: data["keys"].__setitem__(0, "another"), "none of its keys"),
        (lambda data: first_slot(data)["ids"].__setitem__(0, 10**6), "blocks that it does not hold"),
        (lambda data: first_slot(data)["genes"].__setitem__(0, 999), "genes that the space does not have"),
        (lambda data: data["device"].update(threads=0), "threads"),
        (lambda data: data.update(samples={"probe 0": [1.0, None]}), "the samples of probe 0 holds"),
        (lambda data: data.pop("slots"), "KeyError: 'slots'"),
    ],
)
def test_damaged_tables_are_refused(table, damage, message, tmp_path):
    path = tmp_path / "table.json"
    table.save(path)
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(TableError, match=rf"table\.json .*{message}"):
        LatencyTable.load(path)


def test_what_a_table_does_not_know_is_named(net, table, tmp_path):
    path = tmp_path / "table.json"
    table.save(path)
    data = json.loads(path.read_text())
    first_slot(data)["states"], first_slot(data)["ids"] = [], []
    path.write_text(json.dumps(data))
    with pytest.raises(TableError, match="device 'here' is not whole: block"):
        LatencyTable.load(path).latency([net.largest])


def test_probes_include_the_extremes_and_spread_in_between(net, table):
    probes = [probe.architecture for probe in table.probes if not probe.held_out]
    assert {net.smallest, net.largest} <= set(probes)
    macs = np.sort(net.costs(probes)["macs"])
    assert np.diff(macs).max() < 0.5 * np.ptp(macs)


def test_held_out_probes_tell_the_error_and_are_not_fitted_to(net, exact):
    table = LatencyTable.build(net, exact("uneven"), n_probes=5, n_held_out=6, protocol=QUICK, progress=False)
    held_out = [probe for probe in table.probes if probe.held_out]
    fitted = [probe for probe in table.probes if not probe.held_out]
    assert len(held_out) == 6
    assert not {p.architecture for p in held_out} & {p.architecture for p in fitted}
    measured = np.array([probe.measured_ms for probe in held_out])
    predicted = table.latency([probe.architecture for probe in held_out])
    assert table.error["mape_percent"] == pytest.approx(np.mean(np.abs(predicted / measured - 1)) * 100)
    assert table.error["mape_percent"] > 0.1
    assert table.error["spearman"] == pytest.approx(spearmanr(predicted, measured).statistic)
    sums = table.block_sum([probe.architecture for probe in fitted])
    assert (sums > 0).all()
    ratio = table.latency([p.architecture for p in fitted]) / np.array([probe.measured_ms for probe in fitted])
    assert ratio.mean() == pytest.approx(1, abs=0.1)  # the fit is unbiased on what it was fitted to


def test_whole_sub_networks_may_be_named_as_their_authors_do_and_need_not_fit_in_memory(small_net, monkeypatch):
    monkeypatch.setattr(hardware.building, "free_bytes", lambda place: 4 * 12_000)
    portions, measured = [], {}
    prepared, measure = hardware.building.prepared_whole, hardware.building.measure_interleaved

    def preparing(net, architecture, device):
        runner = prepared(net, architecture, device)
        runner.architecture = architecture
        return runner

    def measuring(runners, *rest):
        portions.append(len(runners))
        found = measure(runners, *rest)
        measured.update(zip([runner.architecture for runner in runners], found, strict=True))
        return found

    monkeypatch.setattr(hardware.building, "prepared_whole", preparing)
    monkeypatch.setattr(hardware.building, "measure_interleaved", measuring)
    smallest, largest = small_net.smallest, small_net.largest
    other = {**largest, "d": [smallest["d"][0], largest["d"][1]], "r": [16], "wid": None}
    found = measure_end_to_end(small_net, [smallest, largest, other], DEVICE, QUICK)
    assert len(portions) > 1
    assert sum(portions) == len(measured) == 3
    assert found == [measured[a] for a in (smallest, largest, *small_net.space.decode(small_net.space.encode([other])))]
    assert measure_end_to_end(small_net, [], DEVICE) == []
    with pytest.raises(ArchitectureError, match="expected a list of architectures, got one"):
        measure_end_to_end(small_net, small_net.largest, DEVICE)


def test_latencies_are_of_the_whole_batch(net, exact):
    one, eight = (measure_end_to_end(net, [net.largest], exact(batch_size=n), QUICK)[0].median_ms for n in (1, 8))
    assert eight - 0.005 == pytest.approx(8 * (one - 0.005), rel=1e-4)


@pytest.mark.slow
def test_the_default_table_agrees_with_unseen_architectures():
    """The acceptance figure: 40 architectures outside the fit, measured in turns with the blocks on this machine."""
    net = supernet.create("digits_mobilenetv3", checkpoint="embedded")
    table = LatencyTable.build(net, DEVICE, n_held_out=40, progress=False)
    assert table.error["n_architectures"] == 40
    assert table.error["mape_percent"] <= 8
    assert table.error["spearman"] >= 0.95
