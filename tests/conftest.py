"""Fixtures for all tests."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# tests share their cores with others, as machines of CI do: waiting threads give theirs away
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SHARED = Path(__file__).parents[2] / "shared"
SSH_SERVER = Path(__file__).parent / "ssh_server.py"

# every run draws the same examples, however busy the machine is; `--hypothesis-profile=default` draws others
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


def pytest_configure():
    """What shells start in the background ignores Ctrl-C, and so would all that tests start and interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Fresh layers have the same weights in any selection and order of the tests."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.default_generator.manual_seed(0)


def pytest_collection_finish():
    """What is imported until here stays: garbage is looked for among what comes later, and less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_sessionfinish():
    gc.unfreeze()


@pytest.fixture(scope="session")
def takes_seconds():
    """A function that tells whether some work takes no more processor time than stated, on an undisturbed machine.

    On others it may take four times as long, in the best of three tries.
    """

    def within(stated, work):
        for _ in range(3):
            start = time.process_time()
            work()
            if time.process_time() - start < 4 * stated:
                return True
        return False

    return within


@pytest.fixture
def shared():
    """The folder of reference data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference data in ../shared, which is not part of the project")
    return SHARED


@dataclass(frozen=True)
class Loopback:
    """An SSH server on this machine, with its keys, its home folder and `cut` (see ssh_server.py) in a folder."""

    folder: Path

    @property
    def ssh(self):
        """The command that reaches it."""
        known = self.folder / "known"
        options = {"UserKnownHostsFile": known, "StrictHostKeyChecking": "accept-new", "IdentitiesOnly": "yes"}
        words = [f"-o{name}={value}" for name, value in options.items()]
        return ("ssh", "-F", "none", "-p", (self.folder / "port").read_text(), "-i", str(self.folder / "key"), *words)


@pytest.fixture(scope="session")
def loopback(tmp_path_factory):
    """The server, while tests run."""
    pytest.importorskip("asyncssh", reason="needs asyncssh for an SSH server on loopback")
    if shutil.which("ssh") is None:
        pytest.skip("needs the ssh command")
    folder = tmp_path_factory.mktemp("sshd")
    with subprocess.Popen([sys.executable, str(SSH_SERVER), str(folder)], stdin=subprocess.PIPE) as process:
        while not (folder / "port").exists():
            assert process.poll() is None, "the SSH server ended instead of serving"
            time.sleep(0.02)
        yield Loopback(folder)
        process.stdin.close()
