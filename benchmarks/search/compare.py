"""Compares our tactics with other tools at equal numbers of measurements, and writes a table and a figure.

    python benchmarks/search/compare.py --landscapes DIR         # everything: hours; goes on where it was stopped
    python benchmarks/search/compare.py --scenarios synthetic unordered    # without further data
    python benchmarks/search/compare.py --landscapes DIR --tactics bayesian bayesian:predictor=ridge --scenarios front
    python benchmarks/search/compare.py --landscapes DIR --only-report

DIR is a folder with landscapes.py and reference.json: accuracy and latency models of OFA MobileNetV3. A competitor is
one of our tactics, with settings if wanted ("linas:population=50,predictor=ridge"; what follows "@" in "bayesian@old"
only tells results apart), or a peer: Optuna's samplers (need `pip install 'supernet-search[benchmarks]'`) and pymoo.

Scenarios: "front" is the hypervolume of accuracy and latency as a share of the best known; "noisy" the same with noise
on measured accuracies, scored without; "rugged" the same on another accuracy model; "rounds" with batches of 32;
"caps" the best accuracy below a latency; "synthetic" made-up landscapes of several spaces,
"unordered" such ones of operations that have no order.

Every finished search is appended to the results file. A tactic whose batches depend on the budget is run once per
budget, any other once with the largest. CPU seconds are those of a search beside measuring accuracy, which is instant.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import threadpoolctl
from comparison import landscapes, ours, peers
from comparison.best import Known
from comparison.landscapes import Landscape
from comparison.report import write
from comparison.results import Curve, Results, Run
from comparison.scenarios import SCENARIOS, Scenario
from comparison.trial import Competitor, Trial

import search
from hardware.provenance import cpu_model

HERE = Path(__file__).parent
DEVICES = ("titan_xp_1", "v100_64", "2080ti_32")
BUDGETS = (50, 100, 150, 250, 500, 1000)


def main() -> None:
    """Runs what is missing, then reports."""
    options = _parser().parse_args()
    threadpoolctl.threadpool_limits(1)
    results = Results(options.results, options.others)
    if options.merge:
        results.keep()
    if options.again:
        n = results.forget(lambda run: run.tactic in options.again)
        print(f"forgot {n} searches of {', '.join(options.again)}", flush=True)
    known = Known(options.results.with_name("best_known.json"))
    if not options.only_report:
        for name in options.scenarios:
            _run(name, options, results, known)
        results.pack()
    write(results, options.report, options.scenarios, options.budgets, options.shown)


def _run(name: str, options: argparse.Namespace, results: Results, known: Known) -> None:
    machine = cpu_model()
    competitors = {label: _competitor(label) for label in options.tactics}
    for landscape in _landscapes(SCENARIOS[name], options):
        for run in _runs(SCENARIOS[name], landscape.name, options):
            if run in results.curves:
                continue
            bound = None if run.cap is None else landscape.cap(run.cap)
            trial = Trial(landscape, run.budget, run.seed, run.noise, run.batch, bound)
            start = process_time()
            competitors[run.tactic](trial)
            cpu_s = process_time() - start - trial.measuring_s
            curve = Curve.of(trial.scores(known.best(landscape, run.cap)), cpu_s, machine)
            results.add(run, curve)
            print(f"{name}: {run} -> {curve.score[-1:]} in {cpu_s:.1f} CPU s", flush=True)


def _runs(scenario: Scenario, landscape: str, options: argparse.Namespace) -> Iterator[Run]:
    """Seed by seed, so that a part of the benchmark is a fair part."""
    fitting = [budget for budget in options.budgets if budget <= scenario.largest]
    budgets = sorted({*fitting, min(scenario.largest, max(options.budgets))})
    for seed in range(options.seeds):
        for label in options.tactics:
            once = scenario.batch is not None or ours.one_search_serves(label, budgets)
            for budget in budgets[-1:] if once else budgets:
                for cap in scenario.caps:
                    yield Run(label, landscape, budget, seed, scenario.noise, scenario.batch, cap)


def _landscapes(scenario: Scenario, options: argparse.Namespace) -> Iterator[Landscape]:
    if scenario.accuracy == "synthetic":
        yield from map(landscapes.synthetic, landscapes.SYNTHETIC)
    elif scenario.accuracy == "unordered":
        yield from map(landscapes.unordered, landscapes.UNORDERED)
    elif options.landscapes is None:
        sys.exit("this scenario needs --landscapes DIR, a folder with landscapes.py, its data and reference.json")
    else:
        for device in options.devices:
            yield landscapes.released(options.landscapes, device, scenario.accuracy)


def _competitor(label: str) -> Competitor:
    return peers.available().get(label) or ours.competitor(label)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add: Any = partial(parser.add_argument)
    everyone = [*search.tactics.available(), *peers.available()]
    add("--landscapes", type=Path, help="folder with landscapes.py and reference.json")
    add("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    add("--tactics", nargs="+", default=everyone, help=f"default: {' '.join(everyone)}")
    add("--devices", nargs="+", default=DEVICES)
    add("--budgets", type=int, nargs="+", default=BUDGETS)
    add("--seeds", type=int, default=10, help="number of seeds")
    add("--results", type=Path, default=HERE / "results.jsonl.gz", help="file of finished searches, read and written")
    add("--others", type=Path, nargs="+", default=[], help="further files of finished searches, only read")
    add("--merge", action="store_true", help="write what the further files hold to the results file, too")
    add("--again", nargs="+", default=[], metavar="TACTIC", help="forget the results of these before running")
    add("--only-report", action="store_true", help="run nothing")
    add("--report", type=Path, default=Path("runs/search_benchmark"), help="folder for tables.md and figures")
    add("--shown", nargs="+", default=None, metavar="TACTIC", help="competitors in the report; default: all")
    return parser


if __name__ == "__main__":
    main()
