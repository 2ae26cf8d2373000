"""The store: one transaction for each fact that is written."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from molq.array_elements import ElementReport
from molq.errors import ConfigError
from molq.job_state import JobState, may_follow
from molq.paths import absolute
from molq.records import JobDependency, JobRecord
from molq.store import rows
from molq.store.connection import BUSY_SECONDS, Connection
from molq.store.family_questions import FamilyQuestions
from molq.store.leases import Lease, Leases, is_current
from molq.store.log import warn
from molq.store.questions import ACTIVE, WAITS_IN_MOLQ
from molq.tracking import Change, PlannedAttempt, TrackedJob

if TYPE_CHECKING:
    from molq.store.retention import Retention


def default_path() -> Path:
    """Return the database's place: ``jobs.db`` in ``MOLQ_HOME``, which is ``~/.molq`` by default."""
    return molq_home() / "jobs.db"


def molq_home() -> Path:
    """Return the folder of molq's own state.

    Raises:
        ConfigError: it is not known where the user's home is.
    """
    home = os.environ.get("MOLQ_HOME")
    try:
        return absolute(home, "MOLQ_HOME") if home else Path.home() / ".molq"
    except RuntimeError as error:
        raise ConfigError(f"molq does not know where to keep its state ({error}); set MOLQ_HOME to a folder") from error


