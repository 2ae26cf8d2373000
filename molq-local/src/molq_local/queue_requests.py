"""What submitters ask of the queue."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from molq_local.admission import Demand, Load
from molq_local.outcome import cancelled_in_queue
from molq_local.queue_file import QueueFile, explained

_ACTIVE = "state IN ('starting', 'running')"

NEW_JOB_COLUMNS = (
    "tag",
    "priority",
    "cpu_count",
    "memory",
    "is_exclusive",
    "max_concurrent",
    "cpu_capacity",
    "memory_capacity",
    "time_limit",
    "kill_grace",
    "umask",
    "script",
    "job_dir",
    "stdout_path",
    "stderr_path",
)


class KnownJob:
    """What the queue knows of one job; the attributes are the columns, and whether it is for this host's agent."""

    __slots__ = (
        "cancel_requested_at",
        "cause",
        "exit_code",
        "finished_at",
        "id",
        "is_here",
        "outcome",
        "reason",
        "signal",
        "started_at",
        "state",
        "tag",
    )

    def __init__(self, row: tuple[object, ...]) -> None:
        self.id: int
        self.tag: str
        self.state: str
        self.outcome: str | None
        self.exit_code: int | None
        self.signal: int | None
        self.cause: str | None
        self.reason: str | None
        self.started_at: float | None
        self.finished_at: float | None
        self.cancel_requested_at: float | None
        self.is_here: bool
        (
            self.id,
            self.tag,
            self.state,
            self.outcome,
            self.exit_code,
            self.signal,
            self.cause,
            self.reason,
            self.started_at,
            self.finished_at,
            self.cancel_requested_at,
            self.is_here,
        ) = row  # type: ignore[assignment]  # the columns' types are the schema's


class Requests:
    """The questions of submitters to an open queue. Every method raises ``QueueError``."""

    def __init__(self, queue: QueueFile) -> None:
        self._queue = queue
        self._sql = queue.sql
        self._path = queue.place.queue
        self._host = queue.place.host

    def number_of(self, tag: str) -> int | None:
        """Return the number of the job with this tag."""
        with explained(self._path):
            row = self._sql.execute("SELECT id FROM jobs WHERE tag = ?", (tag,)).fetchone()
        return row[0] if row else None

    def add(self, columns: dict[str, object]) -> int:
        """Queue a job, unless one with its tag is there already, and return its number.

        Args:
            columns: values for ``NEW_JOB_COLUMNS``.
        """
        names = ", ".join(NEW_JOB_COLUMNS)
        values = ", ".join(f":{name}" for name in NEW_JOB_COLUMNS)
        with self._queue.transaction() as sql:
            sql.execute(
                f"INSERT INTO jobs ({names}, host, state, submitted_at) VALUES ({values}, :host, 'queued', :now)"
                " ON CONFLICT (tag) DO NOTHING",
                {**columns, "host": self._host, "now": time.time()},
            )
            row = sql.execute("SELECT id FROM jobs WHERE tag = ?", (columns["tag"],)).fetchone()
        return int(row[0])

    def withdraw(self, number: int) -> bool:
        """Take a job out of the queue that was never started; return whether that could be done."""
        with self._queue.transaction() as sql:
            return sql.execute("DELETE FROM jobs WHERE id = ? AND state = 'queued'", (number,)).rowcount == 1

    def known(self, numbers: Iterable[int]) -> list[KnownJob]:
        """Return what is known of the jobs with these numbers."""
        with explained(self._path):
            rows = self._sql.execute(
                "SELECT id, tag, state, outcome, exit_code, signal, cause, reason, started_at, finished_at,"
                " cancel_requested_at, host = ? FROM jobs WHERE id IN (SELECT value FROM json_each(?))",
                (self._host, json.dumps(list(numbers))),
            )
            return [KnownJob(row) for row in rows]

    def with_tags(self, tags: Iterable[str]) -> list[tuple[str, int]]:
        """Return tag and number of the jobs with these tags."""
        with explained(self._path):
            return self._sql.execute(
                "SELECT tag, id FROM jobs WHERE tag IN (SELECT value FROM json_each(?))", (json.dumps(list(tags)),)
            ).fetchall()

    def request_cancel(self, jobs: Iterable[tuple[int, str]]) -> dict[int, str]:
        """Ask for the end of jobs, given by number and tag, and return the state each had; unknown ones are left out.

        A job that waits is over at once, and can no more start.
        """
        wanted = dict(jobs)
        how = cancelled_in_queue()
        with self._queue.transaction() as sql:
            now = time.time()
            rows = sql.execute(
                "SELECT id, tag, state FROM jobs WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(list(wanted)),),
            ).fetchall()
            states = {number: state for number, tag, state in rows if wanted[number] == tag}
            sql.executemany(
                "UPDATE jobs SET state = 'ended', outcome = ?, cause = ?, reason = ?, cancel_requested_at = ?,"
                " finished_at = ? WHERE id = ? AND state = 'queued'",
                [(how.word, how.cause, how.reason, now, now, n) for n, state in states.items() if state == "queued"],
            )
            sql.executemany(
                f"UPDATE jobs SET cancel_requested_at = ? WHERE id = ? AND {_ACTIVE} AND cancel_requested_at IS NULL",
                [(now, n) for n, state in states.items() if state in ("starting", "running")],
            )
        return states

    def head_and_load(self) -> tuple[Demand | None, Load]:
        """Return the job that is next to start, and what those take that run."""
        with explained(self._path):
            sums = self._sql.execute(
                "SELECT count(*), total(cpu_count), total(memory), total(is_exclusive) FROM jobs"
                f" WHERE host = ? AND {_ACTIVE}",
                (self._host,),
            ).fetchone()
            head = self._sql.execute(
                "SELECT id, cpu_count, memory, is_exclusive, max_concurrent, cpu_capacity, memory_capacity FROM jobs"
                " WHERE host = ? AND state = 'queued' ORDER BY priority DESC, id LIMIT 1",
                (self._host,),
            ).fetchone()
        return (Demand(*head) if head else None), Load(*(int(value) for value in sums))

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        with explained(self._path):
            return dict(self._sql.execute("SELECT state, count(*) FROM jobs GROUP BY state"))
