import io
import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

import search
from predictors.metrics import spearman
from search import History, Measurement, Objective, Problem, Result, SearchError, Store, tactics
from search.report import Baseline, console_table, front_table, results_table, write_report
from supernet.space import Choice, SearchSpace

NASTY = "<script>alert('1')</script> & \"a,b\"\nline two"


class Page(HTMLParser):
    """Tags with attributes, and the text outside of scripts and styles."""

    VOID = ("meta", "link", "br")

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.open, self.depth_error = [], [], [], False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self.depth_error |= not self.open or self.open.pop() != tag

    def handle_data(self, data):
        if not set(self.open) & {"script", "style"}:
            self.words.append(data)

    def all(self, tag, kind=None):
        return [a for t, a in self.tags if t == tag and (kind is None or kind in (a.get("class") or "").split())]


def ran(space, objectives, budget=20, tactic="random", **settings):
    return search.run(space, objectives, tactic=tactic, budget=budget, progress=False, **settings)


def written(result, directory, **settings):
    paths = write_report(result, directory, title="A title", **settings)
    return Page(paths["report.html"]), paths


@pytest.fixture
def objectives(landscape):
    extra = Objective("params", goal="max", measure=lambda batch: [1e5 * sum(a["ks"]) for a in batch], expensive=False)
    return [*landscape.objectives(3), extra]


@pytest.fixture
def guided(space, objectives, nearest):
    linas = tactics.create("linas", predictor=nearest, population=20, generations=4)
    return ran(space, objectives[:2], budget=24, tactic=linas, batch_size=8)


@pytest.fixture
def failing(space, landscape):
    def fails_often(batch):
        value = landscape.accuracy(batch)
        if len(landscape.calls) % 2 == 0:
            raise RuntimeError(NASTY)
        return value

    return ran(space, [Objective("accuracy", measure=fails_often), landscape.objectives()[1]], budget=12)


def test_the_tables_hold_every_evaluation_and_the_front(failing, space, tmp_path):
    _, paths = written(failing, tmp_path / "new" / "folder")
    assert list(paths) == ["results.csv", "front.csv", "front.png", "report.html"]
    rows, front = (pd.read_csv(paths[name]) for name in ("results.csv", "front.csv"))
    assert list(rows.columns) == [
        "id", "batch", "status", "accuracy", "latency", "predicted_accuracy", "error", "architecture",
    ]  # fmt: skip
    frame = failing.frame
    assert rows["id"].tolist() == list(range(12))
    texts = pd.read_csv(paths["results.csv"], dtype=str)
    for name in ("accuracy", "latency"):
        np.testing.assert_array_equal([float(text) for text in texts[name]], frame[name])
    assert rows["status"].tolist() == frame["status"].tolist()
    assert [space.validate(json.loads(text)) for text in rows["architecture"]] == list(frame["architecture"])
    assert set(rows.loc[rows["status"] == "failed", "error"]) == {f"accuracy: RuntimeError: {NASTY}"}
    assert list(front.columns) == [
        "rank", "id", "batch", "accuracy", "latency", "predicted_accuracy", "architecture",
    ]  # fmt: skip
    assert front["rank"].tolist() == list(range(len(front)))
    assert front["id"].tolist() == failing.pareto().index.tolist()
    assert front["architecture"].tolist() == rows["architecture"][front["id"]].tolist()
    assert front["latency"].is_monotonic_increasing


def test_the_page_is_well_formed_and_asks_for_nothing_from_outside(guided, tmp_path):
    page, _ = written(guided, tmp_path, device={"name": "cpu"}, provenance={"a": {"b": [1]}}, chosen=[0])
    assert not page.open
    assert not page.depth_error
    links = [value for _, a in page.tags for key, value in a.items() if key in ("src", "href", "xlink:href", "action")]
    assert links == ["data:,"]
    assert not any(word in page.source for word in ("url(", "@import", "http:", "https:", "fetch("))
    assert "prefers-color-scheme: dark" in page.source


