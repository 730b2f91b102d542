"""Other tools as competitors: Optuna's samplers and plain pymoo, as their documentation uses them, and DyNAS-T's LINAS.

They search the raw genes. An architecture that they ask for again is answered from memory and costs no evaluation.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from comparison.landscapes import Floats
from comparison.trial import Competitor, Trial
from supernet.space import Genes

POPULATION = 50
LINAS_EVALUATIONS = 20_000  # of predictions, for each batch
_MOST_REPEATS = 20  # asked-for architectures per evaluation, after which a competitor has converged


def available() -> dict[str, Competitor]:
    """By name."""
    return {
        "dynast-linas": dynast_linas,
        "optuna-motpe": optuna_tpe,
        "optuna-nsga2": optuna_nsga2,
        "pymoo-nsga2": pymoo_nsga2,
    }


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


def dynast_linas(trial: Trial) -> None:
    """LINAS with the settings of DyNAS-T 1.6 for OFA MobileNetV3, rebuilt: none of its code is run.

    A batch is the last population of a search on predictions alone, which begins anew each time. Accuracy and latency
    are predicted, from one-hots of all genes, by ridge or by support vectors, whichever cross-validates better (on a
    coarser grid of settings here). DyNAS-T knows no cap: a predicted one is added here.
    """
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    n_values, population = trial.landscape.space.n_values, trial.batch or POPULATION
    asked = np.random.default_rng(trial.seed).integers(n_values, size=(population, len(n_values)))
    genes, values = asked[:0], np.empty((0, 2))
    for _ in range(_MOST_REPEATS * trial.budget // population):
        genes, values = np.concatenate([genes, asked]), np.concatenate([values, _accuracy_and_latency(trial, asked)])
        if trial.spent:
            return
        algorithm = (NSGA2 if trial.cap is None else GA)(
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=15.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=0.02, eta=20.0, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        generations = ("n_gen", LINAS_EVALUATIONS // population)
        last = minimize(_predicted_problem(trial, genes, values), algorithm, generations, seed=trial.seed).pop
        asked = last.get("X").astype(np.int64)


def _accuracy_and_latency(trial: Trial, genes: Genes) -> Floats:
    """The accuracy negated, shape (n, 2)."""
    objectives, excess = trial.minimised(genes)
    return objectives if trial.cap is None else np.column_stack([objectives, excess + trial.cap])


def _predicted_problem(trial: Trial, genes: Genes, values: Floats) -> Any:
    n_values, problem = trial.landscape.space.n_values, _pymoo_problem(trial)
    predictors = [_dynast_predictor(_one_hots(genes, n_values), column) for column in values.T]

    def evaluate(x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        X = _one_hots(x.astype(np.int64), n_values)
        predicted = np.column_stack([predict(X) for predict in predictors])
        out["F"] = predicted if trial.cap is None else predicted[:, :1]
        if trial.cap is not None:
            out["G"] = predicted[:, 1:] - trial.cap

    problem._evaluate = evaluate
    return problem


def _dynast_predictor(X: Floats, y: Floats) -> Callable[[Floats], Floats]:
    """The better one of ridge and support vectors by mean absolute percentage error, of targets scaled by a decade."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.svm import SVR

    grids = [
        {"model": [Ridge()], "model__alpha": [0.1, 0.3, 1.0, 3.0, 10.0]},
        {"model": [SVR(gamma="auto", epsilon=0.0)], "model__C": [1.0, 3.0, 10.0, 30.0, 100.0]},
    ]
    decade = 10.0 ** (np.floor(np.log10(np.abs(y).max())) - 1.0)
    search = GridSearchCV(Pipeline([("model", Ridge())]), grids, scoring="neg_mean_absolute_percentage_error")
    search.fit(X, y / decade)
    return lambda X: np.asarray(decade * search.predict(X))


def _one_hots(genes: Genes, n_values: Genes) -> Floats:
    """Shape (n, sum of `n_values`), for inactive genes, too."""
    return np.concatenate([np.eye(n)[column] for n, column in zip(n_values, genes.T, strict=True)], axis=1)


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
