"""The store: an SQLite file of proposed architectures and measurements, safe against kills and concurrent writers."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from search.errors import StoreError
from search.records import Measurement, PriorValue, Study, Trial
from supernet.architecture import Architecture
from supernet.space import SearchSpace

_VERSION = 1
_APPLICATION_ID = 0x53_4E_53_31  # marks the SQLite file as a store
_WAIT_S = 60.0
_CHUNK = 500  # below the number of parameters that any SQLite accepts
_SCHEMA = """
CREATE TABLE space (
    id INTEGER PRIMARY KEY CHECK (id = 1), fingerprint TEXT NOT NULL, description TEXT NOT NULL);
CREATE TABLE studies (
    id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, batch_size INTEGER NOT NULL, created TEXT NOT NULL);
CREATE TABLE trials (
    study INTEGER NOT NULL REFERENCES studies, position INTEGER NOT NULL, batch INTEGER NOT NULL,
    architecture TEXT NOT NULL, predicted TEXT NOT NULL,
    PRIMARY KEY (study, position), UNIQUE (study, architecture));
CREATE TABLE measurements (
    id INTEGER PRIMARY KEY, architecture TEXT NOT NULL, objective TEXT NOT NULL, scope TEXT NOT NULL,
    value REAL, status TEXT NOT NULL CHECK (status IN ('ok', 'failed')), error TEXT,
    seconds REAL NOT NULL, created TEXT NOT NULL,
    UNIQUE (architecture, objective, scope), CHECK ((status = 'ok') = (value IS NOT NULL)));
"""

# values of a warm start; the table is made when first needed, and stores without it have the same format
_PRIOR_VALUES_SCHEMA = """
CREATE TABLE IF NOT EXISTS told (
    study INTEGER NOT NULL REFERENCES studies, objective TEXT NOT NULL, source TEXT NOT NULL,
    architecture TEXT NOT NULL, value REAL NOT NULL)
