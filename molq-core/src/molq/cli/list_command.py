"""``molq list``."""

from __future__ import annotations

import time

import click

from molq.cli.numbers import WholeNumber
from molq.cli.output import JOB_HEADER, job_row, latest_of, plain, print_json, print_table, show_warnings
from molq.store import JobStore


@click.command("list")
@click.option("--all", "-a", "show_all", is_flag=True, help="Show jobs that are over too.")
@click.option("--cluster", "-c", help="Show only this cluster's jobs.")
@click.option("--limit", "-n", type=WholeNumber(1), default=100, show_default=True, help="Show the newest N.")
@click.option("--no-refresh", is_flag=True, help="Do not ask the schedulers; show what is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(show_all: bool, cluster: str | None, limit: int, no_refresh: bool, as_json: bool) -> None:
    """List active jobs, oldest first; with --all those that are over too. Of several attempts the latest is shown."""
    show_warnings()
    store = JobStore()
    records = latest_of(store.jobs(cluster, include_terminal=show_all, limit=limit))
    if any(not record.state.is_terminal for record in records):
        # Without active jobs, nothing of it is needed.
        from molq.cli.jobs import refresh, warn_of_old_states

        (warn_of_old_states if no_refresh else refresh)(store, records)
        records = latest_of(store.jobs(cluster, include_terminal=show_all, limit=limit))
    if as_json:
        print_json([plain(record) for record in records])
    elif records:
        now = time.time()
        print_table(JOB_HEADER, [job_row(record, now) for record in records])
    else:
        click.echo("no jobs" if show_all else "no active jobs; see those that are over with: molq list --all")
