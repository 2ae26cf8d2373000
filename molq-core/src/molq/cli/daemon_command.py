"""``molq daemon``."""

from __future__ import annotations

import logging

import click

from molq.cli.jobs import by_cluster
from molq.daemon import run_rounds
from molq.errors import MolqError
from molq.profile_retention import retention_of
from molq.records import JobRecord
from molq.store import JobStore
from molq.submitor import Submitor

_log = logging.getLogger("molq")


@click.command("daemon")
@click.option("--cluster", "-c", help="Look only after this cluster's jobs.")
@click.option("--once", is_flag=True, help="Do one round, and end; for cron.")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds between rounds."
)
@click.option("--no-cleanup", is_flag=True, help="Do not clean up, which is else done every hour as the profiles say.")
def command(cluster: str | None, once: bool, interval: float, no_cleanup: bool) -> None:
    """Look after all jobs until SIGTERM or Ctrl-C: learn how they go on, and submit what is due.

    It is a convenience: every other command does the same work, but only while it runs. Of several daemons one asks the
    scheduler.
    """
    store = JobStore()
    rounds = _Rounds(store, cluster, interval, run_cleanup=not no_cleanup)
    run_rounds(rounds.run, once=once, interval=interval)


class _Rounds:
    """Rounds over the clusters that have active jobs; each keeps its Submitor from one round to the next."""

    def __init__(self, store: JobStore, cluster: str | None, interval: float, *, run_cleanup: bool) -> None:
        self._store = store
        self._cluster = cluster
        self._interval = interval
        self._run_cleanup = run_cleanup
        self._submitors: dict[tuple[str, str], Submitor] = {}
        self._broken: set[tuple[str, str]] = set()

    def run(self) -> None:
        """Do one round. A cluster that cannot be looked after is named once, and hinders no other."""
        for key, records in by_cluster(self._store.jobs(self._cluster)).items():
            try:
                if key not in self._submitors:
                    self._submitors[key] = self._submitor(records[-1])
                self._submitors[key].look_after(self._interval, run_cleanup=self._run_cleanup)
                self._broken.discard(key)
            except MolqError as error:
                if key not in self._broken:
                    self._broken.add(key)
                    _log.warning("%s (%s) cannot be looked after: %s", *key, error)

    def _submitor(self, record: JobRecord) -> Submitor:
        retention = retention_of(record.cluster_name) if self._run_cleanup else None
        return Submitor.for_job(record.job_id, self._store, retention_policy=retention)
