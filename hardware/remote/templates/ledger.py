"""A file of records that grows line by line; each line vouches for all before it.

Only the standard library: this file is copied into profile bundles. Python 3.9 and later.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


class LedgerError(ValueError):
    """A file of records was changed, damaged, or belongs to other work."""


class Ledger:
    """Records as JSON lines, each with a digest of itself and the line before; the first builds on `root`.

    Args:
        path: the file; it need not exist.
        root: digest of what the records are about.
    """

    def __init__(self, path: Path, root: str) -> None:
        self.path, self._root = Path(path), root
        self._last = root
        self._size = 0  # bytes of whole lines

    def read(self) -> list[dict[str, Any]]:
        """All records; a last line that was cut off half-way is left out (and overwritten by the next `append`).

        Raises LedgerError naming the first line that does not fit to those before it.
        """
        self._last, self._size = self._root, 0
        records = []
        content = self.path.read_bytes() if self.path.exists() else b""
        lines = content.split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            records.append(self._checked(line, number))
            self._size += len(line) + 1
        return records

    def append(self, record: dict[str, Any]) -> None:
        """Adds a record behind those read, and waits until it is on the disk."""
        check = _check(self._last, record)
        line = json.dumps({"record": record, "check": check}, separators=(",", ":")).encode() + b"\n"
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.truncate(self._size)
            file.seek(self._size)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._last, self._size = check, self._size + len(line)

    def _checked(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            data = json.loads(line)
            record, check = data["record"], data["check"]
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(f"{self.path}, line {number}: not a record ({type(error).__name__})") from error
        expected = _check(self._last, record)
        if check != expected:
            other = "belongs to another bundle, or was changed" if number == 1 else "was changed, or lines are missing"
            raise LedgerError(f"{self.path}, line {number}: the file {other}; measure again")
        self._last = expected
        return record  # type: ignore[no-any-return]


def _check(before: str, record: dict[str, Any]) -> str:
    text = before + json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()
