"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

# tests share their cores with others, as machines of CI do: waiting threads give theirs away
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture
def shared():
    """The folder of reference data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference data in ../shared, which is not part of the project")
    return SHARED
