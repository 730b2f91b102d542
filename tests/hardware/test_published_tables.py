"""The tables that come with the benchmarks."""

from pathlib import Path

import numpy as np
import pytest

from hardware import LatencyTable

TABLES = sorted((Path(__file__).parents[2] / "benchmarks" / "hardware").glob("*/*.json"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_tables_are_complete_and_tell_their_error(path):
    table = LatencyTable.load(path)
    assert table.complete
    assert {"cpu", "versions", "date"} <= table.provenance.keys()
    unseen = [probe for probe in table.probes if probe.held_out]
    predicted = table.latency([probe.architecture for probe in unseen])
    measured = np.array([probe.measured_ms for probe in unseen])
    assert np.mean(np.abs(predicted / measured - 1)) * 100 == pytest.approx(table.error["mape_percent"])
    assert table.error["mape_percent"] < 3
    assert sum(not probe.held_out for probe in table.probes) <= 30