def test_markup_in_errors_names_and_provenance_stays_text(failing, space, tmp_path):
    page, _ = written(failing, tmp_path / "a", device={"<b>x</b>": NASTY}, provenance={"cpu": [{"<i>": NASTY}]})
    assert len(page.all("script")) == 1
    assert not page.all("i")
    assert page.text.count("<script>alert('1')</script> & \"a,b\" line two") >= 8
    named = ran(space, [Objective("<u>a$b_</u>", measure=lambda batch: [1.0] * len(batch))], budget=3)
    paths = write_report(named, tmp_path / "b", title="$\\frac{<u>")
    page = Page(paths["report.html"])
    assert not page.all("u")
    assert "$\\frac{<u>" in page.text
    assert "<u>a$b_</u>" in page.text


def test_the_headline_counts(failing, tmp_path):
    page, _ = written(failing, tmp_path)
    cards = page.text[: page.text.index("Pareto front")]
    front = failing.pareto()
    assert "evaluations 12 in 1 batch" in cards
    assert "failed 6 50.0% of all" in cards
    assert f"on the front {len(front)} of 6 feasible" in cards
    volume = float(cards.split("hypervolume ")[1].split()[0].replace(",", ""))
    assert volume == pytest.approx(failing.hypervolume(), rel=1e-2)
    assert f"latency (ms) {front['latency'].min():.2f} – {front['latency'].max():.2f}" in cards
    assert "6 failed, not shown" in page.text


@pytest.mark.parametrize(("n_objectives", "n_panels"), [(1, 1), (2, 1), (3, 3), (4, 6)])
def test_any_number_of_objectives_is_drawn(n_objectives, n_panels, space, objectives, tmp_path):
    result = ran(space, objectives[:n_objectives])
    page, paths = written(result, tmp_path)
    drawn = [a["aria-label"] for a in page.all("svg", "panel")]
    assert len([label for label in drawn if label.startswith(("Pareto front", "Best value so far"))]) == n_panels
    assert len([label for label in drawn if label.startswith("Hypervolume")]) == (n_objectives > 1)
    with Image.open(io.BytesIO(paths["front.png"].read_bytes())) as image:
        image.load()
        assert image.format == "PNG"
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_every_front_architecture_has_a_mark_and_a_row_with_its_values(guided, tmp_path):
    page, _ = written(guided, tmp_path)
    front = guided.pareto()
    in_legend = 1
    assert len(page.all("circle", "mark")) == len(front) + in_legend
    cells = [float(a["data-v"]) for a in page.all("td", "number") if "data-v" in a]
    table = np.array(cells).reshape(len(front), 4)
    expected = np.column_stack([np.arange(len(front)), front.index, front["accuracy"], front["latency"]])
    np.testing.assert_array_equal(table, expected)
    assert all(a.to_json() in page.text for a in front["architecture"])


def test_the_predictor_fit_is_of_what_was_predicted_before_measuring(guided, tmp_path):
    page, _ = written(guided, tmp_path)
    known = guided.frame.dropna(subset="predicted_accuracy")
    rank_correlation = spearman(known["accuracy"], known["predicted_accuracy"])
    assert f"accuracy · {len(known)} predicted before measuring" in page.text
    assert f"Spearman {rank_correlation:.3f}" in page.text
    error = (known["accuracy"] - known["predicted_accuracy"]).abs().mean()
    shown = float(page.text.split("mean error ")[1].split(" ")[0])
    assert shown == pytest.approx(error, abs=0.006)
    assert "no predictions" not in page.text


def test_tactics_without_predictions_say_so(space, objectives, tmp_path):
    page, _ = written(ran(space, objectives[:3]), tmp_path)
    assert "accuracy: no predictions." in page.text
    assert "size: no predictions." in page.text
    assert "latency: no predictions." not in page.text


def test_only_active_positions_are_pictured(guided, space, tmp_path):
    page, _ = written(guided, tmp_path)
    cells = sum(a["d"].count("M") for a in page.all("path", "cell"))
    assert cells == space.active(guided.history.genes[guided.pareto().index]).sum()


