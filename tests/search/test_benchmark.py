"""What the comparison with other tools rests on: equal budgets, noise-free scores, and that nothing is run twice."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

import search
from supernet.space import Choice, SearchSpace


@pytest.fixture
def comparison(benchmarks):
    import comparison
    from comparison import landscapes, ours, peers, report, results, trial  # noqa: F401

    return comparison


@pytest.fixture
def land(comparison):
    space = SearchSpace(Choice("a", (1, 2, 3, 4), repeat=6), Choice("b", (1, 2)))

    def latency(architectures):
        return np.array([sum(x["a"]) + x["b"] for x in architectures], dtype=float)

    def accuracy(architectures):
        return np.array([70 + 5 * np.tanh(sum(x["a"][:3]) / 5) + (x["b"] == 2) for x in architectures])

    return comparison.landscapes.Landscape("made/up", space, accuracy, latency, (70.0, 30.0), 100.0)


def competitor(comparison, name):
    if name.startswith("optuna"):
        pytest.importorskip("optuna", reason="needs pip install 'supernet-search[benchmarks]'")
    return comparison.peers.available().get(name) or comparison.ours.competitor(name)


NAMES = ["random", "dynast-linas", "nsga2:population=10", "optuna-motpe", "optuna-nsga2", "pymoo-nsga2"]


@pytest.mark.parametrize("cap", [None, 15.0])
@pytest.mark.parametrize("name", NAMES)
def test_competitors_spend_the_budget_on_distinct_architectures(comparison, land, name, cap, monkeypatch):
    monkeypatch.setattr(comparison.peers, "LINAS_EVALUATIONS", 80)
    found, budget = [], 12 if name == "dynast-linas" else 40  # it is slow
    for _ in range(2):
        trial = comparison.trial.Trial(land, budget, seed=1, noise=0.1, batch=8, cap=cap)
        competitor(comparison, name)(trial)
        found.append(list(trial.known)[:budget])
        assert len(set(found[-1])) == budget
    assert found[0] == found[1]
    scores = trial.scores(best=100.0)
    assert len(scores) == budget
    assert (np.diff(scores[~np.isnan(scores)]) >= 0).all()


def test_scores_are_of_noise_free_values(comparison, land):
    noisy, exact = (comparison.trial.Trial(land, 30, seed=0, noise=noise) for noise in (5.0, 0.0))
    architectures = land.space.sample(30, seed=3)
    told = noisy.accuracy(architectures)
    np.testing.assert_array_equal(told, noisy.accuracy(architectures))
    assert np.std(told - exact.accuracy(architectures)) == pytest.approx(5.0, rel=0.5)
    points = np.stack([land.accuracy(architectures), land.latency(architectures)], axis=1)
    share = search.hypervolume(points, land.reference, ("max", "min")) / 50
    assert noisy.scores(50)[-1] == exact.scores(50)[-1] == pytest.approx(share)


def test_labels_hold_settings(comparison):
    name, settings = comparison.ours.parsed("bayesian@old:predictor=ridge,initial=20,optimism=0.1")
    assert (name, settings) == ("bayesian", {"predictor": "ridge", "initial": 20, "optimism": 0.1})
    with pytest.raises(search.SearchError, match="no setting 'size'"):
        comparison.ours.competitor("bayesian:size=3")


def test_a_curve_tells_the_score_after_each_evaluation(comparison):
    scores = np.array([np.nan, np.nan, 0.25, 0.25, 0.5, 0.75])
    curve = comparison.results.Curve.of(scores, 1.0, "here")
    np.testing.assert_array_equal(curve.after(np.arange(1, 9)), [*scores, np.nan, np.nan])
    assert [curve.reached(level) for level in (0.1, 0.5, 0.6, 0.8)] == [3, 5, 6, np.inf]


def test_results_survive_a_kill(comparison, tmp_path):
    path = tmp_path / "results.jsonl.gz"
    results = comparison.results
    runs = [results.Run("t", "l", budget=4, seed=seed) for seed in range(5)]
    curve = results.Curve.of(np.array([0.1, 0.2, 0.2, 0.3]), 1.0, "here")
    first = results.Results(path)
    for run in runs:
        first.add(run, curve)
    path.write_bytes(path.read_bytes()[:-20])  # torn while the last one was written
    second = results.Results(path)
    assert second.curves == dict.fromkeys(runs[:-1], curve)
    second.add(runs[-1], curve)
    assert results.Results(path).curves == dict.fromkeys(runs, curve)
    merged = results.Results(tmp_path / "own.gz", [path])
    merged.keep()
    assert results.Results(tmp_path / "own.gz").curves == merged.curves == dict.fromkeys(runs, curve)
    assert second.forget(lambda run: run.seed < 2) == 2
    with gzip.open(path, "rt") as file:
        assert len(file.readlines()) == 3


def test_the_report_holds_every_competitor(comparison, tmp_path):
    results = comparison.results.Results(tmp_path / "results.jsonl.gz")
    for tactic, level in (("slow", 0.5), ("bayesian", 0.97)):
        for seed in range(3):
            scores = np.minimum(level + 0.01 * seed, np.linspace(0.2, 2, 50))
            run = comparison.results.Run(tactic, "measured/phone", budget=50, seed=seed)
            results.add(run, comparison.results.Curve.of(scores, 1.0, "a machine"))
    comparison.report.write(results, tmp_path, ["front", "caps"], [25, 50], None)
    text = (tmp_path / "tables.md").read_text()
    assert "| slow | 0.510 | 0.510 | never | never | never | never | 2 at 50 |" in text
    assert "| bayesian | 0.980 | 0.980 | 21 | 22 | 22 | never | 2 at 50 |" in text
    assert "| slow | 50 | 0.510 | 10 | 5.0 |" in text
    assert (tmp_path / "front.png").stat().st_size > 10_000
    assert not (tmp_path / "caps.png").exists()


def test_the_command_runs_what_is_missing(comparison, monkeypatch, capsys, tmp_path):
    shared = Path(__file__).parents[3] / "shared" / "landscapes"
    if not (shared / "reference.json").exists():
        pytest.skip(f"needs the landscapes in {shared}")
    import compare

    def run(*arguments):
        places = ["--landscapes", shared, "--results", tmp_path / "r.jsonl.gz", "--report", tmp_path]
        settings = ["--scenarios", "rounds", "--devices", "titan_xp_1", "--budgets", "32", "--seeds", "1"]
        monkeypatch.setattr(sys, "argv", list(map(str, ["compare.py", *places, *settings, *arguments])))
        compare.main()
        return capsys.readouterr().out.count("rounds: Run(")

    assert run("--tactics", "random", "pymoo-nsga2") == 2
    assert run("--tactics", "random", "pymoo-nsga2", "nsga2") == 1
    assert run("--tactics", "random", "nsga2", "--again", "random") == 1
    assert run("--only-report") == 0
    rows = (tmp_path / "tables.md").read_text().count("| nsga2 | 0.")
    assert rows == 2  # of the summary and of the only landscape
