"""One connection to the database file: opened safely, in transactions, with errors that say what to do."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from molq.errors import StoreError
from molq.store.file_systems import is_local
from molq.store.schema import check_is_ours, migrate

BUSY_SECONDS = 60.0
_RETRY_SECONDS = 0.01

_LOCKED = "is locked by another program since more than {seconds:g} s; try again, or find it with: fuser {path}"
_FULL = "cannot grow: the disk or the quota is full; free some space and try again"
_REMEDIES = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_PROTOCOL": _LOCKED,
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR_SHMSIZE": _FULL,
    "SQLITE_READONLY": "cannot be written: the file, its folder or the file system is read-only; "
    "make it writable, or choose another folder with MOLQ_HOME",
    "SQLITE_CANTOPEN": "cannot be opened; check that its folder exists and that you may write there, "
    "or choose another folder with MOLQ_HOME",
    "SQLITE_PERM": "cannot be opened; check that you may read and write it",
    "SQLITE_NOTADB": "is not a molq database; molq leaves it alone: "
    "move it away, or choose another folder with MOLQ_HOME",
    "SQLITE_CORRUPT": "is damaged; molq leaves it as it is: restore a copy, or save what is left with: "
    "sqlite3 {path} .recover",
    "SQLITE_IOERR": "cannot be read or written: the disk or the network file system failed, or the quota is used up",
}


class Connection:
    """A connection that threads share. It is closed while the process forks; parent and child then open it anew."""

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._lock = threading.RLock()
        self._sqlite: sqlite3.Connection | None = None
        self._is_closed = False
        self._file: tuple[int, int] | None = None
        self._openings = 0
        self._synchronous = ""
        self._has_wal = False
        _open_ones.add(self)
        with self._lock, self._explained():
            _make_private(path)
            self._open()

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        with self._lock:
            self._is_closed = True
            self._let_go()

    def ask(self, question: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows that answer a question."""
        with self.reading() as sqlite:
            try:
                return sqlite.execute(question, values).fetchall()
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorname", None) is not None:
                    raise
                # Some text is not UTF-8. One such row must not hide the others; decoding this way is slower.
                sqlite.text_factory = _decoded
                return sqlite.execute(question, values).fetchall()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to read with."""
        with self._lock, self._explained():
            sqlite = self._current()
            self._check_is_same_file()
            yield sqlite

    @contextmanager
    def writing(self, *, durably: bool = False) -> Iterator[sqlite3.Connection]:
        """Give a connection within one transaction, which is committed at the end and undone on any error.

        Args:
            durably: whether it must be on the disk when this returns. Without, a power cut may undo the latest
                transactions, as a whole and in order: right for what evidence will tell again.
        """
        with self._lock, self._explained():
            sqlite = self._current()
            self._choose_durability(sqlite, durably=durably)
            # Within the try: the interrupt of somebody who waits for the lock comes when it has just been got.
            try:
                # IMMEDIATE: a transaction that begins by reading cannot wait for the write lock later on.
                sqlite.execute("BEGIN IMMEDIATE")
                # Not before: the wait for the lock may be long.
                self._check_is_same_file()
                yield sqlite
                sqlite.execute("COMMIT")
            finally:
                if sqlite.in_transaction:
                    sqlite.execute("ROLLBACK")

    def data_version(self) -> int:
        """Return a number that changes whenever another connection has written."""
        with self.reading() as sqlite:
            version = int(sqlite.execute("PRAGMA data_version").fetchone()[0])
            # SQLite counts for each connection anew.
            return (self._openings << 32) + version

    def hold_still(self) -> None:
        """Close until ``go_on``, and keep other threads out: this process is about to fork."""
        self._lock.acquire()
        self._let_go()

    def go_on(self) -> None:
        """Let threads in again; the next one opens the file."""
        self._lock.release()

    def _current(self) -> sqlite3.Connection:
        if self._is_closed:
            raise StoreError(f"the store {str(self.path)!r} was closed; make a new Submitor", path=self.path)
        if self._sqlite is None:
            self._check_is_same_file()
            return self._open()
        return self._sqlite

    def _open(self) -> sqlite3.Connection:
        sqlite = sqlite3.connect(
            # rw: a file that vanished is an error, and a new one would be readable by others.
            f"{self.path.as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            status = self.path.stat()
            version = check_is_ours(sqlite, self.path)
            self._choose_journal(sqlite, is_new=version == 0)
            sqlite.execute("PRAGMA synchronous = FULL")
            self._synchronous = "FULL"
            sqlite.execute("PRAGMA foreign_keys = ON")
            migrate(sqlite, self.path)
        except BaseException:
            sqlite.close()
            raise
        self._file = (status.st_dev, status.st_ino)
        self._sqlite = sqlite
        self._openings += 1
        return sqlite

    def _choose_journal(self, sqlite: sqlite3.Connection, *, is_new: bool) -> None:
        """Use WAL on a disk of this machine alone: the shared memory that it needs does not reach other machines.

        An old file that has a rollback journal keeps it, since somebody may have it open through a network.
        """
        (journal,) = sqlite.execute("PRAGMA journal_mode").fetchone()
        if is_new and journal != "wal" and is_local(self.path):
            self._set_journal(sqlite, "WAL")
        elif journal == "wal" and not is_local(self.path):
            self._set_journal(sqlite, "DELETE")
        (journal,) = sqlite.execute("PRAGMA journal_mode").fetchone()
        self._has_wal = journal == "wal"

    def _set_journal(self, sqlite: sqlite3.Connection, journal: str) -> None:
        # SQLite waits for others in all statements but this one.
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                sqlite.execute(f"PRAGMA journal_mode = {journal}")
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() >= deadline:
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def _choose_durability(self, sqlite: sqlite3.Connection, *, durably: bool) -> None:
        # Only the write-ahead log stays sound without waiting for the disk.
        wanted = "NORMAL" if self._has_wal and not durably else "FULL"
        if wanted != self._synchronous:
            sqlite.execute(f"PRAGMA synchronous = {wanted}")
            self._synchronous = wanted

    def _let_go(self) -> None:
        if self._sqlite is not None:
            self._sqlite.close()
            self._sqlite = None

    def _check_is_same_file(self) -> None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._file:
            raise StoreError(
                f"the database {str(self.path)!r} was deleted or replaced while it was open; "
                "put it back, or start anew with another Submitor",
                path=self.path,
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", None) or ""
            remedy = next(
                (text for start, text in _REMEDIES.items() if name.startswith(start)), "cannot be used: {error}"
            )
            sentence = remedy.format(path=self.path, seconds=self._busy_seconds, error=error)
            raise StoreError(f"the database {str(self.path)!r} {sentence}", path=self.path) from error
        except OSError as error:
            raise StoreError(
                f"the database {str(self.path)!r} cannot be used: {error.strerror} ({error.filename}); "
                "check its folder, or choose another with MOLQ_HOME",
                path=self.path,
            ) from error


# A connection that is open during a fork makes SQLite believe, in the child, that it holds the parent's locks: the
# parent then deletes the write-ahead log under the child, and what the child commits is lost.
_open_ones: weakref.WeakSet[Connection] = weakref.WeakSet()
_held_still: list[Connection] = []


def _before_fork() -> None:
    for connection in list(_open_ones):
        connection.hold_still()
        _held_still.append(connection)


def _after_fork() -> None:
    while _held_still:
        _held_still.pop().go_on()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def _make_private(path: Path) -> None:
    """Make the file and its folder, readable by nobody else, if they are not there yet."""
    if path.exists():
        return
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace")
