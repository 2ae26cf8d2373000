"""The tables, and how an older database becomes a current one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from molq.errors import StoreError

APPLICATION_ID = 0x6D6F6C71
"""Marks a SQLite file as molq's: the letters ``molq``."""

# The partial index holds what reconciliation looks at: active jobs, and lost ones, which may turn up again.
_VERSION_1 = (
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY,
        job_id TEXT NOT NULL UNIQUE,
        root_job_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        previous_attempt_job_id TEXT,
        retry_group_id TEXT,
        profile_name TEXT,
        cluster_name TEXT NOT NULL,
        scheduler TEXT NOT NULL,
        revision INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL,
        scheduler_job_id TEXT,
        created_at REAL NOT NULL,
        submitted_at REAL,
        started_at REAL,
        finished_at REAL,
        exit_code INTEGER,
        signal INTEGER,
        cause TEXT,
        failure_reason TEXT,
        native_state TEXT,
        reason TEXT,
        restarts INTEGER NOT NULL DEFAULT 0,
        missing_since REAL,
        missed_polls INTEGER NOT NULL DEFAULT 0,
        cancel_requested_at REAL,
        cancel_reason TEXT,
        cancel_accepted_at REAL,
        not_before REAL,
        time_limit INTEGER,
        is_array INTEGER NOT NULL DEFAULT 0,
        job_name TEXT,
        cwd TEXT NOT NULL,
        command_type TEXT NOT NULL,
        command_display TEXT NOT NULL,
        job_dir TEXT NOT NULL,
        stdout_path TEXT NOT NULL,
        stderr_path TEXT NOT NULL,
        metadata TEXT NOT NULL,
        cleaned_at REAL
    )
    """,
    "CREATE INDEX jobs_by_cluster ON jobs (cluster_name, number)",
    "CREATE INDEX jobs_by_family ON jobs (root_job_id, attempt) WHERE attempt > 1",
    """
    CREATE INDEX jobs_open ON jobs (cluster_name, number)
    WHERE state IN ('created', 'submitted', 'queued', 'running', 'lost')
    """,
    """
    CREATE TABLE requests (
        job_id TEXT PRIMARY KEY REFERENCES jobs (job_id) ON DELETE CASCADE,
        request TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE transitions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
        old_state TEXT,
        new_state TEXT NOT NULL,
        timestamp REAL NOT NULL,
        reason TEXT
    )
    """,
    "CREATE INDEX transitions_by_job ON transitions (job_id, number)",
    """
    CREATE TABLE dependencies (
        job_id TEXT NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
        dependency_job_id TEXT NOT NULL,
        dependency_type TEXT NOT NULL,
        scheduler_dependency TEXT,
        PRIMARY KEY (job_id, dependency_job_id, dependency_type)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX dependencies_by_upstream ON dependencies (dependency_job_id)",
    """
    CREATE TABLE clusters (
        cluster_name TEXT NOT NULL,
        scheduler TEXT NOT NULL,
        lease_holder TEXT,
        lease_epoch INTEGER NOT NULL DEFAULT 0,
        lease_expires_at REAL NOT NULL DEFAULT 0,
        asked_at REAL,
        answered_at REAL,
        failing_since REAL,
        failure TEXT,
        PRIMARY KEY (cluster_name, scheduler)
    ) WITHOUT ROWID
    """,
)

# The column is_array of version 1 is not used any more: SQLite before 3.35 cannot drop it.
_VERSION_2 = (
    "ALTER TABLE jobs ADD COLUMN array_spec TEXT",
    "ALTER TABLE jobs ADD COLUMN max_attempts INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE jobs ADD COLUMN claimed_at REAL",
    """
    UPDATE jobs SET array_spec = (
        SELECT json_extract(request, '$.scheduling.array_spec') FROM requests WHERE requests.job_id = jobs.job_id
    ) WHERE is_array
    """,
    "DROP INDEX jobs_by_family",
    "CREATE UNIQUE INDEX jobs_by_family ON jobs (root_job_id, attempt) WHERE attempt > 1",
    """
    CREATE INDEX jobs_waiting_in_molq ON jobs (cluster_name, scheduler, not_before)
    WHERE state = 'created' AND not_before IS NOT NULL AND claimed_at IS NULL
    """,
    """
    CREATE TABLE elements (
        job_id TEXT NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
        indices TEXT NOT NULL,
        native_state TEXT NOT NULL,
        state TEXT,
        exit_code INTEGER,
        signal INTEGER,
        cause TEXT,
        PRIMARY KEY (job_id, indices)
    ) WITHOUT ROWID
    """,
    # What cleanup looks at: jobs that ended, those first whose folder may still be there.
    """
    CREATE INDEX jobs_to_clean ON jobs (cluster_name, (cleaned_at IS NULL), finished_at)
    WHERE finished_at IS NOT NULL
    """,
)

_VERSION_3 = (
    "ALTER TABLE jobs ADD COLUMN missed_seconds REAL NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN missed_at REAL",
)

MIGRATIONS: tuple[Sequence[str], ...] = (_VERSION_1, _VERSION_2, _VERSION_3)
"""The statements that lead from version ``i`` to version ``i + 1``. Published ones are never changed."""


def check_is_ours(connection: sqlite3.Connection, path: Path, newest: int = len(MIGRATIONS)) -> int:
    """Return the version of the database, 0 for one that is empty, without writing anything.

    Raises:
        StoreError: the file is another program's, or was written by a newer molq.
    """
    # One transaction, so that a migration by another process is seen as a whole or not at all.
    try:
        connection.execute("BEGIN")
        return _checked_version(connection, path, newest)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the database to the newest version; each step and its version number are one transaction.

    Raises:
        StoreError: the file is another program's, or was written by a newer molq.
    """
    newest = len(migrations)
    while check_is_ours(connection, path, newest) < newest:
        try:
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have been faster.
            version = _checked_version(connection, path, newest)
            if version < newest:
                for statement in migrations[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _checked_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    version = _pragma(connection, "user_version")
    is_marked = _pragma(connection, "application_id") == APPLICATION_ID
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not is_marked and not (is_empty and version == 0):
        raise StoreError(
            f"{str(path)!r} is a database of another program; molq leaves it alone: choose another file, "
            "or another folder with MOLQ_HOME",
            path=path,
        )
    if version > newest:
        raise StoreError(
            f"{str(path)!r} was written by a newer molq (its format is {version}, this molq knows {newest}); "
            "upgrade molq: pip install --upgrade molq-core",
            path=path,
        )
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
