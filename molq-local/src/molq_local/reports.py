"""Say what the queue knows of a job in molq's words."""

from __future__ import annotations

from collections.abc import Iterable

from molq.backend import JobReport, JobState
from molq_local import admission
from molq_local.admission import Demand, Load
from molq_local.queue_requests import KnownJob

_NATIVE_STATES = {
    "queued": ("queued", JobState.QUEUED),
    "starting": ("queued", JobState.QUEUED),
    "running": ("running", JobState.RUNNING),
}
_OUTCOMES = {
    "succeeded": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
    "timed_out": JobState.TIMED_OUT,
    "lost": JobState.LOST,
}
# The same for every job behind the head, however long the queue: a reason that changes is a row that core writes.
_BEHIND_THE_HEAD = "waits for its turn"


def report_all(jobs: Iterable[KnownJob], head: Demand | None, load: Load) -> tuple[JobReport, ...]:
    """Return the reports of ``jobs``.

    Args:
        jobs: what the queue knows.
        head: the job that is next to start.
        load: what those take that run.
    """
    return tuple(_report(job, head, load) for job in jobs)


def _report(job: KnownJob, head: Demand | None, load: Load) -> JobReport:
    if job.state == "ended":
        return JobReport(
            scheduler_job_id=str(job.id),
            tag=job.tag,
            native_state="ended",
            state=_OUTCOMES.get(job.outcome or ""),
            exit_code=job.exit_code,
            signal=job.signal,
            cause=job.cause,
            started_at=job.started_at,
            finished_at=job.finished_at,
            reason=job.reason,
        )
    native_state, state = _NATIVE_STATES.get(job.state, (job.state, None))
    return JobReport(
        scheduler_job_id=str(job.id),
        tag=job.tag,
        native_state=native_state,
        state=state,
        started_at=job.started_at if state is JobState.RUNNING else None,
        reason=_reason(job, head, load),
    )


def _reason(job: KnownJob, head: Demand | None, load: Load) -> str | None:
    if job.state == "queued" and head is not None:
        return admission.obstacle(head, load) if head.job_number == job.id else _BEHIND_THE_HEAD
    if job.state == "running" and job.cancel_requested_at is not None:
        return "is being cancelled"
    return None
