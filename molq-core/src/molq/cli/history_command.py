"""``molq history``."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from molq.cli.jobs import find_jobs
from molq.cli.numbers import WholeNumber
from molq.cli.output import JOB_HEADER, SHORT_ID, clock, elapsed, job_row, plain, print_json, print_table
from molq.job_state import JobState
from molq.records import JobRecord
from molq.store import JobStore

_ATTEMPTS = ("ATTEMPT", "ID", "SCHEDULER ID", "STATE", "SUBMITTED", "TIME", "EXIT", "ASKED FOR", "NOTE")


@click.command("history")
@click.argument("job_id", metavar="[ID]", required=False)
@click.option("--cluster", "-c", help="Without an ID: show only this cluster's jobs.")
@click.option("--limit", "-n", type=WholeNumber(1), default=30, show_default=True, help="Show the newest N.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(job_id: str | None, cluster: str | None, limit: int, as_json: bool) -> None:
    """Show all attempts of a job and the steps in their lives; without an ID, the latest jobs that are over.

    Of those, each is shown by its latest attempt. No scheduler is asked.
    """
    store = JobStore()
    if job_id is None:
        _show_ended(store, cluster, limit, as_json=as_json)
        return
    (record,) = find_jobs(store, [job_id])
    family = store.family(record.job_id)
    steps = [(one, step) for one in family for step in store.transitions(one.job_id)]
    if as_json:
        requests = {one.job_id: store.request(one.job_id) for one in family}
        attempts = [{**plain(one), "request": requests[one.job_id]} for one in family]
        print_json({"attempts": attempts, "transitions": [plain(step) for _, step in steps]})
        return
    print_table(_ATTEMPTS, [_attempt_row(store, one) for one in family])
    click.echo()
    print_table(
        ("WHEN", "ATTEMPT", "FROM", "TO", "LEARNED FROM"),
        [
            (clock(step.timestamp), str(one.attempt), step.old_state or "-", step.new_state, step.reason or "")
            for one, step in sorted(steps, key=lambda pair: pair[1].timestamp)
        ],
    )


def _show_ended(store: JobStore, cluster: str | None, limit: int, *, as_json: bool) -> None:
    ended = store.ended_jobs(cluster, limit=limit)
    if as_json:
        print_json([plain(record) for record in ended])
    elif ended:
        now = time.time()
        print_table(JOB_HEADER, [job_row(record, now) for record in ended])
    else:
        click.echo("no job is over yet; see those that are active with: molq list")


def _attempt_row(store: JobStore, record: JobRecord) -> Sequence[str]:
    waits = record.state is JobState.CREATED and record.not_before is not None
    due = f"due {clock(record.not_before)}" if waits and record.attempt > 1 else "-"
    return (
        str(record.attempt),
        record.job_id[:SHORT_ID],
        record.scheduler_job_id or "-",
        record.state.value,
        due if record.submitted_at is None else clock(record.submitted_at),
        elapsed(record, time.time()),
        "-" if record.exit_code is None else str(record.exit_code),
        _asked_for(store, record),
        record.failure_reason or record.reason or "",
    )


def _asked_for(store: JobStore, record: JobRecord) -> str:
    """Return what may differ from attempt to attempt."""
    request = store.request(record.job_id)
    resources, scheduling = request.get("resources", {}), request.get("scheduling", {})
    parts = [resources.get("memory"), resources.get("time_limit"), scheduling.get("array_spec")]
    return " ".join(str(part) for part in parts if part) or "-"
