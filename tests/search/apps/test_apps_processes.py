"""The console scripts as a user starts them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def start(tmp_path):
    """Runs a console script in an empty folder, beside packages of the user's own with the same names as ours."""
    if not (SCRIPTS / "supernet-search").exists():
        pytest.skip("the package is not installed: no console scripts")
    for name in ("conf", "search", "supernet"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
        (tmp_path / "elsewhere" / name / "__init__.py").write_text("raise RuntimeError('not this one')\n")

    def run(name, *arguments, **environment):
        return subprocess.run(
            [SCRIPTS / f"supernet-{name}", *map(str, arguments)],
            cwd=tmp_path / "elsewhere",
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_help_and_mistakes_come_quickly_without_torch(start):
    for arguments, code in ((["--help"], 0), (["supernet=foo"], 2)):
        ran = start("search", *arguments, PYTHONPROFILEIMPORTTIME="1")
        assert ran.returncode == code
        imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import")}
        assert "hydra" in imported
        assert not imported & {"torch", "timm", "pandas", "sklearn", "matplotlib", "pymoo"}


def test_a_killed_search_goes_on_as_if_nothing_had_happened(start, app, own, accidental, finished, tmp_path):
    folder = tmp_path / "elsewhere" / "here"
    command = [*accidental, "deploy=none"]
    accident = ["task.accidents=[[6,SIGKILL]]", "output=here"]
    killed = start("search", *command, *accident, PYTHONPATH=os.pathsep.join([str(own), *sys.path]))
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / "results.csv").exists()
    ran = app("search", *command, f"output={folder}")
    assert ran.code == 0, ran.err
    assert (folder / "results.csv").read_bytes() == (finished[0] / "results.csv").read_bytes()
    assert len((tmp_path / "validated.txt").read_text().splitlines()) == 8
