"""``molq cancel``."""

from __future__ import annotations

import sys

import click

from molq.cli.jobs import find_jobs, submitors
from molq.cli.output import SHORT_ID, plain, print_json, visible
from molq.errors import SchedulerError
from molq.records import JobRecord
from molq.store import JobStore


@click.command("cancel")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(job_ids: tuple[str, ...], as_json: bool) -> int:
    """Cancel jobs. Those that are over stay what they are."""
    store = JobStore()
    failed = False
    found = find_jobs(store, job_ids)
    for submitor, records in submitors(store, found):
        for record in records:
            try:
                submitor.cancel(record.job_id)
            except SchedulerError as error:
                failed = True
                print(f"molq: error: {visible(str(error))}", file=sys.stderr)
    after = [store.job(record.job_id) for record in found]
    if as_json:
        print_json([plain(record) for record in after])
    else:
        for old, new in zip(found, after, strict=True):
            click.echo(f"{new.job_id[:SHORT_ID]}  {_outcome(old, new)}")
    return 1 if failed else 0


def _outcome(old: JobRecord, new: JobRecord) -> str:
    if old.state.is_terminal:
        return f"is over already: {old.state.value}"
    if new.state.is_terminal or new.cancel_requested_at is None:
        return new.state.value
    if new.scheduler_job_id is None:
        return "will be cancelled as soon as it turns up in the scheduler"
    return f"{new.state.value}; the scheduler was asked to end it"
