"""``molq retry``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from molq.cli.exit_codes import UNCONFIRMED
from molq.cli.jobs import find_jobs, submitors
from molq.cli.outcomes import unconfirmed_line
from molq.cli.output import SHORT_ID, plain, print_json, visible
from molq.cli.streams import submitted
from molq.errors import SubmitError
from molq.job_state import JobState
from molq.records import JobRecord
from molq.store import JobStore


@click.command("retry")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print the new attempts' records as JSON.")
def command(job_ids: tuple[str, ...], as_json: bool) -> int:
    """Try jobs again that are over, each as a further attempt of itself.

    An attempt runs the script as it was first submitted, and asks for the same. Of an array, only the elements that did
    not succeed run again.

    Exits with 75 if the scheduler did not answer clearly, as molq submit does.
    """
    store = JobStore()
    failed = False
    tried = []
    for submitor, records in submitors(store, find_jobs(store, job_ids)):
        for record in records:
            try:
                submitor.retry(record.job_id)
            except SubmitError as error:
                failed = True
                print(f"molq: error: {visible(str(error))}", file=sys.stderr)
            else:
                tried.append(store.latest_attempt(record.job_id))
    failed = failed or any(record.state is JobState.FAILED for record in tried)
    with submitted([record.job_id for record in tried]):
        _tell(tried, as_json=as_json)
    if failed:
        return 1
    unconfirmed = [record for record in tried if _is_unconfirmed(store, record)]
    for record in unconfirmed:
        print(f"molq: {unconfirmed_line(record)}", file=sys.stderr)
    return UNCONFIRMED if unconfirmed else 0


def _tell(tried: Sequence[JobRecord], *, as_json: bool) -> None:
    if as_json:
        print_json([plain(record) for record in tried])
        return
    for record in tried:
        where = f" as {record.scheduler_job_id}" if record.scheduler_job_id else ""
        note = record.failure_reason or record.reason
        shown = f"{record.state.value}{where}" + (f": {note}" if note and not where else "")
        click.echo(
            f"{record.root_job_id[:SHORT_ID]}  attempt {record.attempt} ({record.job_id[:SHORT_ID]}) {visible(shown)}"
        )


def _is_unconfirmed(store: JobStore, record: JobRecord) -> bool:
    return record.state is JobState.CREATED and not store.tracked_job(record.job_id).waits_in_molq
