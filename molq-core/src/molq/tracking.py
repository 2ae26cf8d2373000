"""The part of a job's row that reconciliation reads and writes."""

from __future__ import annotations

import attrs

from molq.job_state import JobState


@attrs.frozen(kw_only=True)
class TrackedJob:
    """What molq believes of one job. ``revision`` grows with every change, for compare-and-swap.

    Fields that ``JobRecord`` has too mean the same. The others:

    Attributes:
        revision: how often the row was written.
        restarts: how often the scheduler started the job again.
        missed_polls: how many successful polls in a row did not know the job.
        cancel_reason: why molq itself asked to cancel it; None if somebody else did.
        cancel_accepted_at: when the scheduler took the request to cancel it.
        time_limit: seconds that it may run, if it asked for a limit.
        is_array: whether it is an array.
    """

    job_id: str
    cluster_name: str
    scheduler: str
    revision: int
    state: JobState
    scheduler_job_id: str | None
    job_dir: str
    created_at: float
    submitted_at: float | None
    started_at: float | None
    finished_at: float | None
    exit_code: int | None
    signal: int | None
    cause: str | None
    failure_reason: str | None
    native_state: str | None
    reason: str | None
    restarts: int
    missing_since: float | None
    missed_polls: int
    cancel_requested_at: float | None
    cancel_reason: str | None = None
    cancel_accepted_at: float | None
    time_limit: int | None
    is_array: bool


@attrs.frozen(kw_only=True)
class Change:
    """A step from one belief to the next.

    Attributes:
        old: what was believed.
        new: what is to be believed.
        reason: what the step was learned from; kept with the transition if the state changes.
    """

    old: TrackedJob
    new: TrackedJob
    reason: str