def test_the_front_is_compared_with_the_largest(guided, space, tmp_path):
    front, largest = guided.pareto(), space.largest
    genes = space.encode([largest])
    assert not (guided.history.genes == genes).all(axis=1).any()
    latency = float(guided.history.objectives[1].measure([largest])[0])
    fastest = front.iloc[0]
    faster = f"{latency / fastest['latency']:.1f}× faster"
    page, _ = written(guided, tmp_path)
    assert page.text.count(faster) == 1
    assert not page.all("path", "baseline")  # its accuracy is not known
    with Store() as store:
        store.bind(space)
        store.record(Measurement(largest, "accuracy", "", float(front["accuracy"].max()) + 1.5, None, 1.0))
        known = Baseline.of(guided, store, "unknown remark")
    page, paths = written(guided, tmp_path, baseline=known)
    less = front["accuracy"].max() + 1.5 - fastest["accuracy"]
    assert f"{faster}, {less:.2f} points less accuracy" in page.text
    assert "1.50 points less accuracy" in page.text
    assert "unknown remark" not in page.text
    assert len(page.all("path", "baseline")) == 2  # in the diagram, and in its legend
    assert len(page.all("tfoot")) == 1
    assert "largest sub-network" in printed(console_table(guided, baseline=known), 80)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([90.0, 5.0, 2.0], "4.0× faster, 20× less energy, 5.00 points less accuracy"),
        ([96.5, 30.0, 80.0], "1.50× slower, 2.0× more energy, 1.50 points more accuracy"),
        ([95.0, 20.0, np.nan], "same latency, same accuracy"),
        ([95.0, 0.0, 20.0], "20 ms less latency, 2.0× less energy, same accuracy"),
    ],
)
def test_differences_are_told_in_words(ten, values, told):
    def measure(architectures):
        return [0.0] * len(architectures)

    objectives = [
        Objective("accuracy", measure=measure),
        Objective("latency", goal=None, measure=measure),
        Objective("energy", goal="min", measure=measure),
    ]
    problem = Problem.of(ten, objectives, {"latency": ("<=", 50)})
    genes = ten.encode([ten.smallest])
    result = Result(History.empty(problem).extended(genes, np.array([values]), 0), np.zeros((1, 3)), [None], {}, "")
    assert Baseline(problem, ten.largest, np.array([95.0, 20.0, 40.0])).compared(result, 0) == told


def test_chosen_architectures_are_pointed_out_on_and_beside_the_front(guided, tmp_path):
    front = guided.pareto().index.tolist()
    beside = next(row for row in range(24) if row not in front)
    mapping = dict(guided.frame["architecture"][front[-1]])
    page, _ = written(guided, tmp_path, chosen=[mapping, beside])
    assert len(page.all("tr", "chosen")) == 2
    assert len(page.all("span", "badge")) == 2
    in_legend = 1
    assert len(page.all("circle", "chosen")) == 2 + in_legend
    assert f"id {beside}" in page.text
    plain, _ = written(guided, tmp_path)
    assert "deployed" not in plain.text


def test_chosen_must_have_been_evaluated(guided, space, tmp_path):
    known = set(guided.frame["architecture"])
    other = next(a for a in space.sample(30) if a not in known)
    with pytest.raises(SearchError, match=r"there is no evaluation 24, ids are 0\.\.23"):
        write_report(guided, tmp_path, title="", chosen=[24])
    with pytest.raises(SearchError, match="none of the 24 architectures evaluated"):
        write_report(guided, tmp_path, title="", chosen=[other])
    assert not list(tmp_path.iterdir())


def test_a_search_that_found_nothing_is_reported(space, objectives, tmp_path):
    result = ran(space, objectives[:2], budget=6, constraints={"accuracy": 1000})
    page, paths = written(result, tmp_path)
    assert len(pd.read_csv(paths["front.csv"])) == 0
    assert "no evaluated architecture is feasible" in page.text
    assert "violates a constraint" in page.text
    assert "subject to accuracy >= 1000" in page.text


def test_a_search_that_evaluated_nothing_is_reported(space, objectives, tmp_path):
    empty = Result(History.empty(Problem.of(space, objectives[:2])), np.zeros((0, 2)), [], {}, "stopped")
    page, paths = written(empty, tmp_path)
    assert "evaluations 0" in page.text
    assert paths["results.csv"].read_text().count("\n") == 1


