"""``molq logs``."""

from __future__ import annotations

import sys

import click

from molq.array_listing import list_elements
from molq.cli.following import LogReader, follow
from molq.cli.jobs import find_jobs, split_element
from molq.cli.numbers import WholeNumber
from molq.cli.output import clock
from molq.errors import CommandError, JobNotFoundError
from molq.job_state import JobState
from molq.records import JobElement, JobRecord
from molq.store import JobStore
from molq.submitor import Submitor

_ENDS = {
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "was cancelled",
    JobState.TIMED_OUT: "timed out",
    JobState.LOST: "was lost",
}


@click.command("logs")
@click.argument("job_id", metavar="ID[.INDEX]")
@click.option("--stderr", "-e", is_flag=True, help="Print standard error instead of standard output.")
@click.option("--follow", "-f", "follows", is_flag=True, help="Go on until the job, or the element, is over.")
@click.option("--lines", "-n", type=WholeNumber(0), help="Start with the last N lines.")
@click.option("--raw", is_flag=True, help="Pass control characters on to the terminal.")
def command(job_id: str, stderr: bool, follows: bool, lines: int | None, raw: bool) -> int:
    """Print what a job's latest attempt, or one element of an array (ID.3), wrote to its standard output."""
    store = JobStore()
    prefix, index = split_element(job_id)
    (found,) = find_jobs(store, [prefix])
    record = store.latest_attempt(found.job_id) if found.attempt == 1 else found

    def reader_of(attempt: JobRecord) -> LogReader:
        path = _path(attempt, _element(store, attempt, index), stderr=stderr)
        return LogReader(path, sys.stdout, raw=raw or not sys.stdout.isatty())

    def is_over() -> bool:
        return _is_over(store, store.latest_attempt(record.job_id), index)

    reader = reader_of(record)

    def readers_of(attempt: JobRecord) -> list[LogReader]:
        return [reader if attempt.job_id == record.job_id else reader_of(attempt)]

    if lines is not None:
        reader.skip_to_last(lines)
    if follows and not is_over():
        follow(Submitor.for_job(record.job_id, store), record.job_id, readers_of, is_over)
    else:
        reader.pump()
    if not reader.was_found:
        record = store.job(record.job_id)
        element = _element(store, record, index)
        path, why = _path(record, element, stderr=stderr), reader.problem or _why_there_is_none(record, element)
        raise JobNotFoundError(f"job {record.job_id} has no log {path!r}: {why}", job_id=record.job_id)
    return 0


def _element(store: JobStore, record: JobRecord, index: int | None) -> JobElement | None:
    """Return the element of an array that has this index; None for a job that is no array."""
    elements = list_elements(store, record.job_id) if store.tracked_job(record.job_id).is_array else []
    if index is None and not elements:
        return None
    if index is None:
        raise CommandError(
            f"job {record.job_id} is an array; give the element too, such as {record.job_id[:8]}.{elements[0].index}"
        )
    for element in elements:
        if element.index == index:
            return element
    raise CommandError(f"job {record.job_id} has no element {index}")


def _path(record: JobRecord, element: JobElement | None, *, stderr: bool) -> str:
    written = record if element is None else element
    return written.stderr_path if stderr else written.stdout_path


def _is_over(store: JobStore, record: JobRecord, index: int | None) -> bool:
    """Tell whether a job, or its element, writes nothing more, also in no further attempt."""
    element = _element(store, record, index)
    if record.state.is_terminal or element is None or element.state is None or not element.state.is_terminal:
        return record.state.is_terminal
    if element.state in (JobState.SUCCEEDED, JobState.CANCELLED):
        return True
    return record.attempt >= store.tracked_job(record.job_id).max_attempts


def _why_there_is_none(record: JobRecord, element: JobElement | None) -> str:
    state = record.state if element is None else element.state
    if record.cleaned_at is not None:
        return f"its folder was deleted by a cleanup on {clock(record.cleaned_at)}"
    if state is None:
        return "nothing is known of this element"
    if state is JobState.CANCELLED and (element is not None or record.started_at is None):
        return "it was cancelled before it wrote one"
    if state.is_terminal:
        return f"it {_ENDS[state]}, and the file was deleted since, or never written"
    return "it has written none yet" if state is JobState.RUNNING else "it has not started yet"
