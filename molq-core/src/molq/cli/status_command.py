"""``molq status``."""

from __future__ import annotations

import time

import click

from molq.cli.jobs import find_jobs, refresh, warn_of_old_states
from molq.cli.output import JOB_HEADER, job_row, plain, print_json, print_table
from molq.store import JobStore


@click.command("status")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--no-refresh", is_flag=True, help="Do not ask the schedulers; show what is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(job_ids: tuple[str, ...], no_refresh: bool, as_json: bool) -> None:
    """Show where jobs are, each by its latest attempt."""
    store = JobStore()
    records = [store.latest_attempt(record.job_id) for record in find_jobs(store, job_ids)]
    (warn_of_old_states if no_refresh else refresh)(store, records)
    records = [store.latest_attempt(record.job_id) for record in records]
    if as_json:
        print_json([plain(record) for record in records])
    else:
        now = time.time()
        print_table(JOB_HEADER, [job_row(record, now) for record in records])
