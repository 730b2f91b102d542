"""`search.run`: checks its arguments, opens the store and starts the driver."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from search.descriptors import Descriptor
from search.driver import Driver, n_workers
from search.engines import Engine, LocalEngine
from search.errors import SearchError, require_count
from search.history import History
from search.identity import as_data, identity_of
from search.objective import Objective
from search.prior import priors_of
from search.problem import Problem
from search.progress import show
from search.result import Result
from search.sources import begin, described_sources, read
from search.store import Store
from search.tactics import Tactic, create, default_batch_size, settings_of
from supernet.space import SearchSpace

logger = logging.getLogger("search")


def run(
    space: SearchSpace,
    objectives: Sequence[Objective],
    *,
    tactic: str | Tactic = "bayesian",
    budget: int = 250,
    seed: int = 0,
    store: str | os.PathLike[str] | Store | None = None,
    constraints: Mapping[str, Any] | None = None,
    warm_start: Any = None,
    batch_size: int | None = None,
    predictor: Any = "auto",
    descriptors: Sequence[Descriptor] = (),
    engine: Engine | None = None,
    asynchronous: bool | None = None,
    retry_failed: bool = False,
    progress: bool | Callable[[History], None] = True,
    name: str | None = None,
) -> Result:
    """Searches for the architectures with the best trade-offs between the objectives.

    With a store, a search that was stopped (in whatever way) goes on where it was when it is run again, and a larger
    budget continues a finished one. A search is the same study as an earlier one if it has the same objectives,
    constraints, tactic with its settings, seed, batch size, descriptors, warm start and name. Other studies in the same
    store share its measurements.

    Args:
        space: of the architectures.
        objectives: one or more, at least one of them with a goal.
        tactic: a name in `search.tactics.available()`, or a tactic. For the default see `search.tactics.bayesian`.
        budget: number of architectures to evaluate, failed ones included.
        seed: integer of at least 0, from which everything random is drawn.
        store: path of a file, an open store, or None for a store in memory.
        constraints: bounds by objective name, as in `{"latency": ("<=", 20.0)}`; a number alone means "at least this
            good". Bounds on cheap objectives are exact: architectures that violate them are never measured.
        warm_start: measurements to start from: a store, the folder of a search, its results.csv, a results file of
            DyNAS-T, a CSV or a DataFrame; a `search.Source` that says how to read one of these; or a list. Values of
            the same objective and scope count as measured, beside the budget (batch -1). All others inform the tactic,
            as far as measurements here agree with them, and never appear among the results. It is read when a study
            begins; later changes of a file have no effect on that study.
        batch_size: architectures per proposal. None: the tactic decides: "bayesian" takes a sixtieth of the budget (at
            least 5), "weaknas" 10, "random" up to 50, others a fifth of the budget (4 to 50). A study keeps the batch
            size that it began with.
        predictor: of a tactic that is given by name and predicts: a name for `predictors.create`, a predictor, or a
            function that makes one. "auto" is the tactic's own choice, a Gaussian process for "bayesian".
        descriptors: numbers that predictors may learn from beside the genes; they do where that helps. See
            `search.cost_descriptors` and `search.proxy_descriptors`.
        engine: makes the measurements. None: one after the other in this process. See `search.ProcessEngine`.
        asynchronous: True: propose again whenever a worker is free, after the first batch; proposals then depend on
            which measurements are known by that time. False: propose batch by batch; equal seeds give equal results.
            None: True for an engine with several workers.
        retry_failed: measure again what failed in earlier runs with this store; what succeeded is kept.
        progress: True for a bar on a terminal and log lines elsewhere, False for neither, or a function that is called
            with the history after each evaluation.
        name: tells studies apart that are otherwise the same.

    Raises:
        SearchError: (a ValueError) names what is wrong and what is allowed. Measurements made so far stay in the store.
    """
    problem = Problem.of(space, objectives, constraints, descriptors)
    require_count("seed", seed, 0)
    for flag, value in (("asynchronous", asynchronous), ("retry_failed", retry_failed)):
        if value not in (True, False, None):
            raise SearchError(f"{flag} must be True or False, got {value!r}")
    if name is not None and not isinstance(name, str):
        raise SearchError(f"name must be a string or None, got {name!r}")
    engine = _engine(engine)
    tactic = _tactic(tactic, predictor)
    size = first_batch_size(tactic, budget, batch_size)
    settings = {"tactic": as_data(tactic), "seed": int(seed), "batch_size": as_data(batch_size), "name": name}
    settings |= {"descriptors": problem.descriptors.identity} if len(problem.descriptors) else {}
    settings |= {"warm_start": described_sources(warm_start)} if warm_start is not None else {}
    asynchronous = n_workers(engine) > 1 if asynchronous is None else bool(asynchronous)
    with show(progress, budget) as reporter, _opened(store) as opened, _closed_after(engine):
        opened.bind(space)
        if retry_failed:
            _forget_failures(opened, problem)
        problem = replace(problem, descriptors=problem.descriptors.kept_in(opened))
        study = opened.study(identity_of(problem, settings), size)
        if warm_start is not None and not opened.has_begun(study):
            begin(opened, study, problem, read(warm_start, space, problem.objectives))
        return Driver(
            problem,
            tactic,
            opened,
            study,
            engine,
            int(budget),
            int(seed),
            reporter,
            asynchronous,
            priors_of(space, opened.prior_values(study)),
        ).run()


def _forget_failures(store: Store, problem: Problem) -> None:
    expensive = [objective for objective in problem.objectives if objective.expensive]
    if n_failed := sum(store.forget_failures(objective.name, objective.scope) for objective in expensive):
        logger.info("failed measurements to be made again: %d", n_failed)


def _tactic(tactic: Any, predictor: Any) -> Tactic:
    if isinstance(tactic, str) and "predictor" in settings_of(tactic):
        return create(tactic, predictor=predictor)
    if isinstance(tactic, str):
        if predictor != "auto":
            logger.warning("tactic %r predicts nothing: predictor=%r is not used", tactic, predictor)
        return create(tactic)
    if isinstance(tactic, type):
        raise SearchError(f"tactic must be an object, not its class: give {tactic.__name__}(...)")
    if not callable(getattr(tactic, "propose", None)):
        raise SearchError(f"tactic must be a name or have a method propose(history, n, rng), got {tactic!r}")
    if predictor != "auto":
        raise SearchError("predictor applies to a tactic given by name: a tactic object holds its own")
    return tactic  # type: ignore[no-any-return]


def _engine(engine: Any) -> Engine:
    if engine is None:
        return LocalEngine()
    if isinstance(engine, type) or not callable(getattr(engine, "measure", None)):
        raise SearchError(f"engine must be an object with measure(jobs), as search.ProcessEngine() is, got {engine!r}")
    return engine  # type: ignore[no-any-return]


def first_batch_size(tactic: Tactic, budget: int, given: int | None) -> int:
    """Number of architectures per batch of a new study; `given` is the `batch_size` of `run`.

    Raises SearchError for a budget below what is given; one below what the tactic wants ends in the first batch.
    """
    require_count("budget", budget, 1)
    if given is not None:
        require_count("batch_size", given, 1)
    size = getattr(tactic, "batch_size", default_batch_size)(budget) if given is None else given
    if given is not None and budget < given:
        raise SearchError(
            f"budget {budget} is smaller than the first batch of {given}: raise the budget, "
            f"or set batch_size to at most {budget}"
        )
    return int(size)


@contextmanager
def _closed_after(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        getattr(engine, "close", lambda: None)()


def _opened(store: Any) -> Any:
    if isinstance(store, Store):
        return nullcontext(store)
    if store is not None and not isinstance(store, (str, os.PathLike)):
        raise SearchError(f"store must be a path, a search.Store or None, got {store!r}")
    return Store(store)
