"""What a search has done, in SQLite: it survives a kill at any moment, and the next run goes on from it."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sightline.labs.choose.space import Candidate
from sightline.system.disk import told_as
from sightline.system.errors import UserError

# finished: scored; stopped: by its curve; failed: could not be trained; running: begun, and maybe killed.
State = Literal["running", "finished", "stopped", "failed"]
_TICK = 1.0  # seconds between two notes that a search runs
_TABLES = """
CREATE TABLE IF NOT EXISTS trials (
  number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL, context TEXT NOT NULL, candidate TEXT NOT NULL,
  state TEXT NOT NULL, starts INTEGER NOT NULL, expected REAL NOT NULL, seconds REAL, found TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sessions (number INTEGER PRIMARY KEY AUTOINCREMENT, context TEXT, began REAL, last REAL);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Record:
    """A trial.

    Attributes:
        number: from 1, in the order of their beginnings.
        key: of its settings and of all else that decides its result.
        candidate: the settings.
        state: see `State`.
        starts: how often it was begun.
        expected: seconds, before it began.
        seconds: that it took after its last start; None while it runs.
        found: what is known of it: score, curve, cost, reason, ...
    """

    number: int
    key: str
    candidate: Candidate
    state: State
    starts: int
    expected: float
    seconds: float | None
    found: dict[str, Any]

    @property
    def score(self) -> float | None:
        """On the part to choose by, as the metric says it; None without one."""
        value = self.found.get("score")
        return None if value is None else float(value)


class Journal:
    """The trials of one model, of this and earlier states of its data, code and settings.

    Args:
        path: the database; made where it is missing.
        context: a hash of all that decides results besides a candidate's settings; trials of another one are not seen.

    Raises:
        UserError: the file is no such database.
    """

    def __init__(self, path: Path, context: str) -> None:
        self.path, self.context = path, context
        with told_as(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None, timeout=30)
            try:
                self._database.executescript(_TABLES)
            except sqlite3.DatabaseError as error:
                raise UserError(f"{path}: not readable: {error}; delete it to begin the search again") from None
        self._session: int | None = None
        self._ticked = 0.0

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def records(self) -> list[Record]:
        """Return all trials of the context, in the order of their beginnings."""
        rows = self._database.execute(
            "SELECT number, key, candidate, state, starts, expected, seconds, found FROM trials WHERE context = ? "
            "ORDER BY number",
            (self.context,),
        ).fetchall()
        return [
            Record(number, key, Candidate(**json.loads(candidate)), state, starts, expected, seconds, json.loads(found))
            for number, key, candidate, state, starts, expected, seconds, found in rows
        ]

    def begin(self, key: str, candidate: Candidate, expected: float, timed: float = 0.0) -> None:
        """Note that a trial begins, or begins again after a kill.

        Args:
            key: of the trial.
            candidate: its settings.
            expected: seconds that it will take.
            timed: seconds of the training in it, by timed steps.

        Raises:
            ValueError: it has ended before.
        """
        with self._changed():
            row = self._database.execute("SELECT state FROM trials WHERE key = ?", (key,)).fetchone()
            if row is not None and row[0] != "running":
                raise ValueError(f"trial {key} has {row[0]}; it is never repeated")
            if row is None:
                values = (
                    key,
                    self.context,
                    json.dumps(candidate.to_json()),
                    "running",
                    1,
                    expected,
                    json.dumps({"timed": timed}),
                )
                self._database.execute(
                    "INSERT INTO trials (key, context, candidate, state, starts, expected, found) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
            else:
                self._database.execute("UPDATE trials SET starts = starts + 1 WHERE key = ?", (key,))

    def end(self, key: str, state: State, seconds: float, found: Mapping[str, Any]) -> None:
        """Note that a trial has ended, and with what; from then on it is never begun again."""
        with self._changed():
            [row] = self._database.execute("SELECT found FROM trials WHERE key = ?", (key,)).fetchall()
            self._database.execute(
                "UPDATE trials SET state = ?, seconds = ?, found = ? WHERE key = ?",
                (state, seconds, json.dumps(json.loads(row[0]) | dict(found)), key),
            )

    def tick(self) -> None:
        """Note that the search runs: after a kill it is known how long it ran, to a tick."""
        now = time.time()
        if self._session is not None and now - self._ticked < _TICK:
            return
        self._ticked = now
        with self._changed():
            if self._session is None:
                made = self._database.execute(
                    "INSERT INTO sessions (context, began, last) VALUES (?, ?, ?)", (self.context, now, now)
                )
                self._session = made.lastrowid
            self._database.execute("UPDATE sessions SET last = ? WHERE number = ?", (now, self._session))

    def spent(self) -> float:
        """Return the seconds that all runs of this search took so far."""
        row = self._database.execute(
            "SELECT COALESCE(SUM(MAX(0, last - began)), 0) FROM sessions WHERE context = ?", (self.context,)
        ).fetchone()
        return float(row[0])

    def note(self, name: str, value: Any) -> None:
        """Keep a value of this context."""
        with self._changed():
            self._database.execute(
                "INSERT INTO notes (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (f"{self.context} {name}", json.dumps(value)),
            )

    def noted(self, name: str) -> Any:
        """Return a value that was kept, None if there is none."""
        row = self._database.execute("SELECT value FROM notes WHERE name = ?", (f"{self.context} {name}",)).fetchone()
        return None if row is None else json.loads(row[0])

    @contextmanager
    def _changed(self) -> Iterator[None]:
        """Change the database as a whole or not at all."""
        with told_as(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


@contextmanager
def alone(path: Path) -> Iterator[int]:
    """Hold the lock of a search; yield its number, for programs that shall hold it as long as they run.

    Raises:
        UserError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        until = time.monotonic() + 10  # what a killed search began is being ended
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise UserError(f"{path}: another `sightline choose` of this model runs; wait for it") from None
                time.sleep(0.1)
        yield file.fileno()
