"""``molq logs``."""

from __future__ import annotations

import sys

import click

from molq.array_listing import list_elements
from molq.cli.following import LogReader, follow
from molq.cli.jobs import find_jobs, split_element
from molq.cli.output import clock
from molq.errors import CommandError, JobNotFoundError
from molq.records import JobRecord
from molq.store import JobStore
from molq.submitor import Submitor


@click.command("logs")
@click.argument("job_id", metavar="ID[.INDEX]")
@click.option("--stderr", "-e", is_flag=True, help="Print standard error instead of standard output.")
@click.option("--follow", "-f", "follows", is_flag=True, help="Go on until the job is over.")
@click.option("--lines", "-n", type=click.IntRange(min=0), help="Start with the last N lines.")
@click.option("--raw", is_flag=True, help="Pass control characters on to the terminal.")
def command(job_id: str, stderr: bool, follows: bool, lines: int | None, raw: bool) -> int:
    """Print what a job's latest attempt, or one element of an array (ID.3), wrote to its standard output."""
    store = JobStore()
    prefix, index = split_element(job_id)
    (found,) = find_jobs(store, [prefix])
    record = store.latest_attempt(found.job_id) if found.attempt == 1 else found
    path = _path(store, record, index, stderr=stderr)
    reader = LogReader(path, sys.stdout, raw=raw or not sys.stdout.isatty())
    if lines is not None:
        reader.skip_to_last(lines)

    def readers_of(attempt: JobRecord) -> list[LogReader]:
        if attempt.job_id == record.job_id:
            return [reader]
        path = _path(store, attempt, index, stderr=stderr)
        return [LogReader(path, sys.stdout, raw=raw or not sys.stdout.isatty())]

    if follows and not record.state.is_terminal:
        follow(Submitor.for_job(record.job_id, store), record.job_id, readers_of)
    else:
        reader.pump()
    if not reader.was_found:
        why = "it has not started yet" if not record.state.is_terminal else f"it is {record.state.value}"
        if reader.problem is not None:
            why = reader.problem
        if record.cleaned_at is not None:
            why = f"its folder was deleted by a cleanup on {clock(record.cleaned_at)}"
        raise JobNotFoundError(f"job {record.job_id} has no log {path!r}: {why}", job_id=record.job_id)
    return 0


def _path(store: JobStore, record: JobRecord, index: int | None, *, stderr: bool) -> str:
    elements = list_elements(store, record.job_id) if _is_array(store, record) else []
    if index is None and not elements:
        return record.stderr_path if stderr else record.stdout_path
    if index is None:
        raise CommandError(
            f"job {record.job_id} is an array; give the element too, such as {record.job_id[:8]}.{elements[0].index}"
        )
    for element in elements:
        if element.index == index:
            return element.stderr_path if stderr else element.stdout_path
    raise CommandError(f"job {record.job_id} has no element {index}")


def _is_array(store: JobStore, record: JobRecord) -> bool:
    return store.tracked_job(record.job_id).is_array
