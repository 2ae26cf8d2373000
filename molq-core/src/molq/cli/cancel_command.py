"""``molq cancel``."""

from __future__ import annotations

import sys

import click

from molq.cli.jobs import find_jobs, split_element, submitors
from molq.cli.output import SHORT_ID, plain, print_json, visible
from molq.errors import SchedulerError
from molq.records import JobRecord
from molq.store import JobStore


@click.command("cancel")
@click.argument("job_ids", metavar="ID[.INDEX]...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(job_ids: tuple[str, ...], as_json: bool) -> int:
    """Cancel jobs, or single elements of arrays: ID.3. What is over stays what it is.

    A job that is tried again is cancelled as a whole: there is no further attempt.
    """
    store = JobStore()
    failed = False
    elements = _elements(store, job_ids)
    found = find_jobs(store, elements)
    for submitor, records in submitors(store, found):
        for record in records:
            try:
                submitor.cancel(record.job_id, elements[record.job_id] or None)
            except SchedulerError as error:
                failed = True
                told = (
                    f"{visible(str(error))}; job {record.job_id} was not cancelled, and goes on: cancel it again later"
                )
                print(f"molq: error: {told}", file=sys.stderr)
    after = [store.latest_attempt(record.job_id) for record in found]
    if as_json:
        print_json([plain(record) for record in after])
    else:
        for old, new in zip(found, after, strict=True):
            if elements[old.job_id]:
                _tell_elements(store, new, elements[old.job_id])
            else:
                click.echo(f"{old.root_job_id[:SHORT_ID]}  {_outcome(old, new)}")
    return 1 if failed else 0


def _elements(store: JobStore, job_ids: tuple[str, ...]) -> dict[str, list[int]]:
    """Return the jobs that are meant, each with the elements; with none for a job as a whole."""
    meant: dict[str, list[int]] = {}
    wholes = set()
    for text in job_ids:
        prefix, index = split_element(text)
        job_id = store.latest_attempt(store.resolve(prefix)).job_id
        meant.setdefault(job_id, [])
        if index is None:
            wholes.add(job_id)
        else:
            meant[job_id].append(index)
    return {job_id: [] if job_id in wholes else indices for job_id, indices in meant.items()}


def _tell_elements(store: JobStore, record: JobRecord, indices: list[int]) -> None:
    states = {e.index: e.state for e in store.elements([record.job_id]).get(record.job_id, ())}
    for index in indices:
        state = states.get(index)
        told = "the scheduler was asked to end it" if state is None else state.value
        click.echo(f"{record.root_job_id[:SHORT_ID]}.{index}  {told}")


def _outcome(old: JobRecord, new: JobRecord) -> str:
    if old.state.is_terminal:
        return f"is over already: {old.state.value}"
    if new.state.is_terminal or new.cancel_requested_at is None:
        return new.state.value
    if new.scheduler_job_id is None:
        return "will be cancelled as soon as it turns up in the scheduler"
    return f"{new.state.value}; the scheduler was asked to end it"
