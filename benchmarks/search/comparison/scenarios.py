"""What is compared, under which headings."""

from dataclasses import dataclass

from comparison.results import Run


@dataclass(frozen=True)
class Scenario:
    """One heading.

    Args:
        title: says what it is about.
        accuracy: which model of accuracy, on every device; "synthetic", "unordered": made-up landscapes.
        noise: standard deviation on measured accuracies, in percent.
        batch: architectures per batch; None: as each competitor wants.
        caps: quantiles of latency below which accuracy counts alone; None: the front counts.
        largest: of the budgets, the last that this looks at.
    """

    title: str
    accuracy: str = "measured"
    noise: float = 0.0
    batch: int | None = None
    caps: tuple[float | None, ...] = (None,)
    largest: int = 1000


SCENARIOS = {
    "front": Scenario("accuracy and latency"),
    "noisy": Scenario("noise of 0.03 on measured accuracies, scored without", noise=0.03),
    "rugged": Scenario("another, rugged model of accuracy", accuracy="predictor"),
    "rounds": Scenario("rounds of 32", batch=32, largest=256),
    "caps": Scenario("accuracy alone, below a latency", caps=(0.25, 0.5, 0.75), largest=150),
    "synthetic": Scenario("made-up landscapes of several spaces", accuracy="synthetic", largest=250),
    "unordered": Scenario("made-up landscapes of operations without an order", accuracy="unordered", largest=100),
}


def includes(scenario: Scenario, run: Run) -> bool:
    """Whether a run belongs to a scenario."""
    return (
        run.landscape.startswith(f"{scenario.accuracy}/")
        and (run.noise, run.batch) == (scenario.noise, scenario.batch)
        and run.cap in scenario.caps
    )
