"""``molq daemon``."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from molq.cleanup import clean_up
from molq.cli.jobs import check_cluster_is_known
from molq.cli.numbers import Seconds
from molq.cli.output import show_warnings
from molq.daemon import run_rounds
from molq.errors import ConfigError, MolqError
from molq.profile_retention import retention_of
from molq.store import JobStore
from molq.submitor import Submitor

_log = logging.getLogger("molq")

_CLEANUP_SECONDS = 3600.0


@click.command("daemon")
@click.option("--cluster", "-c", help="Look only after this cluster's jobs.")
@click.option("--once", is_flag=True, help="Do one round, and end; for cron.")
@click.option("--interval", type=Seconds(0.1, 86_400), default=5.0, show_default=True, help="How long between rounds.")
@click.option("--no-cleanup", is_flag=True, help="Do not clean up, which is else done every hour as the profiles say.")
def command(cluster: str | None, once: bool, interval: float, no_cleanup: bool) -> None:
    """Look after all jobs until SIGTERM or Ctrl-C: learn how they go on, and submit what is due.

    It is a convenience: every other command does the same work, but only while it runs. Of several daemons one asks the
    scheduler.
    """
    show_warnings()
    store = JobStore()
    if cluster is not None:
        try:
            check_cluster_is_known(store, cluster)
        except ConfigError as error:
            # It may be started before the first job is submitted.
            _log.warning("%s; its jobs are looked after once there are some", error)
    rounds = _Rounds(store, cluster, interval, run_cleanup=not no_cleanup)
    run_rounds(rounds.run, once=once, interval=interval)


class _Rounds:
    """Rounds over the clusters that have active jobs; each keeps its Submitor from one round to the next."""

    def __init__(self, store: JobStore, cluster: str | None, interval: float, *, run_cleanup: bool) -> None:
        self._store = store
        self._cluster = cluster
        self._interval = interval
        self._run_cleanup = run_cleanup
        self._cleaned_at = -math.inf
        self._submitors: dict[tuple[str, str], Submitor] = {}
        self._broken: set[tuple[str, str]] = set()

    def run(self) -> None:
        """Do one round. A cluster that cannot be looked after is named once, and hinders no other."""
        with self._told_once(("the database", str(self._store.path)), "cannot be read"):
            for key, job_id in self._store.active_clusters().items():
                if self._cluster is None or key[0] == self._cluster:
                    self._look_after(key, job_id)
        if self._run_cleanup and time.monotonic() - self._cleaned_at >= _CLEANUP_SECONDS:
            self._cleaned_at = time.monotonic()
            with self._told_once(("cleanup", str(self._store.path)), "cannot begin"):
                self._clean_up()

    def _look_after(self, key: tuple[str, str], job_id: str) -> None:
        with self._told_once(key, "cannot be looked after"):
            if key not in self._submitors:
                self._submitors[key] = Submitor.for_job(job_id, self._store)
            self._submitors[key].look_after(self._interval, run_cleanup=False)

    def _clean_up(self) -> None:
        """Clean up after all clusters, also those that have no active job, as their profiles say."""
        for name in self._store.cluster_names() if self._cluster is None else [self._cluster]:
            with self._told_once((name, "cleanup"), "is not cleaned up"):
                clean_up(self._store, retention_of(name), time.time(), cluster_name=name, dry_run=False)

    @contextmanager
    def _told_once(self, key: tuple[str, str], what: str) -> Iterator[None]:
        try:
            yield
            self._broken.discard(key)
        except MolqError as error:
            if key not in self._broken:
                self._broken.add(key)
                _log.warning("%s (%s) %s: %s", *key, what, error)