def test_constant_objectives_and_one_success_are_reported(space, tmp_path):
    calls = []

    def once(batch):
        calls.append(batch)
        return [1.0 if len(calls) == 2 else np.nan]

    latency = Objective("latency", goal="min", measure=lambda batch: [0.0] * len(batch), expensive=False)
    page, _ = written(ran(space, [Objective("accuracy", measure=once), latency], budget=8), tmp_path)
    assert "failed 7" in page.text
    assert "on the front 1 of 1 feasible" in page.text


def wide_space():
    return SearchSpace(
        Choice("width", tuple(range(8, 264, 8)), repeat=90), Choice("operator", ("convolution", "skip"), repeat=48)
    )


def scalar_space():
    return SearchSpace(Choice("width", (16, 32, 64)), Choice("act", ("relu", "<hs>")), Choice("groups", (1,)))


@pytest.mark.parametrize("make_space", [wide_space, scalar_space])
def test_any_space_is_pictured(make_space, tmp_path):
    space = make_space()
    features = np.linspace(0, 1, int(space.n_values.sum()))
    objectives = [
        Objective("accuracy", measure=lambda batch: space.features(batch) @ features),
        Objective("latency", goal="min", measure=lambda batch: space.features(batch) @ features**2, expensive=False),
    ]
    result = ran(space, objectives, budget=6)
    page, _ = written(result, tmp_path)
    n_repeated = sum(choice.n_genes for choice in space.choices if choice.repeat)
    assert sum(a["d"].count("M") for a in page.all("path", "cell")) == n_repeated * len(result.pareto())
    if not n_repeated:
        assert "Fixed: groups = 1" in page.text
        assert str(result.pareto()["architecture"].iloc[0]["width"]) in page.text


def test_a_thousand_evaluations_make_a_small_page_quickly(space, objectives, tmp_path, make_history, takes_seconds):
    history = make_history(space, objectives, 1000)
    noise = np.random.default_rng(0).normal(size=history.values.shape)
    result = Result(history, history.values + noise, [None] * 1000, {}, "done")
    assert takes_seconds(5, lambda: written(result, tmp_path))  # it takes one
    page, paths = written(result, tmp_path)
    assert paths["report.html"].stat().st_size < 3e6
    assert len(page.all("tbody")) == 1


def test_long_fronts_and_many_failures_are_thinned(space, tmp_path, make_history):
    values = np.arange(900.0)
    objectives = [
        Objective("a", goal="min", measure=lambda batch: values[: len(batch)]),
        Objective("b", measure=lambda batch: np.where(values < 500, values, np.nan)[: len(batch)]),
    ]
    history = make_history(space, objectives, 900)
    errors = [None if value < 500 else "b: " + "long text " * 1000 for value in values]
    result = Result(history, np.full((900, 2), np.nan), errors, {}, "done")
    page, paths = written(result, tmp_path, chosen=[1, 2, 3])
    assert len(result.pareto()) == 500
    assert "of 500 rows; front.csv holds all" in page.text
    assert "The first 200 of 400; results.csv holds all" in page.text
    assert len(page.all("tr", "chosen")) == 3
    assert paths["report.html"].stat().st_size < 3e6
    assert len(pd.read_csv(paths["front.csv"])) == 500


def test_the_same_result_gives_the_same_files(guided, tmp_path):
    first, second = (written(guided, tmp_path / name)[1] for name in "ab")
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in first)


def test_device_and_provenance_are_shown(guided, tmp_path):
    provenance = {"versions": {"torch": "2.15"}, "table": {"fit": {"spearman": 0.99}, "threads": [1, 2]}, "none": None}
    page, _ = written(guided, tmp_path, device={"name": "cpu-1t"}, provenance=provenance)
    shown = page.text[page.text.rindex("Provenance") :]
    for text in ("name cpu-1t", "versions torch 2.15", "fit spearman 0.99", "threads 1, 2", "none –", "seed 0"):
        assert text in shown


