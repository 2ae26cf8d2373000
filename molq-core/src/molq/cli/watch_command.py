"""``molq watch``."""

from __future__ import annotations

import sys
import time

import click

from molq.cli.exit_codes import INTERRUPTED
from molq.cli.jobs import find_jobs, submitors
from molq.cli.numbers import quantity
from molq.cli.outcomes import exit_code_of, outcome_line
from molq.cli.output import SHORT_ID, latest_of, plain, print_json, visible
from molq.errors import MolqTimeoutError
from molq.events import EventPayload, EventType
from molq.job_state import JobState
from molq.quantities import Duration
from molq.records import JobRecord
from molq.store import JobStore

_TURN_SECONDS = 0.5


@click.command("watch")
@click.argument("job_ids", metavar="[ID...]", nargs=-1)
@click.option("--timeout", metavar="DURATION", help="Give up after this long, such as 90s or 2h; the jobs go on.")
@click.option("--json", "as_json", is_flag=True, help="Print the final records as JSON, and nothing else.")
def command(job_ids: tuple[str, ...], timeout: str | None, as_json: bool) -> int:
    """Wait until jobs are over, with all their attempts: these, or all that are active now.

    Exits with 0 if all succeeded; for a single job otherwise with its own exit code, if it has one, else with 1.
    Ctrl-C leaves the jobs alone.
    """
    store = JobStore()
    records = latest_of(find_jobs(store, job_ids) if job_ids else store.jobs())
    limit = None if timeout is None else quantity("--timeout", Duration, timeout).seconds
    told: set[str] = set()
    try:
        _wait(store, records, limit, None if as_json else told)
    except KeyboardInterrupt:
        again = " ".join(["molq watch", *(record.job_id[:SHORT_ID] for record in records if job_ids)])
        print(f"\nmolq: stopped watching; the jobs go on. Watch them again with: {again}", file=sys.stderr)
        return INTERRUPTED
    ended = [store.latest_attempt(record.job_id) for record in records]
    if as_json:
        print_json([plain(record) for record in ended])
    elif not ended:
        click.echo("no active jobs")
    else:
        for record in ended:
            if record.root_job_id not in told:
                click.echo(outcome_line(record))
    if len(ended) == 1:
        return exit_code_of(ended[0])
    return max((min(exit_code_of(record), 1) for record in ended), default=0)


def _wait(store: JobStore, records: list[JobRecord], limit: float | None, told: set[str] | None) -> None:
    """Wait for the jobs of several clusters in turns; print their steps, and note whose end was told."""
    began = time.monotonic()
    watched = {record.root_job_id for record in records}

    def show(payload: EventPayload) -> None:
        step, record = payload.transition, payload.record
        if told is None or step is None or record is None or record.root_job_id not in watched:
            return
        if step.new_state.is_terminal:
            told.add(record.root_job_id)
            click.echo(outcome_line(record))
        else:
            shown = step.reason if step.old_state is None else step.new_state.value
            click.echo(f"{record.root_job_id[:SHORT_ID]}  {visible(shown or step.new_state.value)}")

    pending = submitors(store, records)
    for submitor, _ in pending:
        submitor.on(EventType.STATUS_CHANGE, show)
    while pending:
        active: dict[str, JobState] = {}
        for group in list(pending):
            submitor, jobs = group
            left = None if limit is None else max(0.0, limit - (time.monotonic() - began))
            turn = left if len(pending) == 1 else min(_TURN_SECONDS, left if left is not None else _TURN_SECONDS)
            try:
                submitor.watch([record.job_id for record in jobs], timeout=turn)
                pending.remove(group)
            except MolqTimeoutError as error:
                active |= error.active
        if active and limit is not None and time.monotonic() - began >= limit:
            # Each turn was shorter than what the user asked for.
            raise MolqTimeoutError.naming(active, limit)
