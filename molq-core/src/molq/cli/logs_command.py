"""``molq logs``."""

from __future__ import annotations

import sys

import click

from molq.cli.following import LogReader, follow
from molq.cli.jobs import find_jobs
from molq.cli.output import clock
from molq.errors import JobNotFoundError
from molq.store import JobStore
from molq.submitor import Submitor


@click.command("logs")
@click.argument("job_id", metavar="ID")
@click.option("--stderr", "-e", is_flag=True, help="Print standard error instead of standard output.")
@click.option("--follow", "-f", "follows", is_flag=True, help="Go on until the job is over.")
@click.option("--lines", "-n", type=click.IntRange(min=0), help="Start with the last N lines.")
@click.option("--raw", is_flag=True, help="Pass control characters on to the terminal.")
def command(job_id: str, stderr: bool, follows: bool, lines: int | None, raw: bool) -> int:
    """Print what a job wrote to its standard output."""
    store = JobStore()
    (record,) = find_jobs(store, [job_id])
    path = record.stderr_path if stderr else record.stdout_path
    reader = LogReader(path, sys.stdout, raw=raw or not sys.stdout.isatty())
    if lines is not None:
        reader.skip_to_last(lines)
    if follows and not record.state.is_terminal:
        follow(Submitor.for_job(record.job_id, store), record.job_id, [reader])
    else:
        reader.pump()
    if not reader.was_found:
        why = "it has not started yet" if not record.state.is_terminal else f"it is {record.state.value}"
        if record.cleaned_at is not None:
            why = f"its folder was deleted by a cleanup on {clock(record.cleaned_at)}"
        raise JobNotFoundError(f"job {record.job_id} has no log {path!r}: {why}", job_id=record.job_id)
    return 0