"""


class Store:
    """Opens or creates a store; `bind` it to a search space before writing.

    Every batch of trials and every measurement is one durable transaction. Several processes may use one file.

    Args:
        path: a file, whose folder is created where it is missing; None: kept in memory.

    Raises StoreError, as every method does, where the file is no store, is damaged or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._space: SearchSpace | None = None
        with self._explained():
            self._db = self._opened()
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Closes the connection. What was recorded stays, except in a store in memory."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- space ---

    @property
    def space(self) -> SearchSpace:
        """The search space of the architectures. Raises StoreError for a new store that was not bound yet."""
        if self._space is None:
            row = self._one("SELECT description FROM space")
            if row is None:
                raise StoreError(f"{self._name} holds no search space yet")
            self._space = SearchSpace.from_description(json.loads(row[0]))
        return self._space

    def bind(self, space: SearchSpace) -> None:
        """Says which search space the architectures come from; a new store keeps its description.

        Raises StoreError for a store of another space.
        """
        description = json.dumps(space.describe())
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO space VALUES (1, ?, ?)", (space.fingerprint, description))
        row = self._one("SELECT fingerprint, description FROM space")
        if row is not None and row[0] != space.fingerprint:
            raise StoreError(
                f"{self._name} belongs to another search space: it holds {_summary(row[0], json.loads(row[1]))}, "
                f"not {_summary(space.fingerprint, space.describe())}. Use another file, or the space it was made with"
            )
        self._space = space

    # --- studies and trials ---

    def study(self, identity: Mapping[str, Any], batch_size: int) -> Study:
        """The study with this identity (JSON-compatible), created if missing; an existing one keeps its batch size."""
        text = json.dumps(identity, sort_keys=True)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        with self._transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO studies (identity, batch_size, created) VALUES (?, ?, ?)",
                (text, batch_size, created),
            )
        return self._studies("WHERE identity = ?", text)[0]

    def studies(self) -> list[Study]:
        """All studies, oldest first."""
        return self._studies("ORDER BY id")

    def _studies(self, which: str, *parameters: Any) -> list[Study]:
        rows = self._all(f"SELECT id, identity, batch_size, created FROM studies {which}", parameters)
        return [Study(i, json.loads(identity), size, created) for i, identity, size, created in rows]

    def trials(self, study: Study, start: int = 0) -> list[Trial]:
        """Trials of a study from position `start` on, ordered by position."""
        query = "SELECT position, batch, architecture, predicted FROM trials WHERE study = ? AND position >= ?"
        rows = self._all(f"{query} ORDER BY position", (study.id, start))
        return [Trial(p, b, self._architecture(text), json.loads(predicted)) for p, b, text, predicted in rows]

    def add_batch(self, study: Study, batch: Sequence[Trial]) -> list[Trial]:
        """Commits a proposed batch as a whole, and returns the trials that the study holds from its position on.

        Where another process that runs the same study was faster, those are the trials of that process instead.
        """
        rows = _trial_rows(study, batch)
        with self._transaction():
            taken = self._one("SELECT 1 FROM trials WHERE study = ? AND position >= ?", (study.id, batch[0].position))
            if not taken:
                self._db.executemany("INSERT INTO trials VALUES (?, ?, ?, ?, ?)", rows)
        return self.trials(study, batch[0].position) if taken else list(batch)

    def begin(self, study: Study, known: Sequence[Trial], prior_values: Sequence[PriorValue]) -> None:
        """Commits a warm start as a whole; does nothing where the study has begun already.

        Args:
            study: without trials.
            known: trials of batch -1, whose expensive objectives are all measured.
            prior_values: values that are no measurements of this study.
        """
        trials = _trial_rows(study, known)
        values = [(study.id, v.objective, v.source, v.architecture.to_json(), v.value) for v in prior_values]
        with self._transaction():
            self._db.execute(_PRIOR_VALUES_SCHEMA)
            if not self._has_begun(study):
                self._db.executemany("INSERT INTO trials VALUES (?, ?, ?, ?, ?)", trials)
                self._db.executemany("INSERT INTO told VALUES (?, ?, ?, ?, ?)", values)

    def has_begun(self, study: Study) -> bool:
        """Whether a study has trials, or values of a warm start."""
        with self._explained():
            return self._has_begun(study)

    def prior_values(self, study: Study) -> list[PriorValue]:
        """The values of a study's warm start that are no measurements of its own, in order."""
        if not self._has_prior_values():
            return []
        query = "SELECT objective, source, architecture, value FROM told WHERE study = ? ORDER BY rowid"
        return [
            PriorValue(o, s, self._architecture(text), value) for o, s, text, value in self._all(query, (study.id,))
        ]

    def _has_begun(self, study: Study) -> bool:
        tables = ["trials", "told"] if self._has_prior_values() else ["trials"]
        return any(
            self._db.execute(f"SELECT 1 FROM {t} WHERE study = ? LIMIT 1", (study.id,)).fetchone() for t in tables
        )

    def _has_prior_values(self) -> bool:
        return self._one("SELECT 1 FROM sqlite_master WHERE name = 'told'") is not None

    # --- measurements ---

    def record(self, measurement: Measurement) -> Measurement:
        """Commits a measurement, and returns the one that counts, which may be that of another process.

        That is the first success of its architecture, objective and scope; as long as there is none, the first failure.
        """
        m = measurement
        failed = m.error is not None
        row = (m.architecture.to_json(), m.objective, m.scope, None if failed else m.value)
        with self._transaction():
            if not failed:
                self._db.execute(
                    "DELETE FROM measurements "
                    "WHERE architecture = ? AND objective = ? AND scope = ? AND status = 'failed'",
                    row[:3],
                )
            self._db.execute(
                "INSERT OR IGNORE INTO measurements "
                "(architecture, objective, scope, value, status, error, seconds, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, "failed" if failed else "ok", m.error, m.seconds, m.created),
            )
        return self.find(m.objective, m.scope, [m.architecture])[m.architecture]

    def forget_failures(self, objective: str, scope: str) -> int:
        """Deletes the failed measurements of an objective and scope, and returns their number."""
        with self._transaction():
            return self._db.execute(
                "DELETE FROM measurements WHERE status = 'failed' AND objective = ? AND scope = ?", (objective, scope)
            ).rowcount

    def find(
        self, objective: str, scope: str, architectures: Sequence[Architecture]
    ) -> dict[Architecture, Measurement]:
        """Measurements, failed ones included, of those of the architectures that have one."""
        by_text = {architecture.to_json(): architecture for architecture in architectures}
        found = {}
        for start in range(0, len(by_text), _CHUNK):
            texts = list(by_text)[start : start + _CHUNK]
            for row in self._measurements(
                f"objective = ? AND scope = ? AND architecture IN ({', '.join('?' * len(texts))})",
                (objective, scope, *texts),
            ):
                architecture = by_text[row[0]]
                found[architecture] = _measurement(architecture, row)
        return found

    def measurements(self, objective: str | None = None, scope: str | None = None) -> list[Measurement]:
        """Measurements in the order in which they were recorded; all, or those of an objective and a scope."""
        rows = self._measurements("(?1 IS NULL OR objective = ?1) AND (?2 IS NULL OR scope = ?2)", (objective, scope))
        return [_measurement(self._architecture(row[0]), row) for row in rows]

    def plain_measurements(self) -> list[tuple[dict[str, Any], str, str, float]]:
        """(architecture as a plain mapping, objective, scope, value) of every success, whatever the search space."""
        return [(json.loads(row[0]), row[1], row[2], row[3]) for row in self._measurements("status = 'ok'", ())]

    # --- internals ---

    @property
    def _name(self) -> str:
        return "the store in memory" if self.path is None else f"store {self.path}"

    def _architecture(self, text: str) -> Architecture:
        return self.space.validate(json.loads(text))

    def _measurements(self, where: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        columns = "architecture, objective, scope, value, error, seconds, created"
        return self._all(f"SELECT {columns} FROM measurements WHERE {where} ORDER BY id", parameters)

    def _all(self, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._explained():
            return self._db.execute(query, parameters).fetchall()

    def _one(self, query: str, parameters: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
        rows = self._all(f"{query} LIMIT 1", parameters)
        return rows[0] if rows else None

    def _opened(self) -> sqlite3.Connection:
        if self.path is None:
            return sqlite3.connect(":memory:", isolation_level=None)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            with self.path.open("rb") as file:
                if file.read(16) not in (b"", b"SQLite format 3\0"):
                    raise StoreError(f"{self._name} is no store: the file is not an SQLite database")
        return sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)

    def _prepare(self) -> None:
        if self._pragma("user_version") == 0:
            self._create()
        if self._pragma("application_id") != _APPLICATION_ID:
            raise StoreError(f"{self._name} is no store: it is an SQLite database of another application")
        if (version := self._pragma("user_version")) != _VERSION:
            raise StoreError(f"{self._name} has format {version}, this version reads format {_VERSION}: update")
        if self.path is not None and (problem := self._db.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"malformed: {problem}")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA synchronous = FULL")

    def _create(self) -> None:
        deadline = time.monotonic() + _WAIT_S
        while True:  # SQLite does not wait by itself while another process changes the journal mode
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        with self._transaction():
            if self._pragma("user_version") or self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                return
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._name}: {_advice(str(error))} (SQLite: {error})") from error
        except OSError as error:
            raise StoreError(f"{self._name} cannot be opened: {error}") from error


def _measurement(architecture: Architecture, row: tuple[Any, ...]) -> Measurement:
    _, objective, scope, value, error, seconds, created = row
    return Measurement(
        architecture, objective, scope, float("nan") if value is None else value, error, seconds, created
    )


def _trial_rows(study: Study, trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    return [(study.id, t.position, t.batch, t.architecture.to_json(), json.dumps(t.predicted)) for t in trials]


def _summary(fingerprint: str, description: Mapping[str, Any]) -> str:
    choices = ", ".join(f"{c['name']}{'' if c['repeat'] is None else [c['repeat']]}" for c in description["choices"])
    return f"space {fingerprint} ({choices})"


def _advice(message: str) -> str:
    for sign, advice in {
        "readonly": "cannot be written: the file or its folder is read-only; choose another place",
        "unable to open": "cannot be opened or created: check that its folder exists and may be written",
        "is full": "the disk is full; what was recorded before is kept, free some space and run again",
        "disk I/O": "the disk cannot be written (full, over quota or failing); what was recorded before is kept",
        "locked": f"another process has kept it locked for {_WAIT_S:g} s",
        "malformed": "the file is damaged: restore it from a copy, or choose another file",
        "not a database": "this is no store, the file is not an SQLite database, or is damaged",
    }.items():
        if sign in message:
            return advice
    return "cannot be used"
