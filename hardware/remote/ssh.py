"""Profiling a machine that is reached by SSH, through the system's own `ssh` and the user's settings for it."""

import io
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hardware.remote.packing import TABLE
from hardware.remote.reading import read_manifest
from hardware.remote.templates import ledger
from hardware.remote.templates.profile import MANIFEST, RESULTS

_CUT = 255  # exit code of ssh itself
_UNCHANGING = ("-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")


class RemoteError(ConnectionError):
    """The other machine cannot be reached, lacks something, or the connection was cut."""


@dataclass(frozen=True)
class Host:
    """A machine behind `ssh`.

    Args:
        address: as given to ssh: `board`, `user@board`, or a name of the user's ssh configuration.
        python: the Python there, with numpy and onnxruntime: a command, or a path (`~/venv/bin/python`).
        folder: where bundles lie there, relative to the home folder.
        ssh: the command and further options, for example `("ssh", "-p", "2222")`.
    """

    address: str
    python: str = "python3"
    folder: str = ".cache/supernet-search"
    ssh: Sequence[str] = ("ssh",)

    def __post_init__(self) -> None:
        if not self.address or self.address.startswith("-") or any(c.isspace() for c in self.address):
            raise ValueError(f"host must be a name or user@name, got {self.address!r}")
        if not self.ssh or shutil.which(self.ssh[0]) is None:
            raise RemoteError(
                f"{self.address}: there is no program {' '.join(self.ssh[:1]) or 'for ssh'} on this machine"
            )

    def profile(self, bundle: str | Path, say: Callable[[str], None] = lambda _: None) -> Path:
        """Copies a profile bundle there unless it is there, runs it, and brings its results into the bundle.

        What an earlier, interrupted call measured is kept there, or goes there with the bundle, and is gone on from.
        Results come back also where the connection is cut later, or the program fails.

        Args:
            bundle: a folder that `write_profile_bundle` wrote.
            say: called with each line that the program prints there, and with what is done here.

        Raises TableError for a folder that is no profile bundle, and RemoteError saying which step failed, what ssh or
        the program printed last, and what to do.
        """
        bundle = Path(bundle)
        read_manifest(bundle)
        there = PurePosixPath(self.folder) / ledger.digest_of(bundle / MANIFEST)[:16]
        if not self._has(there):
            say(f"copying the bundle to {self.address}:{there}")
            self._upload(bundle, there)
        say(f"measuring on {self.address}")
        failure = None
        try:
            self._measure(there, say)
        except RemoteError as error:
            failure = error
        try:
            (bundle / RESULTS).write_bytes(self._run(f"cat {_quoted(there / RESULTS)}", "bringing the results back"))
        except RemoteError as error:
            raise failure or error from None
        if failure is not None:
            raise failure
        return bundle / RESULTS

    def _has(self, there: PurePosixPath) -> bool:
        """Whether the whole bundle is there: its manifest is copied last."""
        script = f"if test -f {_quoted(there / MANIFEST)}; then echo yes; else echo no; fi"
        return self._run(script, "asking for the bundle").split()[-1:] == [b"yes"]

    def _upload(self, bundle: Path, there: PurePosixPath) -> None:
        first, last = f"{there}.partial", str(there)
        command = f"mkdir -p {_quoted(first)} && tar xf - -C {_quoted(first)}"
        self._run(command, "copying the bundle", _archive(bundle))
        self._run(f"rm -rf {_quoted(last)} && mv {_quoted(first)} {_quoted(last)}", "copying the bundle")

    def _measure(self, there: PurePosixPath, say: Callable[[str], None]) -> None:
        command = f"cd {_quoted(there)} && exec {_quoted(self.python)} profile.py"
        lines: list[str] = []
        with subprocess.Popen(
            self._command(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            try:
                for line in process.stdout or ():
                    lines.append(line.rstrip())
                    say(lines[-1])
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise self._error(f"measuring in {there}", process.returncode, "\n".join(lines[-3:]))

    def _run(self, command: str, what: str, standard_input: bytes = b"") -> bytes:
        """Output of a command of the shell there; `what` it is for, in messages."""
        done = subprocess.run(self._command(command), input=standard_input, capture_output=True, check=False)
        if done.returncode:
            raise self._error(what, done.returncode, done.stderr.decode("utf-8", "replace"))
        return done.stdout

    def _command(self, remote: str) -> list[str]:
        return [*self.ssh, *_UNCHANGING, "--", self.address, remote]

    def _error(self, what: str, code: int, printed: str) -> RemoteError:
        output = printed.strip() or "ssh printed nothing"
        advice = "the same command goes on from what is measured" if code == _CUT else f"it ended with code {code}"
        cause = "the connection failed or was cut" if code == _CUT else "the command there failed"
        return RemoteError(f"{self.address}, {what}: {cause}; {advice}\n{output}")


def _quoted(path: PurePosixPath | str) -> str:
    """A path for the shell there, which knows what ~ is."""
    text = str(path)
    return f"~/{shlex.quote(text[2:])}" if text.startswith("~/") else shlex.quote(text)


def _archive(bundle: Path) -> bytes:
    """The files that the program needs there, as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(bundle.rglob("*")):
            if path.is_file() and path.name != TABLE:
                archive.add(path, path.relative_to(bundle))
    return buffer.getvalue()
