"""Open the queue's database: its schema, its settings, its transactions."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Self

from molq_local.place import Place

SCHEMA_VERSION = 1
BUSY_SECONDS = 60.0

# state: queued -> starting -> running -> ended. "starting" is on disk before the job's process exists.
_SCHEMA = (
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tag TEXT NOT NULL UNIQUE,
        host TEXT NOT NULL,
        state TEXT NOT NULL,
        priority INTEGER NOT NULL,
        cpu_count INTEGER NOT NULL,
        memory INTEGER NOT NULL,
        is_exclusive INTEGER NOT NULL,
        max_concurrent INTEGER,
        cpu_capacity INTEGER NOT NULL,
        memory_capacity INTEGER NOT NULL,
        time_limit INTEGER,
        kill_grace INTEGER NOT NULL,
        umask INTEGER NOT NULL,
        script BLOB NOT NULL,
        job_dir BLOB NOT NULL,
        stdout_path BLOB NOT NULL,
        stderr_path BLOB NOT NULL,
        submitted_at REAL NOT NULL,
        cancel_requested_at REAL,
        boot_id TEXT,
        pid INTEGER,
        pid_started INTEGER,
        launched_boottime REAL,
        started_at REAL,
        finished_at REAL,
        outcome TEXT,
        exit_code INTEGER,
        signal INTEGER,
        cause TEXT,
        reason TEXT
    )
    """,
    "CREATE INDEX queued_jobs ON jobs (host, priority DESC, id) WHERE state = 'queued'",
    "CREATE INDEX active_jobs ON jobs (host) WHERE state IN ('starting', 'running')",
    "CREATE TABLE housekeeping (pruned_at REAL NOT NULL)",
    "INSERT INTO housekeeping VALUES (0)",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class QueueError(Exception):
    """The queue's database cannot be used.

    Attributes:
        is_busy: whether it is only that others kept it locked.
    """

    def __init__(self, message: str, *, is_busy: bool = False) -> None:
        super().__init__(message)
        self.is_busy = is_busy


class QueueFile:
    """An open queue. Every method raises ``QueueError`` with the file's path.

    Attributes:
        place: where it is.
        sql: the connection, in autocommit mode; statements belong into ``transaction`` or stand alone.
    """

    def __init__(self, place: Place, *, create: bool = False) -> None:
        """Open the queue.

        Args:
            place: where it is.
            create: whether to make it if there is none.
        """
        self.place = place
        path = place.queue
        if not os.path.exists(path):
            if not create:
                raise QueueError(f"there is no local queue {path!r}; it was deleted, or its disk is not there")
            place.create()
        with explained(path):
            if create:
                _make_private_file(path)
            self.sql = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self.sql.close()
                raise

    def close(self) -> None:
        """Close it."""
        self.sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block in one write transaction; nothing of it is kept if it raises."""
        with explained(self.place.queue):
            self.sql.execute("BEGIN IMMEDIATE")
            try:
                yield self.sql
                self.sql.execute("COMMIT")
            except BaseException:
                if self.sql.in_transaction:
                    self.sql.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        self.sql.execute("PRAGMA synchronous = NORMAL")
        if self._version() == SCHEMA_VERSION:
            return
        self._set_journal()
        self.sql.execute("BEGIN IMMEDIATE")
        version = self._version()
        if version == 0:
            for statement in _SCHEMA:
                self.sql.execute(statement)
        self.sql.execute("COMMIT")
        if version > SCHEMA_VERSION:
            raise QueueError(
                f"the local queue {self.place.queue!r} was written by a newer molq-local; update molq-local here"
            )

    def _version(self) -> int:
        return int(self.sql.execute("PRAGMA user_version").fetchone()[0])

    def _set_journal(self) -> None:
        mode = "DELETE" if self.place.host else "WAL"
        give_up_at = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self.sql.execute(f"PRAGMA journal_mode = {mode}")
                return
            except sqlite3.OperationalError as error:
                # This one statement does not wait for the busy timeout.
                if not _is_busy(error) or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.01)


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn SQLite's errors in the block into ``QueueError`` that name ``path``."""
    try:
        yield
    except sqlite3.Error as error:
        if _is_busy(error):
            message = (
                f"the local queue {path!r} was locked by other processes for {BUSY_SECONDS:.0f} seconds; try again"
            )
            raise QueueError(message, is_busy=True) from error
        raise QueueError(
            f"the local queue {path!r} cannot be used: {error}; if the file is damaged, "
            "wait for its jobs to end and move it away"
        ) from error
    except OSError as error:
        raise QueueError(f"the local queue {path!r} cannot be used: {error.strerror}") from error


def _is_busy(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _make_private_file(path: str) -> None:
    # Made under another name, since closing a descriptor of the file drops the POSIX locks that SQLite holds on it
    # elsewhere in this process. SQLite gives its journal files the mode of the database.
    try:
        if os.stat(path).st_mode & 0o077:
            os.chmod(path, 0o600)
        return
    except FileNotFoundError:
        pass
    new = f"{path}.{os.getpid()}.{threading.get_ident()}"
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        os.chmod(new, 0o600)
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        os.unlink(new)