class JobStore(FamilyQuestions):
    """Every job, in one SQLite file that many processes and machines may use at once.

    Args:
        path: the file; default: ``jobs.db`` in ``MOLQ_HOME``, which is ``~/.molq`` by default. It and its folder are
            made if need be, readable by nobody else.
        busy_seconds: how long to wait while others write. Default 60.

    Raises:
        StoreError: the file cannot be used; the message says why and what to do. It is never renamed or overwritten.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = default_path() if path is None else absolute(path, "the path of the database")
        super().__init__(Connection(self.path, busy_seconds))
        self.leases = Leases(self._connection)

    @functools.cached_property
    def retention(self) -> Retention:
        """The questions and facts about jobs that are over for long."""
        # Only cleanup needs it.
        from molq.store.retention import Retention

        return Retention(self._connection)

    def close(self) -> None:
        """Close the database. Closing twice is harmless."""
        self._connection.close()

    def add_job(
        self,
        record: JobRecord,
        *,
        request: dict[str, Any],
        time_limit: int | None = None,
        array_spec: str | None = None,
        max_attempts: int = 1,
        dependencies: Iterable[JobDependency] = (),
        reason: str,
    ) -> TrackedJob:
        """Record the intent to submit a job: its row, its edges, its request and its first transition."""
        more = {"time_limit": time_limit, "array_spec": array_spec, "max_attempts": max_attempts}
        columns = {**rows.to_columns(record), **more}
        with self._connection.writing(durably=True) as sqlite:
            sqlite.execute(
                f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})",
                columns,
            )
            sqlite.execute("INSERT INTO requests VALUES (?, ?)", (record.job_id, json.dumps(request)))
            _write_edges(sqlite, "INSERT", dependencies)
            _add_transition(sqlite, record.job_id, (None, record.state), record.created_at, reason)
        return rows.newly_tracked(record, more)

    def add_attempt(self, attempt: PlannedAttempt, now: float) -> bool:
        """Record a further attempt of a family that is over; False if it is not, or another process was faster."""
        with self._connection.writing(durably=True) as sqlite:
            if _is_active(sqlite, attempt.previous_attempt_job_id) or _has_successor(sqlite, attempt):
                return False
            _add_attempt(sqlite, attempt, now)
        return True

    def claim(self, job: TrackedJob, now: float) -> TrackedJob | None:
        """Take it on this process to submit a job that waits in molq; None if it does not wait any more.

        Whoever claims a job holds the lock in its folder, so that the claim is seen to be over when the process dies.
        """
        with self._connection.writing(durably=True) as sqlite:
            claimed = sqlite.execute(
                "UPDATE jobs SET claimed_at = ?, revision = revision + 1 "
                f"WHERE job_id = ? AND revision = ? AND {WAITS_IN_MOLQ} AND cancel_requested_at IS NULL",
                (now, job.job_id, job.revision),
            )
            if claimed.rowcount != 1:
                return None
        return attrs.evolve(job, claimed_at=now, revision=job.revision + 1)

    def set_edges(self, edges: Iterable[JobDependency]) -> None:
        """Record by which words the scheduler knows some edges now."""
        with self._connection.writing() as sqlite:
            _write_edges(sqlite, "INSERT OR REPLACE", edges)

    def apply(self, changes: Sequence[Change], now: float, lease: Lease | None = None) -> list[Change]:
        """Write the changes that are still true of their rows, in one transaction, and return those.

        A change is left out if its row was written since ``old`` was read, if its state may not follow, or, with
        a ``lease``, if that is held by another by now. The attempt that follows an end is recorded with it, and one
        that waits is withdrawn if its job turns out not to have ended so.
        """
        if not changes:
            return []
        with self._connection.writing() as sqlite:
            if lease is not None and not is_current(sqlite, lease):
                return []
            return [change for change in changes if _apply(sqlite, change, now)]

    def request_cancel(self, job_id: str, now: float, reason: str | None = None) -> TrackedJob:
        """Record that a job's latest attempt should be cancelled, unless it is over or that is recorded already.

        One that waits in molq is over by that: nobody else knows of it.

        Args:
            job_id: the job, or any of its attempts.
            now: the time of the request.
            reason: why, if molq itself asks for it.

        Returns:
            The latest attempt.
        """
        with self._connection.writing(durably=True) as sqlite:
            latest = self.latest_attempts([job_id]).get(job_id, job_id)
            sqlite.execute(
                "UPDATE jobs SET cancel_requested_at = ?, cancel_reason = ?, revision = revision + 1 "
                f"WHERE job_id = ? AND cancel_requested_at IS NULL AND {ACTIVE}",
                (now, reason, rows.as_column(latest)),
            )
            ended = sqlite.execute(
                "UPDATE jobs SET state = 'cancelled', cause = 'cancelled', finished_at = max(?, created_at), "
                "failure_reason = coalesce(cancel_reason, 'was cancelled before it was submitted'), reason = NULL, "
                f"revision = revision + 1 WHERE job_id = ? AND {WAITS_IN_MOLQ}",
                (now, rows.as_column(latest)),
            )
            if ended.rowcount:
                step = (JobState.CREATED, JobState.CANCELLED)
                _add_transition(sqlite, latest, step, now, reason or "somebody asked to cancel it")
        return self.tracked_job(latest)

    def settle_cancel(self, job_id: str, accepted_at: float | None) -> None:
        """Record what the scheduler said to the request to cancel: when it accepted, or None for a refusal.

        A refusal does not undo what was accepted before, nor does it touch a job that is over.
        """
        with self._connection.writing() as sqlite:
            if accepted_at is None:
                sqlite.execute(
                    "UPDATE jobs SET cancel_requested_at = NULL, cancel_reason = NULL, revision = revision + 1 "
                    f"WHERE job_id = ? AND cancel_accepted_at IS NULL AND {ACTIVE}",
                    (job_id,),
                )
            else:
                sqlite.execute(
                    "UPDATE jobs SET cancel_accepted_at = ?, cancel_requested_at = coalesce(cancel_requested_at, ?), "
                    "revision = revision + 1 WHERE job_id = ?",
                    (accepted_at, accepted_at, job_id),
                )


def _write_edges(sqlite: sqlite3.Connection, insert: str, edges: Iterable[JobDependency]) -> None:
    sqlite.executemany(
        f"{insert} INTO dependencies VALUES (?, ?, ?, ?)",
        [(e.job_id, e.dependency_job_id, e.dependency_type, e.scheduler_dependency) for e in edges],
    )


def _apply(sqlite: sqlite3.Connection, change: Change, now: float) -> bool:
    """Write one change, within a transaction; tell whether it was still true."""
    old, new = change.old, change.new
    requeued = new.restarts > old.restarts
    accepted = old.scheduler_job_id is None and new.scheduler_job_id is not None
    if old.state != new.state and not may_follow(old.state, new.state, requeued=requeued, accepted=accepted):
        warn("job %s is %s and cannot become %s: %s", old.job_id, old.state, new.state, change.reason)
        return False
    columns = rows.changed_columns(old, new)
    if not columns and change.elements is None:
        return False
    columns = columns or {"state": old.state.value}
    assignments = ", ".join(f"{name} = :{name}" for name in columns)
    written = sqlite.execute(
        f"UPDATE jobs SET {assignments}, revision = revision + 1 WHERE job_id = :job_id AND revision = :revision",
        {**columns, "job_id": old.job_id, "revision": old.revision},
    )
    if written.rowcount != 1:
        return False
    if old.state != new.state:
        _add_transition(sqlite, old.job_id, (old.state, new.state), now, change.reason)
        if old.state.is_terminal and (new.state not in _MAY_BE_TRIED_AGAIN or change.next_attempt is not None):
            _withdraw_attempt(sqlite, old.job_id)
    if change.elements is not None:
        sqlite.execute("DELETE FROM elements WHERE job_id = ?", (old.job_id,))
        _add_elements(sqlite, old.job_id, change.elements)
    if change.next_attempt is not None and not _has_successor(sqlite, change.next_attempt):
        _add_attempt(sqlite, change.next_attempt, now)
    return True


_MAY_BE_TRIED_AGAIN = frozenset({JobState.FAILED, JobState.TIMED_OUT, JobState.LOST})
"""The ends of which it makes no difference to the attempt that waits, which it is."""

_OF_THE_FAMILY = (
    *("root_job_id", "profile_name", "cluster_name", "scheduler", "job_name", "cwd", "command_type"),
    *("command_display", "metadata", "max_attempts"),
)
_OF_THE_ATTEMPT = (
    *("job_id", "attempt", "previous_attempt_job_id", "job_dir", "stdout_path", "stderr_path", "not_before"),
    *("time_limit", "array_spec"),
)


def _add_attempt(sqlite: sqlite3.Connection, attempt: PlannedAttempt, now: float) -> None:
    """Add the row of a further attempt, which takes from the last one what all of a family share."""
    values = {name: rows.as_column(getattr(attempt, name)) for name in _OF_THE_ATTEMPT}
    values |= {"created_at": now, "state": JobState.CREATED.value, "reason": attempt.reason}
    shared = ", ".join(_OF_THE_FAMILY)
    sqlite.execute(
        f"INSERT INTO jobs ({', '.join(values)}, retry_group_id, {shared}) "
        f"SELECT {', '.join(':' + name for name in values)}, coalesce(retry_group_id, root_job_id), {shared} "
        "FROM jobs WHERE job_id = :previous_attempt_job_id",
        values,
    )
    sqlite.execute(
        "UPDATE jobs SET retry_group_id = coalesce(retry_group_id, root_job_id) WHERE job_id = ?",
        (attempt.previous_attempt_job_id,),
    )
    sqlite.execute("INSERT INTO requests VALUES (?, ?)", (attempt.job_id, json.dumps(attempt.request)))
    _add_elements(sqlite, attempt.job_id, attempt.carried)
    _add_transition(sqlite, attempt.job_id, (None, JobState.CREATED), now, attempt.reason)


def _add_elements(sqlite: sqlite3.Connection, job_id: str, elements: Sequence[ElementReport]) -> None:
    sqlite.executemany("INSERT INTO elements VALUES (?, ?, ?, ?, ?, ?, ?)", rows.element_rows(job_id, elements))


def _has_successor(sqlite: sqlite3.Connection, attempt: PlannedAttempt) -> bool:
    """Tell whether the family has this attempt already, from another process or from before."""
    found = sqlite.execute(
        "SELECT 1 FROM jobs later JOIN jobs last ON later.root_job_id = last.root_job_id "
        "WHERE last.job_id = ? AND later.attempt >= ? AND later.attempt > 1",
        (attempt.previous_attempt_job_id, attempt.attempt),
    )
    return found.fetchone() is not None


def _withdraw_attempt(sqlite: sqlite3.Connection, job_id: str) -> None:
    """Delete the attempt that waits to follow a job which has turned out not to be over as it was thought."""
    sqlite.execute(f"DELETE FROM jobs WHERE previous_attempt_job_id = ? AND attempt > 1 AND {WAITS_IN_MOLQ}", (job_id,))


def _is_active(sqlite: sqlite3.Connection, job_id: str) -> bool:
    return sqlite.execute(f"SELECT 1 FROM jobs WHERE job_id = ? AND {ACTIVE}", (job_id,)).fetchone() is not None


def _add_transition(
    sqlite: sqlite3.Connection, job_id: str, step: tuple[JobState | None, JobState], timestamp: float, reason: str
) -> None:
    old, new = step
    sqlite.execute(
        "INSERT INTO transitions (job_id, old_state, new_state, timestamp, reason) VALUES (?, ?, ?, ?, ?)",
        (job_id, None if old is None else old.value, new.value, timestamp, rows.as_column(reason)),
    )
