"""Other tools as competitors: Optuna's samplers and plain pymoo, as their documentation uses them.

They search the raw genes. An architecture that they ask for again is answered from memory and costs no evaluation.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from comparison.trial import Competitor, Trial

POPULATION = 50
_MOST_REPEATS = 20  # asked-for architectures per evaluation, after which a competitor has converged


def available() -> dict[str, Competitor]:
    """By name."""
    return {"optuna-motpe": optuna_tpe, "optuna-nsga2": optuna_nsga2, "pymoo-nsga2": pymoo_nsga2}


def optuna_tpe(trial: Trial) -> None:
    """Optuna's TPESampler: with several objectives it is MOTPE (Ozaki et al., 2022).

    All genes are drawn at once (`multivariate`), which is better here than the default, and four times as quick.
    """
    optuna = _optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=trial.seed, multivariate=True, constant_liar=_in_rounds(trial))
    _ask_and_tell(trial, sampler)


def optuna_nsga2(trial: Trial) -> None:
    """Optuna's NSGAIISampler."""
    optuna = _optuna()
    _ask_and_tell(trial, optuna.samplers.NSGAIISampler(population_size=trial.batch or POPULATION, seed=trial.seed))


def pymoo_nsga2(trial: Trial) -> None:
    """Pymoo's NSGA-II, under a cap its genetic algorithm, with the operators that its documentation gives integers."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.problems.static import StaticProblem

    algorithm = (NSGA2 if trial.cap is None else GA)(
        pop_size=trial.batch or POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    problem = _pymoo_problem(trial)
    algorithm.setup(problem, seed=trial.seed, termination=("n_eval", _MOST_REPEATS * trial.budget), verbose=False)
    while not trial.spent and algorithm.has_next():
        asked = algorithm.ask()
        objectives, excess = trial.minimised(asked.get("X").astype(np.int64))
        values = {"F": objectives} if trial.cap is None else {"F": objectives, "G": excess[:, None]}
        algorithm.evaluator.eval(StaticProblem(problem, **values), asked)
        algorithm.tell(infills=asked)


def _pymoo_problem(trial: Trial) -> Any:
    from pymoo.core.problem import Problem

    space = trial.landscape.space
    capped = trial.cap is not None
    return Problem(
        n_var=space.n_genes,
        n_obj=1 if capped else 2,
        n_ieq_constr=1 if capped else 0,
        xl=np.zeros(space.n_genes),
        xu=space.n_values - 1,
        vtype=int,
    )


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError("this competitor needs optuna: pip install 'supernet-search[benchmarks]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _in_rounds(trial: Trial) -> bool:
    return trial.batch is not None and trial.batch > 1


def _ask_and_tell(trial: Trial, sampler: Any) -> None:
    """One by one, or a batch after the other."""
    optuna = _optuna()
    study = optuna.create_study(directions=["minimize"] * (2 if trial.cap is None else 1), sampler=sampler)
    space = trial.landscape.space
    suggest: Callable[[Any], list[int]] = lambda asked: [  # noqa: E731
        asked.suggest_int(label, 0, n - 1) for label, n in zip(space.labels, space.n_values.tolist(), strict=True)
    ]
    n_asked = 0
    while not trial.spent and n_asked < _MOST_REPEATS * trial.budget:
        batch = [study.ask() for _ in range(trial.batch or 1)]
        objectives, excess = trial.minimised(np.array([suggest(asked) for asked in batch]))
        for asked, values, over in zip(batch, objectives.tolist(), excess.tolist(), strict=True):
            if trial.cap is not None:
                asked.set_constraint("latency", over)
            study.tell(asked, values)
        n_asked += len(batch)
