import json
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search import Measurement, Store, StoreError, Trial
from supernet.space import Choice, SearchSpace

SPACE = SearchSpace(Choice("width", (8, 16, 32), repeat=3))
ARCHITECTURES = SPACE.sample(27)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "a.sqlite"


def opened(path):
    store = Store(path)
    store.bind(SPACE)
    return store


def measured(architecture, value=1.0, objective="accuracy", scope="", error=None):
    return Measurement(architecture, objective, scope, float("nan") if error else value, error, 0.1)


operations = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["accuracy", "latency"]),
        st.sampled_from(["", "cpu"]),
        st.one_of(st.floats(-1e59, 1e59), st.sampled_from(["it broke", "quote ' and \n\u00e9"])),
    ),
    max_size=12,
)


@given(operations, st.integers(0, 12))
@settings(max_examples=25, deadline=None)
def test_a_store_is_a_dictionary_where_the_first_success_wins(tmp_path_factory, todo, reopen_at):
    path = tmp_path_factory.mktemp("s") / "store.sqlite"
    model, store = {}, opened(path)
    for i, (index, objective, scope, outcome) in enumerate(todo):
        if i == reopen_at:
            store.close()
            store = opened(path)
        failed = isinstance(outcome, str)
        measurement = measured(ARCHITECTURES[index], outcome, objective, scope, outcome if failed else None)
        kept = store.record(measurement)
        key = (ARCHITECTURES[index], objective, scope)
        if isinstance(model.get(key), str) and not failed:
            del model[key]
        expected = model.setdefault(key, outcome)
        assert (kept.error if isinstance(expected, str) else kept.value) == expected
    store.close()
    with opened(path) as store:
        found = {(m.architecture, m.objective, m.scope): m.error or m.value for m in store.measurements()}
        assert list(found.items()) == list(model.items())  # in the order in which they were recorded
        for objective in ("accuracy", "latency"):
            some = store.find(objective, "cpu", ARCHITECTURES)
            assert {a for a, o, s in model if (o, s) == (objective, "cpu")} == set(some)


def test_failures_hold_nan_and_their_error():
    with opened(None) as store:
        kept = store.record(measured(ARCHITECTURES[0], error="ValueError: no"))
        assert np.isnan(kept.value)
        assert kept.error == "ValueError: no"
        assert store.measurements("accuracy", "")[0].error == "ValueError: no"
        assert store.measurements("accuracy", "gpu") == []


def test_a_study_is_found_by_identity_and_keeps_its_batch_size(path):
    with opened(path) as store:
        first = store.study({"seed": 1, "tactic": {"name": "x"}}, batch_size=8)
        assert store.study({"tactic": {"name": "x"}, "seed": 1}, batch_size=50) == first
        other = store.study({"seed": 2, "tactic": {"name": "x"}}, batch_size=50)
        assert store.studies() == [first, other]
        assert first.batch_size == 8


def test_batches_are_committed_whole_and_the_first_writer_wins(path):
    with opened(path) as store:
        study = store.study({}, 2)
        batch = [Trial(i, 0, a, {"accuracy": 0.1 + i}) for i, a in enumerate(ARCHITECTURES[:2])]
        assert store.add_batch(study, batch) == batch
        rival = [Trial(0, 0, ARCHITECTURES[5])]
        assert store.add_batch(study, rival) == batch
        repeated = [Trial(2, 1, ARCHITECTURES[6]), Trial(3, 1, ARCHITECTURES[0])]
        with pytest.raises(StoreError, match="UNIQUE"):
            store.add_batch(study, repeated)
        assert store.trials(study) == batch


def test_a_store_of_another_space_is_refused_naming_both(path):
    opened(path).close()
    other = SearchSpace(Choice("kernel", (3, 5)), Choice("depth", (1, 2), repeat=4))
    with Store(path) as store, pytest.raises(StoreError) as caught:
        store.bind(other)
    for part in (SPACE.fingerprint, other.fingerprint, "width[3]", "kernel, depth[4]", str(path)):
        assert part in str(caught.value)


def test_a_store_describes_its_space(path):
    with Store(path) as store, pytest.raises(StoreError, match="no search space yet"):
        _ = store.space
    with opened(path) as store:
        store.record(measured(ARCHITECTURES[3]))
    with Store(path) as store:
        assert store.space.size == 27
        assert store.measurements()[0].architecture == dict(ARCHITECTURES[3])


def test_files_that_are_no_stores_are_refused_and_left_alone(path, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("these are my notes, not a database")
    with pytest.raises(StoreError, match="not an SQLite database"):
        Store(text)
    assert text.read_text() == "these are my notes, not a database"
    foreign = tmp_path / "photos.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="another application"):
        Store(foreign)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(text / "below_a_file.sqlite")


def test_a_newer_format_is_refused(path):
    opened(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="format 99"):
        Store(path)


@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
def test_a_damaged_file_is_refused(path, damage):
    with opened(path) as store:
        for architecture in ARCHITECTURES:
            store.record(measured(architecture, error="long text " * 200))
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    else:
        content[4096:12288] = b"\xff" * 8192
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged|not a database"):
        opened(path).measurements()


FULL = """
import resource, signal, sys
from search import Measurement, Store, StoreError
from supernet.space import Choice, SearchSpace
space = SearchSpace(Choice("width", tuple(range(100)), repeat=2))
store = Store(sys.argv[1]); store.bind(space)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
n = 0
try:
    for architecture in space.sample(5000):
        store.record(Measurement(architecture, "a", "", 1.0, None, 0.0)); n += 1
except StoreError as error:
    print(n, error)
"""


def test_a_full_disk_is_explained_and_keeps_what_was_recorded(path, start_fresh):
    output, _ = start_fresh(FULL, path).communicate()
    n, message = output.split(maxsplit=1)
    assert str(path) in message
    assert "full" in message
    with Store(path) as store:
        assert len(store.measurements()) == int(n) > 0


WRITER = """
import json, sys
from search import Measurement, Store, Trial
from supernet.space import Choice, SearchSpace
space = SearchSpace(Choice("width", (8, 16, 32), repeat=4))
store = Store(sys.argv[1]); store.bind(space)
mark = float(sys.argv[2])
study = store.study({"shared": True}, 9)
kept = [store.record(Measurement(a, "a", "", mark, None, 0.0)).value for a in space.sample(81, seed=3)]
batch = [Trial(i, 0, a, {"a": mark}) for i, a in enumerate(space.sample(9, seed=int(mark)))]
print(json.dumps([kept, [t.architecture.to_json() for t in store.add_batch(study, batch)]]))
"""


def test_processes_that_write_at_once_agree(path, start_fresh):
    running = [start_fresh(WRITER, path, mark) for mark in (1, 2, 3)]
    (first, batch), *others = [json.loads(process.communicate()[0]) for process in running]
    assert all(other == [first, batch] for other in others)
    with Store(path) as store:
        assert len(store.studies()) == 1
        assert [m.value for m in store.measurements()] == first
