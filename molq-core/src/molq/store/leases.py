"""Which process may ask a cluster's scheduler, and what came of asking."""

from __future__ import annotations

import os
import sqlite3
import weakref
from contextlib import suppress
from pathlib import Path

import attrs

from molq.store import rows
from molq.store.connection import Connection

LEASE_SECONDS = 300.0
"""How long a lease holds if its holder is on another machine and does not give it back."""

_SKEW_SECONDS = 120.0
"""How far the clocks of two machines, or of two processes that waited for the database, may be apart."""

_UNKNOWN = "-"


@attrs.frozen(kw_only=True)
class Lease:
    """The right to ask one cluster's scheduler.

    Attributes:
        cluster_name: the cluster.
        scheduler: its scheduler.
        holder: who holds it.
        epoch: grows with each new holder, so that a late write of an old one is recognised.
    """

    cluster_name: str
    scheduler: str
    holder: str
    epoch: int


@attrs.frozen(kw_only=True)
class ClusterHealth:
    """How it stands with asking a cluster's scheduler. Times are seconds since the epoch.

    Attributes:
        cluster_name: the cluster.
        scheduler: its scheduler.
        asked_at: when it was last asked.
        answered_at: when it last answered.
        failing_since: since when it has not answered; None if the last answer was good.
        failure: why it did not answer.
    """

    cluster_name: str
    scheduler: str
    asked_at: float | None = None
    answered_at: float | None = None
    failing_since: float | None = None
    failure: str | None = None


class Leases:
    """The table of clusters.

    Args:
        connection: the database.
        holder: names who asks; by default this process (machine, boot, process id and start time) and this object.
    """

    def __init__(self, connection: Connection, holder: str | None = None) -> None:
        self._connection = connection
        self._given_holder = holder
        self._suffix = os.urandom(6).hex()
        # Whoever drops a lease, as an interrupt does, holds it no more.
        self._in_use: weakref.WeakValueDictionary[tuple[str, str], Lease] = weakref.WeakValueDictionary()

    def take(self, cluster_name: str, scheduler: str, now: float) -> Lease | None:
        """Take the lease; None while another living process, or another thread of this one, holds it."""
        holder, cluster = self._given_holder or f"{_this_process()} {self._suffix}", (cluster_name, scheduler)
        with self._connection.reading() as sqlite:
            # Many may wait for the same lease: they look before they lock the database.
            if self._epoch_if_free(sqlite, cluster, holder, now) is None:
                return None
        with self._connection.writing() as sqlite:
            sqlite.execute("INSERT OR IGNORE INTO clusters (cluster_name, scheduler) VALUES (?, ?)", cluster)
            epoch = self._epoch_if_free(sqlite, cluster, holder, now)
            if epoch is None:
                return None
            sqlite.execute(
                "UPDATE clusters SET lease_holder = ?, lease_epoch = ?, lease_expires_at = ? "
                "WHERE cluster_name = ? AND scheduler = ?",
                (holder, epoch + 1, now + LEASE_SECONDS, cluster_name, scheduler),
            )
        lease = Lease(cluster_name=cluster_name, scheduler=scheduler, holder=holder, epoch=epoch + 1)
        self._in_use[cluster_name, scheduler] = lease
        return lease

    def give_back(self, lease: Lease, now: float, *, failure: str | None = None, asked: bool = True) -> None:
        """Give the lease back and record whether the scheduler answered."""
        # Even if the database cannot be written, this process may take the lease again.
        if self._in_use.get((lease.cluster_name, lease.scheduler)) == lease:
            del self._in_use[lease.cluster_name, lease.scheduler]
        outcome = "lease_holder = NULL, lease_expires_at = 0"
        values: tuple[object, ...] = ()
        if asked and failure is None:
            outcome += ", asked_at = ?, answered_at = ?, failing_since = NULL, failure = NULL"
            values = (now, now)
        elif asked:
            outcome += ", asked_at = ?, failing_since = coalesce(failing_since, ?), failure = ?"
            values = (now, now, rows.as_column(failure))
        with self._connection.writing() as sqlite:
            sqlite.execute(
                f"UPDATE clusters SET {outcome} WHERE cluster_name = ? AND scheduler = ? AND lease_epoch = ?",
                (*values, lease.cluster_name, lease.scheduler, lease.epoch),
            )

    def _epoch_if_free(
        self, sqlite: sqlite3.Connection, cluster: tuple[str, str], holder: str, now: float
    ) -> int | None:
        """Return the epoch of a lease that may be taken; None while somebody is at it."""
        row = sqlite.execute(
            "SELECT lease_holder, lease_epoch, lease_expires_at FROM clusters WHERE cluster_name = ? AND scheduler = ?",
            cluster,
        ).fetchone()
        current, epoch, expires_at = row or (None, 0, 0.0)
        # A clock that was set back must not make a lease last for ever.
        holds = now < expires_at <= now + LEASE_SECONDS + _SKEW_SECONDS
        is_held = current is not None and holds and self._is_in_use(current, holder, cluster, epoch)
        return None if is_held else int(epoch)

    def _is_in_use(self, current: str, holder: str, cluster: tuple[str, str], epoch: int) -> bool:
        """Tell whether the current holder is still at it, as far as that can be told from here."""
        if current == holder:
            mine = self._in_use.get(cluster)
            return mine is not None and mine.epoch == epoch
        return not _is_dead(current)

    def health(self, cluster_name: str, scheduler: str) -> ClusterHealth:
        """Return how it stands with a cluster."""
        with self._connection.reading() as sqlite:
            row = sqlite.execute(
                "SELECT asked_at, answered_at, failing_since, failure FROM clusters "
                "WHERE cluster_name = ? AND scheduler = ?",
                (cluster_name, scheduler),
            ).fetchone()
        asked, answered, since, failure = row or (None, None, None, None)
        return ClusterHealth(
            cluster_name=cluster_name,
            scheduler=scheduler,
            asked_at=asked,
            answered_at=answered,
            failing_since=since,
            failure=rows.as_text(failure),
        )


def is_current(sqlite: sqlite3.Connection, lease: Lease) -> bool:
    """Tell, within a transaction, whether the lease still holds."""
    row = sqlite.execute(
        "SELECT lease_holder, lease_epoch FROM clusters WHERE cluster_name = ? AND scheduler = ?",
        (lease.cluster_name, lease.scheduler),
    ).fetchone()
    return bool(row == (lease.holder, lease.epoch))


def _this_process() -> str:
    pid = os.getpid()
    start = _start_time(pid) or _UNKNOWN
    return " ".join((os.uname().nodename, _boot_id(), _pid_namespace(), str(pid), start))


def _is_dead(holder: str) -> bool:
    """Tell whether the holder surely lives no more; that can only be said where its process id means something."""
    host, boot, namespace, pid, start = (holder.split(" ") + [""] * 5)[:5]
    if host != os.uname().nodename or not pid.isdecimal():
        return False
    if boot != _boot_id():
        return True
    if namespace != _pid_namespace():
        return False
    return not _exists(int(pid)) if start == _UNKNOWN else _start_time(int(pid)) != start


def _exists(pid: int) -> bool:
    try:
        with suppress(PermissionError):
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _UNKNOWN


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return _UNKNOWN


def _start_time(pid: int) -> str | None:
    """Return when a living process started, in clock ticks since boot."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