def test_a_file_that_cannot_be_written_is_named_and_leaves_no_debris(guided, tmp_path):
    (tmp_path / "front.png").mkdir()
    with pytest.raises(OSError, match=r"front\.png"):
        write_report(guided, tmp_path, title="")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["front.csv", "front.png", "results.csv"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_report(guided, tmp_path / "file", title="")


def printed(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_the_console_shows_the_front_in_one_line_per_architecture(guided):
    front = guided.pareto()
    lines = [line.split("│")[1:-1] for line in printed(console_table(guided), 100).splitlines() if "│" in line]
    assert [int(cells[0]) for cells in lines] == list(range(len(front)))
    assert [int(cells[1]) for cells in lines] == front.index.tolist()
    np.testing.assert_allclose([float(cells[3]) for cells in lines], front["latency"], atol=0.006)
    assert all("d 4" in cells[4] or "d 3" in cells[4] or "d 2" in cells[4] for cells in lines)


def test_the_console_table_fits_a_narrow_terminal_and_thins_long_fronts(space, objectives, make_history):
    history = make_history(space, objectives, 60)
    result = Result(history, np.full((60, 4), np.nan), [None] * 60, {}, "done")
    text = printed(console_table(result, limit=5), 90)
    assert max(map(len, text.splitlines())) <= 90
    assert text.count("│\n") == 5
    assert f"5 of {len(result.pareto())} rows" in text
    for label in ("rank", "accuracy (%)", "latency (ms)", "params (M)"):
        assert label in text


def test_the_console_takes_names_as_they_are(space):
    result = ran(space, [Objective("[red]x[/]", measure=lambda batch: [1.0] * len(batch))], budget=2)
    assert "[red]x[/]" in printed(console_table(result), 120)


def test_the_tables_are_there_without_files(guided):
    assert len(results_table(guided)) == 24
    pd.testing.assert_series_equal(front_table(guided)["id"], pd.Series(guided.pareto().index, name="id"))


@pytest.fixture
def for_two_devices(space, landscape, nearest):
    objectives = [
        landscape.objectives()[0],
        Objective("latency@phone", goal="min", measure=landscape.latency, expensive=False),
        Objective("latency@server", goal="min", measure=landscape.size, expensive=False),
    ]
    linas = tactics.create("linas", predictor=nearest, population=20, generations=4)
    settings = {"tactic": linas, "batch_size": 6, "constraints": {"latency@server": ("<=", 270)}}
    return ran(space, objectives, budget=24, **settings)


def test_each_device_has_a_front_a_file_and_a_section(for_two_devices, tmp_path):
    result = for_two_devices
    chosen = {"phone": [int(result.pareto("phone").index[0])], "server": [int(result.pareto("server").index[-1])]}
    page, paths = written(result, tmp_path, chosen=chosen, device={"phone": {"threads": 1}, "server": {"threads": 8}})
    assert set(paths) == {
        "results.csv", "front.csv", "front_phone.csv", "front_server.csv", "front.png", "report.html",
    }  # fmt: skip
    results, joined = (pd.read_csv(paths[name]) for name in ("results.csv", "front.csv"))
    assert {"accuracy", "latency@phone", "latency@server"} <= set(results.columns)
    for device in ("phone", "server"):
        front = pd.read_csv(paths[f"front_{device}.csv"])
        assert front["id"].tolist() == result.pareto(device).index.tolist()
        assert front["latency"].is_monotonic_increasing
        np.testing.assert_allclose(front["latency"], results[f"latency@{device}"][front["id"]])
        pd.testing.assert_frame_equal(
            joined[joined["device"] == device].drop(columns="device").reset_index(drop=True), front
        )
        assert printed(console_table(result.view(device), device=device), 100).count("│\n") == len(front)
    assert [a["id"] for a in page.all("h2", "device")] == ["phone", "server"]
    assert len(page.all("span", "badge")) == 2
    drawn = [a["aria-label"].partition(":")[0] for a in page.all("svg", "panel")]
    assert sorted(drawn) == [
        *["Hypervolume over evaluations"] * 2,
        "Measured over predicted accuracy",
        *["Pareto front"] * 2,
    ]
    assert "server subject to latency <= 270" in page.text
    assert "threads 8" in page.text
    with pytest.raises(SearchError, match="unknown device 'watch', this search has phone, server"):
        write_report(result, tmp_path, title="", chosen={"watch": [0]})
