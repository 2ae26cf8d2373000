"""The store: one transaction for each fact that is written."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molq.errors import ConfigError
from molq.job_state import JobState, may_follow
from molq.records import JobDependency, JobRecord
from molq.store import rows
from molq.store.connection import BUSY_SECONDS, Connection
from molq.store.leases import Lease, Leases, is_current
from molq.store.log import warn
from molq.store.questions import ACTIVE, Questions
from molq.tracking import Change, TrackedJob

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
        return Path(home).expanduser().absolute() if home else Path.home() / ".molq"
    except RuntimeError as error:
        raise ConfigError(f"molq does not know where to keep its state ({error}); set MOLQ_HOME to a folder") from error


class JobStore(Questions):
    """Every job, in one SQLite file that many processes and machines may use at once.

    Args:
        path: the file; default: ``jobs.db`` in ``MOLQ_HOME``, which is ``~/.molq`` by default. It and its folder are
            made if need be, readable by nobody else.
        busy_seconds: how long to wait while others write. Default 60.

    Raises:
        StoreError: the file cannot be used; the message says why and what to do. It is never renamed or overwritten.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = default_path() if path is None else Path(path).expanduser().absolute()
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
        time_limit: int | None,
        is_array: bool,
        dependencies: Iterable[JobDependency] = (),
        reason: str,
    ) -> TrackedJob:
        """Record the intent to submit a job: its row, its edges, its request and its first transition."""
        columns = {**rows.to_columns(record), "time_limit": time_limit, "is_array": is_array}
        with self._connection.writing(durably=True) as sqlite:
            sqlite.execute(
                f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})",
                columns,
            )
            sqlite.execute("INSERT INTO requests VALUES (?, ?)", (record.job_id, json.dumps(request)))
            sqlite.executemany(
                "INSERT INTO dependencies VALUES (?, ?, ?, ?)",
                [(e.job_id, e.dependency_job_id, e.dependency_type, e.scheduler_dependency) for e in dependencies],
            )
            _add_transition(sqlite, record.job_id, (None, record.state), record.created_at, reason)
        return rows.newly_tracked(record, time_limit=time_limit, is_array=is_array)

    def apply(self, changes: Sequence[Change], now: float, lease: Lease | None = None) -> list[Change]:
        """Write the changes that are still true of their rows, in one transaction, and return those.

        A change is left out if its row was written since ``old`` was read, if its state may not follow, or, with
        a ``lease``, if that is held by another by now.
        """
        if not changes:
            return []
        with self._connection.writing() as sqlite:
            if lease is not None and not is_current(sqlite, lease):
                return []
            return [change for change in changes if _apply(sqlite, change, now)]

    def request_cancel(self, job_id: str, now: float, reason: str | None = None) -> TrackedJob:
        """Record that the job should be cancelled, unless it is over or that is recorded already.

        Args:
            job_id: the job.
            now: the time of the request.
            reason: why, if molq itself asks for it.
        """
        with self._connection.writing(durably=True) as sqlite:
            sqlite.execute(
                "UPDATE jobs SET cancel_requested_at = ?, cancel_reason = ?, revision = revision + 1 "
                f"WHERE job_id = ? AND cancel_requested_at IS NULL AND {ACTIVE}",
                (now, reason, rows.as_column(job_id)),
            )
        return self.tracked_job(job_id)

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


def _apply(sqlite: sqlite3.Connection, change: Change, now: float) -> bool:
    """Write one change, within a transaction; tell whether it was still true."""
    old, new = change.old, change.new
    requeued = new.restarts > old.restarts
    if old.state != new.state and not may_follow(old.state, new.state, requeued=requeued):
        warn("job %s is %s and cannot become %s: %s", old.job_id, old.state, new.state, change.reason)
        return False
    columns = rows.changed_columns(old, new)
    if not columns:
        return False
    assignments = ", ".join(f"{name} = :{name}" for name in columns)
    written = sqlite.execute(
        f"UPDATE jobs SET {assignments}, revision = revision + 1 WHERE job_id = :job_id AND revision = :revision",
        {**columns, "job_id": old.job_id, "revision": old.revision},
    )
    if written.rowcount != 1:
        return False
    if old.state != new.state:
        _add_transition(sqlite, old.job_id, (old.state, new.state), now, change.reason)
    return True


def _add_transition(
    sqlite: sqlite3.Connection, job_id: str, step: tuple[JobState | None, JobState], timestamp: float, reason: str
) -> None:
    old, new = step
    sqlite.execute(
        "INSERT INTO transitions (job_id, old_state, new_state, timestamp, reason) VALUES (?, ?, ?, ?, ?)",
        (job_id, None if old is None else old.value, new.value, timestamp, rows.as_column(reason)),
    )
