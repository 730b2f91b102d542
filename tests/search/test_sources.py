"""Reading measurements made elsewhere, and searches that start from them."""

import csv
import json
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import search
from search import Measurement, Objective, SearchError, Source, Store, tactics
from search.prior import Prior, expectation
from search.sources import read
from supernet.space import Choice, SearchSpace

SPACE = SearchSpace(
    Choice("ks", (3, 5, 7), repeat=4), Choice("e", (0.2, 0.25, 1), repeat=2), Choice("act", ("relu", "hs"))
)
ACCURACY = Objective("accuracy", measure=len)


def written(path, columns, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def values_of(given, space=SPACE, objectives=(ACCURACY,)):
    """{objective: {architecture: value}} of the only source."""
    ((_, found),) = read(given, space, objectives).items()
    values = {}
    for known in found:
        values.setdefault(known.objective, {})[known.architecture] = known.value
    return values


def plain(architecture):
    return {name: list(v) if isinstance(v, tuple) else v for name, v in architecture.items()}


AS_MAPPING = [lambda a: [a.to_json()], lambda a: [repr(plain(a))], lambda a: [repr({**plain(a)}).replace(" ", "")]]
STYLES = {
    "lists": (["ks", "e", "act"], lambda a: [str(list(a["ks"])), json.dumps(a["e"]), a["act"]]),
    "characters": (["ks", "e", "act"], lambda a: ["".join(map(str, a["ks"])), " ".join(map(str, a["e"])), a["act"]]),
    "separators": (["act", "ks", "e"], lambda a: [a["act"], ";".join(map(str, a["ks"])), ", ".join(map(str, a["e"]))]),
    "genes": (
        ["ks[0]", "ks[1]", "ks[2]", "ks[3]", "e_0", "e_1", "act"],
        lambda a: [*map(float, a["ks"]), *map(float, a["e"]), a["act"]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("column", ["architecture", "Sub-network", "config"])
@pytest.mark.parametrize("style", range(len(AS_MAPPING)))
def test_an_architecture_may_stand_in_one_column(column, style, tmp_path):
    architectures = SPACE.sample(6)
    rows = [[*AS_MAPPING[style](a), f"{70 + i}.5"] for i, a in enumerate(architectures)]
    path = written(tmp_path / "x.csv", [column, "accuracy"], rows)
    assert values_of(path) == {"accuracy": {a: 70.5 + i for i, a in enumerate(architectures)}}


@pytest.mark.parametrize("style", STYLES)
def test_choices_and_genes_may_have_columns(style, tmp_path):
    columns, cells = STYLES[style]
    architectures = SPACE.sample(6)
    rows = [["x", *cells(a), i + 1] for i, a in enumerate(architectures)]
    path = written(tmp_path / "x.csv", ["run", *columns, "top1"], rows)
    assert values_of(path) == {"accuracy": {a: i + 1.0 for i, a in enumerate(architectures)}}
    frame = pd.read_csv(path, dtype={"ks": str})
    assert values_of(frame) == {"accuracy": {a: i + 1.0 for i, a in enumerate(architectures)}}


def test_the_frame_of_a_result_is_a_source_as_pandas_writes_it(tmp_path):
    count = Objective("accuracy", measure=lambda architectures: [1.0] * len(architectures))
    result = search.run(SPACE, [count], tactic="random", budget=6, progress=False)
    result.frame.to_csv(tmp_path / "x.csv")
    assert list(values_of(tmp_path / "x.csv")["accuracy"]) == list(result.frame["architecture"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("separator", "mark"), [(",", "."), (";", ","), (";", "."), ("\t", ",")])
def test_tables_of_spreadsheets(separator, mark, encoding, tmp_path):
    architectures = SPACE.sample(6)
    cells = [[a.to_json(), f"{70 + i}.5%".replace(".", mark)] for i, a in enumerate(architectures)]
    lines = [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
    (tmp_path / "x.csv").write_text("\n".join(["", f"architecture{separator}Top-1 Accuracy", *lines]), encoding)
    assert values_of(tmp_path / "x.csv") == {"accuracy": {a: 70.5 + i for i, a in enumerate(architectures)}}


def test_columns_of_choices_come_before_a_name(tmp_path):
    path = written(tmp_path / "x.csv", ["arch", "ks", "e", "act", "top1"], [["net_1", "3355", "0.2 1", "hs", 7]])
    assert [dict(a) for a in values_of(path)["accuracy"]] == [{"ks": (3, 3, 5, 5), "e": (0.2, 1), "act": "hs"}]


def test_choices_without_a_column_are_given_for_all_rows(tmp_path):
    path = written(tmp_path / "x.csv", ["ks", "e", "acc"], [["3355", "0.2 1", 7]])
    with pytest.raises(SearchError, match=r"no column for 'act': give its value for all rows, as in fixed=\{'act'"):
        values_of(path)
    (architecture,) = values_of(Source(path, fixed={"act": "hs"}))["accuracy"]
    assert architecture == {"ks": (3, 3, 5, 5), "e": (0.2, 1), "act": "hs"}
    assert (
        values_of({"path": path, "fixed": {"act": "hs"}, "columns": {"accuracy": "acc"}})["accuracy"][architecture] == 7
    )


DYNAS_SPACE = SearchSpace(
    Choice("ks", (3, 5, 7), repeat=4), Choice("d", (2, 3, 4), repeat=2), Choice("r", (224,), repeat=None),
    translate=lambda given: {name: value for name, value in given.items() if name != "wid"},
)  # fmt: skip


def test_results_files_of_dynas_t(tmp_path):
    """Duplicates and zeros for what was not measured are part of the format."""
    one = "{'wid': None, 'ks': [7, 3, 3, 7], 'd': [3, 2], 'r': [224]}"
    other = "{'wid': None, 'ks': [5, 3, 3, 7], 'd': [3, 4], 'r': [224]}"
    header = ["Sub-network", "Date", "Model Parameters", "Latency (ms)", "MACs", "Top-1 Acc (%)"]
    rows = [
        [one, "2023-02-17 21:08:49.689809", 4536768, 14.412, 246958392, 75.5],
        [other, "2023-02-17 21:09:29.648474", 4543496, 0, 285884976, 76.25],
        [one, "2023-02-17 21:10:49.689809", 4536768, 14.5, 246958392, 75.5],
    ]
    path = written(tmp_path / "results.csv", header, rows)
    objectives = [ACCURACY, Objective("measured_latency", goal="min", measure=len)]
    found = values_of(path, DYNAS_SPACE, objectives)
    first, second = (DYNAS_SPACE.validate(eval(text)) for text in (one, other))
    assert found["accuracy"] == {first: 75.5, second: 76.25}
    assert found["measured_latency"] == {first: 14.5}
    for last in ("BLEU Score", "SST-2 Acc"):
        written(path, [*header[:-1], last], rows)
        assert values_of(path, DYNAS_SPACE) == {"accuracy": found["accuracy"]}
    written(path, ["Sub-network", "Date", "Latency (ms)", " MACs", "Top-1 Acc (%)"], [[one, "", 1, 2, 75.5]])
    assert values_of(path, DYNAS_SPACE) == {"accuracy": {first: 75.5}}


def test_malformed_rows_are_named_and_left_out(tmp_path, caplog):
    good = SPACE.sample(1)[0].to_json()
    rows = [
        [good, 70],
        ['{"ks": [9, 3, 3, 3], "e": [1, 1], "act": "hs"}', 70],
        ["__import__('os').system('true')", 70],
        [good, "a lot"],
        [good, 70, "more"],
        ["[1, 2]", 70],
        [good, ""],
        [good, "N/A"],
        ["(" * 5000, 70],
    ]
    path = written(tmp_path / "x.csv", ["architecture", "accuracy"], rows)
    with caplog.at_level(logging.WARNING, logger="search"):
        assert len(values_of(path)["accuracy"]) == 1
    (message,) = caplog.messages
    assert message.startswith(f"{path}: 6 of 9 rows left out: line 3: ks[0]: 9 is not one of (3, 5, 7); line 4: ")
    assert "line 5: accuracy: 'a lot' is not a number; and 3 more" in message


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (["architecture", "f1"], [["{}", 1]], "no column for accuracy: it has architecture, f1; say which one"),
        (["architecture", "top1"], [["{}", 1]], r"nothing in .* can be used \(1 rows\); line 2: ks is missing"),
        (["name", "top1"], [["a", 1]], "no column 'architecture', and no column for 'ks'"),
        (["architecture", "top1"], [], r"can be used \(0 rows\)"),
        (["architecture", "top1", "top1"], [["{}", 1, 2]], "several columns 'top1': rename"),
    ],
)
def test_tables_of_which_nothing_can_be_used_are_refused(columns, rows, message, tmp_path):
    with pytest.raises(SearchError, match=message):
        values_of(written(tmp_path / "x.csv", columns, rows))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {"acuracy": "top1"}}, "columns names 'acuracy', but the objectives are accuracy"),
        ({"columns": "top1"}, "columns must be a mapping, got 'top1'"),
        ({"fixed": [3]}, r"fixed must be a mapping, got \[3\]"),
        ({"path": None}, "a source needs a path, got None"),
    ],
)
def test_a_mistaken_source_is_named(settings, message, tmp_path):
    path = written(tmp_path / "x.csv", ["architecture", "top1"], [[SPACE.sample(1)[0].to_json(), 70]])
    with pytest.raises(SearchError, match=message):
        values_of(Source(**{"path": path, **settings}))


