"""Say how a job ended, in a line and in an exit code."""

from __future__ import annotations

from molq.cli.output import SHORT_ID, elapsed, visible
from molq.job_state import JobState
from molq.records import JobRecord


def outcome_line(record: JobRecord) -> str:
    """Return a line such as ``1f3a9c02  failed after 3.2s: ended with exit code 3``."""
    took = "" if record.started_at is None else f" after {elapsed(record, record.finished_at or 0.0)}"
    reason = f": {record.failure_reason}" if record.failure_reason else ""
    attempt = f" (attempt {record.attempt})" if record.attempt > 1 else ""
    return visible(f"{record.root_job_id[:SHORT_ID]}  {record.state.value}{attempt}{took}{reason}")


def unconfirmed_line(record: JobRecord) -> str:
    """Return a line for a job of which nobody knows yet whether the scheduler has it."""
    return (
        f"job {record.job_id} is unconfirmed: do not submit it again; molq adopts it as soon as it turns up; "
        f"see: molq status {record.root_job_id[:SHORT_ID]}"
    )


def exit_code_of(record: JobRecord) -> int:
    """Return 0 for a job that succeeded; otherwise its own exit code, if it has one that is not 0, or 1."""
    return 0 if record.state is JobState.SUCCEEDED else record.exit_code or 1
