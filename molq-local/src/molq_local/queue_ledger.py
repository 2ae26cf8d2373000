"""What the agent reads and records in the queue."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator

from molq_local.admission import Demand
from molq_local.outcome import Outcome, cancelled_in_queue
from molq_local.queue_file import QueueFile, explained

PRUNE_AFTER = 30 * 86_400.0
_PRUNE_EVERY = 86_400.0
_ACTIVE = "state IN ('starting', 'running')"

_DEMAND = "id, cpu_count, memory, is_exclusive, max_concurrent, cpu_capacity, memory_capacity"
_JOB = (
    f"{_DEMAND}, tag, script, job_dir, stdout_path, stderr_path, umask, time_limit, kill_grace, state, boot_id, pid, "
    "pid_started, launched_boottime, started_at, cancel_requested_at, cause"
)


class Job:
    """One row of the queue, as the agent needs it; the attributes are the columns."""

    __slots__ = (
        "boot_id",
        "cancel_requested_at",
        "cause",
        "demand",
        "id",
        "job_dir",
        "kill_grace",
        "launched_boottime",
        "pid",
        "pid_started",
        "script",
        "started_at",
        "state",
        "stderr_path",
        "stdout_path",
        "tag",
        "time_limit",
        "umask",
    )

    def __init__(self, row: tuple[object, ...]) -> None:
        self.demand = Demand(*row[:7])  # type: ignore[arg-type]  # the columns' types are the schema's
        self.id = self.demand.job_number
        self.tag: str
        self.script: bytes
        self.job_dir: bytes
        self.stdout_path: bytes
        self.stderr_path: bytes
        self.umask: int
        self.time_limit: int | None
        self.kill_grace: int
        self.state: str
        self.boot_id: str | None
        self.pid: int | None
        self.pid_started: int | None
        self.launched_boottime: float | None
        self.started_at: float | None
        self.cancel_requested_at: float | None
        self.cause: str | None
        (
            self.tag,
            self.script,
            self.job_dir,
            self.stdout_path,
            self.stderr_path,
            self.umask,
            self.time_limit,
            self.kill_grace,
            self.state,
            self.boot_id,
            self.pid,
            self.pid_started,
            self.launched_boottime,
            self.started_at,
            self.cancel_requested_at,
            self.cause,
        ) = row[7:]  # type: ignore[assignment]  # as above


class Ledger:
    """The rows of one host in an open queue; writes belong into ``queue.transaction()``."""

    def __init__(self, queue: QueueFile) -> None:
        self.queue = queue
        self._sql: sqlite3.Connection = queue.sql
        self._host = queue.place.host

    def active(self) -> list[Job]:
        """Return the jobs that are starting or running."""
        with explained(self.queue.place.queue):
            rows = self._sql.execute(f"SELECT {_JOB} FROM jobs WHERE host = ? AND {_ACTIVE}", (self._host,))
            return [Job(row) for row in rows]

    def queued(self, limit: int) -> Iterator[Demand]:
        """Yield what the next queued jobs demand, at most ``limit``."""
        rows = self._sql.execute(
            f"SELECT {_DEMAND} FROM jobs WHERE host = ? AND state = 'queued' ORDER BY priority DESC, id LIMIT ?",
            (self._host, limit),
        )
        return (Demand(*row) for row in rows)

    def has_work(self) -> bool:
        """Tell whether any job is not over."""
        question = (
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE host = :host AND state = 'queued')"
            f" OR EXISTS (SELECT 1 FROM jobs WHERE host = :host AND {_ACTIVE})"
        )
        with explained(self.queue.place.queue):
            return bool(self._sql.execute(question, {"host": self._host}).fetchone()[0])

    def is_over(self, tag: str) -> bool:
        """Tell whether this is a job of the queue that ended."""
        with explained(self.queue.place.queue):
            found = self._sql.execute("SELECT 1 FROM jobs WHERE tag = ? AND state = 'ended'", (tag,)).fetchone()
        return found is not None

    def cancel_requests(self) -> list[int]:
        """Return the numbers of active jobs that somebody asked to end."""
        rows = self._sql.execute(
            f"SELECT id FROM jobs WHERE host = ? AND {_ACTIVE} AND cancel_requested_at IS NOT NULL", (self._host,)
        )
        return [row[0] for row in rows]

    def start(self, job_number: int, boot_id: str) -> Job:
        """Record that a job is about to be launched, and return it."""
        self._sql.execute("UPDATE jobs SET state = 'starting', boot_id = ? WHERE id = ?", (boot_id, job_number))
        return Job(self._sql.execute(f"SELECT {_JOB} FROM jobs WHERE id = ?", (job_number,)).fetchone())

    def run(self, rows: Iterable[tuple[int, int, float, float, int]]) -> None:
        """Record launched processes: (pid, its start time, boot clock, epoch, job number)."""
        self._sql.executemany(
            "UPDATE jobs SET state = 'running', pid = ?, pid_started = ?, launched_boottime = ?, started_at = ?"
            f" WHERE id = ? AND {_ACTIVE}",
            rows,
        )

    def set_out_to_end(self, rows: Iterable[tuple[str, int]]) -> None:
        """Record why jobs will be signalled: (cause, job number)."""
        self._sql.executemany("UPDATE jobs SET cause = ? WHERE id = ? AND cause IS NULL", rows)

    def end(self, rows: Iterable[tuple[Outcome, float | None, float, int]]) -> None:
        """Record ends: (outcome, when it started, when it ended, job number)."""
        self._sql.executemany(
            "UPDATE jobs SET state = 'ended', outcome = ?, exit_code = ?, signal = ?, cause = ?, reason = ?,"
            " started_at = ?, finished_at = ? WHERE id = ? AND state <> 'ended'",
            (
                (how.word, how.exit_code, how.signal, how.cause, how.reason, started_at, finished_at, job_number)
                for how, started_at, finished_at, job_number in rows
            ),
        )

    def put_back(self, job_numbers: Iterable[int]) -> None:
        """Record that jobs which were to start surely did not; those that were cancelled by now are over."""
        numbers = [(number,) for number in job_numbers]
        how = cancelled_in_queue()
        self._sql.executemany(
            "UPDATE jobs SET state = 'ended', outcome = ?, cause = ?, reason = ?, finished_at = ?"
            " WHERE id = ? AND state = 'starting' AND cancel_requested_at IS NOT NULL",
            [(how.word, how.cause, how.reason, time.time(), number) for (number,) in numbers],
        )
        self._sql.executemany(
            "UPDATE jobs SET state = 'queued', boot_id = NULL WHERE id = ? AND state = 'starting'", numbers
        )

    def prune(self) -> None:
        """Forget jobs that ended long ago; looks once a day."""
        now = time.time()
        with self.queue.transaction() as sql:
            if now - sql.execute("SELECT pruned_at FROM housekeeping").fetchone()[0] < _PRUNE_EVERY:
                return
            sql.execute("DELETE FROM jobs WHERE state = 'ended' AND finished_at < ?", (now - PRUNE_AFTER,))
            sql.execute("UPDATE housekeeping SET pruned_at = ?", (now,))