def test_other_files_are_refused(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(SearchError, match="neither a store nor a CSV"):
        values_of(tmp_path / "empty.csv")
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(SearchError, match="no column for accuracy|neither a store"):
        values_of(tmp_path / "weights.bin")
    with pytest.raises(SearchError, match="neither store.sqlite nor results.csv"):
        values_of(tmp_path)
    with pytest.raises(FileNotFoundError):
        values_of(tmp_path / "absent.sqlite")
    assert not (tmp_path / "absent.sqlite").exists()
    with pytest.raises(SearchError, match="warm_start must be"):
        values_of(3)
    with pytest.raises(SearchError, match="takes path, columns, fixed and same, got pth"):
        values_of({"pth": 3})


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_table_holds_is_read_or_refused_by_name(data, tmp_path_factory):
    """Cells that were cut, joined or replaced at random end in a value, a warning or a SearchError."""
    folder = tmp_path_factory.mktemp("t")
    cell = st.one_of(
        st.text(max_size=12),
        st.sampled_from(["3355", "[3,3,5,5]", "hs", "{'ks': 3}", "nan", "1e999", "-", "0", "{}", "[[[", '{"ks":"x"}']),
    )
    columns = data.draw(
        st.lists(st.sampled_from(["architecture", "ks", "e", "act", "top1", "x"]), min_size=1, max_size=6)
    )
    rows = data.draw(st.lists(st.lists(cell, max_size=7), max_size=5))
    path = written(folder / "x.csv", columns, rows)
    try:
        found = values_of(path)
    except SearchError:
        return
    assert all(np.isfinite(list(values.values())).all() for values in found.values())


# --- searches that start from them ---


@pytest.fixture
def quick(nearest):
    return tactics.create("linas", predictor="ridge", population=20, generations=6)


def run(space, objectives, tactic="random", budget=8, **settings):
    return search.run(
        space, objectives, tactic=tactic, budget=budget, **{"batch_size": 4, "progress": False, **settings}
    )


def objectives_of(landscape, scope):
    accuracy, latency = landscape.objectives()
    return [Objective("accuracy", measure=accuracy.measure, scope=scope), latency]


@pytest.mark.parametrize("name", tactics.available())
def test_measurements_of_equal_scope_count_as_measured_beside_the_budget(name, space, landscape, tmp_path, nearest):
    other = tmp_path / "other.sqlite"
    before = run(space, objectives_of(landscape, "v1"), budget=12, store=other)
    n_before = len(landscape.calls)
    settings = {"tactic": name, "warm_start": other, "store": tmp_path / "s.sqlite"}
    if "predictor" in tactics.settings_of(name):
        settings["predictor"] = nearest
    result = run(space, objectives_of(landscape, "v1"), **settings)
    frame = result.frame
    assert len(landscape.calls) == n_before + 8
    assert frame["batch"].tolist() == [-1] * 12 + [0] * 4 + [1] * 4
    assert set(frame["architecture"][:12]) == set(before.frame["architecture"])
    assert len(set(frame["architecture"])) == 20
    assert result.history.n_known_before == 12
    other.unlink()  # what it started from is kept
    longer = run(space, objectives_of(landscape, "v1"), **{**settings, "budget": 12})
    assert longer.frame.iloc[:20].equals(frame)
    assert len(longer.frame) == 24


def test_what_counts_of_a_warm_start_is_logged(space, landscape, tmp_path, caplog):
    other = tmp_path / "other.sqlite"
    run(space, objectives_of(landscape, "v1"), store=other)
    with caplog.at_level(logging.INFO):
        for scope in ("v1", "v2"):
            run(space, objectives_of(landscape, scope), warm_start=other)
    assert f"{other}: 8 measured as here count, 0 measured otherwise" in caplog.text
    assert f"{other}: 0 measured as here count, 8 measured otherwise" in caplog.text


def test_measurements_of_another_scope_inform_and_never_appear(space, landscape, quick, tmp_path):
    other = tmp_path / "other.sqlite"
    run(space, objectives_of(landscape, "v1"), budget=60, store=other)
    n_before = len(landscape.calls)
    settings = {"tactic": quick, "budget": 12, "warm_start": other, "store": tmp_path / "s.sqlite"}
    result = run(space, objectives_of(landscape, "v2"), **settings)
    assert len(result.frame) == len(landscape.calls) - n_before == 12
    with Store(tmp_path / "s.sqlite") as store:
        assert len(store.measurements()) == 12
    other.unlink()
    again = run(space, objectives_of(landscape, "v2"), **settings)
    assert again.frame.equals(result.frame)
    assert len(landscape.calls) - n_before == 12
    cold = run(space, objectives_of(landscape, "v2"), tactic=quick, budget=12)
    assert not cold.frame["architecture"].equals(result.frame["architecture"])


def test_measurements_of_another_scope_help(space, landscape, quick, tmp_path):
    gains = []
    for seed in range(1, 4):
        other = tmp_path / f"{seed}.sqlite"
        run(space, objectives_of(landscape, "v1"), budget=60, store=other, seed=seed)
        searches = [
            run(space, objectives_of(landscape, "v2"), tactic=quick, budget=12, seed=seed, warm_start=told)
            for told in (other, None)
        ]
        warm, cold = (found.hypervolume([40.0, 28.0]) for found in searches)
        gains.append(warm / cold)
    assert np.median(gains) > 1.05


def test_the_first_batch_holds_what_was_best_elsewhere(space, landscape, quick, tmp_path):
    before = run(space, objectives_of(landscape, "v1"), budget=60, store=tmp_path / "other.sqlite")
    result = run(
        space, objectives_of(landscape, "v2"), quick, seed=1, batch_size=8, warm_start=tmp_path / "other.sqlite"
    )
    taken = set(result.frame["architecture"]) & set(before.frame["architecture"])
    assert len(taken) == 4
    assert taken <= set(before.pareto()["architecture"])


def test_a_results_table_is_another_scope_unless_it_is_said_to_be_the_same(space, landscape, tmp_path):
    from search.report import write_report

    before = run(space, objectives_of(landscape, "v1"), budget=8)
    write_report(before, tmp_path, title="")
    objectives = objectives_of(landscape, "v1")
    assert len(run(space, objectives, warm_start=tmp_path).frame) == 8
    assert len(run(space, objectives, warm_start=Source(tmp_path / "results.csv", same=True)).frame) == 16


def test_several_sources_and_their_names_make_a_study(space, landscape, quick, tmp_path):
    paths = [tmp_path / f"{i}.sqlite" for i in range(2)]
    for i, path in enumerate(paths):
        run(space, objectives_of(landscape, f"v{i}"), budget=20, seed=i, store=path)
    with Store() as store:
        for start in (None, paths[0], paths[:1], paths):
            run(space, objectives_of(landscape, "new"), quick, store=store, warm_start=start)
        assert len(store.studies()) == 3


def test_a_study_that_was_told_nothing_knows_nothing(space, landscape, tmp_path):
    with Store() as store:
        run(space, objectives_of(landscape, "a"), store=store)
        (study,) = store.studies()
        assert store.prior_values(study) == []
        assert store.has_begun(study)


@pytest.mark.parametrize("relation", ["same order", "none", "opposite"])
def test_a_prior_is_believed_as_far_as_it_agrees(space, landscape, relation):
    rng = np.random.default_rng(0)
    genes = space.sample_genes(400, rng)
    value = landscape.accuracy(space.decode(genes))
    told = {"same order": 3 * np.log(value) - 5, "none": rng.normal(size=400), "opposite": -value}[relation]
    prior = Prior(space, "elsewhere", genes[:200], told[:200])
    expected = expectation([prior], genes[200:220], value[200:220])
    error = value[220:] - expected(genes[220:])
    if relation == "same order":
        assert error.std() < 0.3 * value.std()
        assert abs(error.mean()) < 0.3 * value.std()
    else:
        assert len(expected.priors) == 0
        assert (expected(genes) == 0).all()


def test_priors_that_say_the_same_are_not_counted_twice(space, landscape):
    genes = space.sample_genes(300, np.random.default_rng(0))
    value = landscape.accuracy(space.decode(genes))
    prior = Prior(space, "elsewhere", genes[:200], value[:200])
    one, two = (expectation([prior] * n, genes[200:250], value[200:250]) for n in (1, 2))
    np.testing.assert_allclose(one(genes), two(genes))


def test_a_store_of_a_similar_space_is_read_as_far_as_it_fits(tmp_path, caplog):
    wide = SearchSpace(Choice("ks", (3, 5, 7, 9), repeat=2), Choice("act", ("relu", "hs")))
    narrow = SearchSpace(Choice("ks", (3, 5, 7), repeat=2), Choice("act", ("relu", "hs")))
    with Store(tmp_path / "wide.sqlite") as store:
        store.bind(wide)
        for i, architecture in enumerate(wide.sample(32)):
            store.record(Measurement(architecture, "accuracy", "v1", float(i), None, 0.0))
        store.record(Measurement(wide.sample(1, seed=5)[0], "other", "v1", 1.0, None, 0.0))
    found = values_of(tmp_path / "wide.sqlite", narrow)
    assert len(found["accuracy"]) == 18
    assert "14 of 32 rows left out" in caplog.text
    with pytest.raises(SearchError, match="holds no measurement of f1 in this search space"):
        values_of(tmp_path / "wide.sqlite", narrow, [Objective("f1", measure=len)])


def test_published_measurements_are_read(shared):
    from supernet.space import within_depth

    path = shared / "measurements" / "ofa_mbv3_imagenet_top1.csv"
    active = within_depth("d", (4,) * 5)
    space = SearchSpace(
        Choice("ks", (3, 5, 7), repeat=20, active=active),
        Choice("e", (3, 4, 6), repeat=20, active=active),
        Choice("d", (2, 3, 4), repeat=5),
        Choice("r", (128, 160, 192, 224)),
    )
    ((_, found),) = read(Source(path, fixed={"r": 224}), space, [ACCURACY]).items()
    assert len(found) == 1423
    assert max(known.value for known in found) == pytest.approx(77.5, abs=0.2)
    assert {known.architecture["r"] for known in found} == {224}
    with pytest.raises(SearchError, match="no column for 'r'"):
        read(path, space, [ACCURACY])
