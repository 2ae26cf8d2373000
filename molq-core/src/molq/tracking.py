"""The part of a job's row that reconciliation reads and writes."""

from __future__ import annotations

from typing import Any

import attrs

from molq.array_elements import ElementReport
from molq.job_state import JobState


@attrs.frozen(kw_only=True)
class TrackedJob:
    """What molq believes of one job. ``revision`` grows with every change, for compare-and-swap.

    Fields that ``JobRecord`` has too mean the same. The others:

    Attributes:
        revision: how often the row was written.
        restarts: how often the scheduler started the job again.
        missed_polls: how many successful polls in a row did not know the job, if it is missing.
        missed_seconds: how much time they tell of together, whatever the clocks said.
        missed_at: when the last of them came.
        cancel_reason: why molq itself asked to cancel it; None if somebody else did.
        cancel_accepted_at: when the scheduler took the request to cancel it.
        time_limit: seconds that it may run, if it asked for a limit.
        array_spec: the indices of an array; None for a job that is none.
        max_attempts: how many attempts its family may have by itself.
        claimed_at: when a process took it on itself to submit a job that had waited in molq.
    """

    job_id: str
    root_job_id: str
    attempt: int
    previous_attempt_job_id: str | None
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
    missed_seconds: float
    missed_at: float | None
    cancel_requested_at: float | None
    cancel_reason: str | None = None
    cancel_accepted_at: float | None
    time_limit: int | None
    array_spec: str | None
    max_attempts: int
    not_before: float | None
    claimed_at: float | None

    @property
    def is_array(self) -> bool:
        """Whether it is an array."""
        return self.array_spec is not None

    @property
    def waits_in_molq(self) -> bool:
        """Whether nobody has begun to submit it: its back-off goes on, or molq holds it back."""
        return self.state is JobState.CREATED and self.not_before is not None and self.claimed_at is None


@attrs.frozen(kw_only=True)
class Family:
    """All attempts of a job, seen as one job.

    Attributes:
        latest: the latest attempt, whose state is the family's.
        started_at: when the first of the attempts that started did so.
        carries_failures: whether elements of an array did not succeed that the latest attempt does not run again.
    """

    latest: TrackedJob
    started_at: float | None
    carries_failures: bool = False

    @property
    def may_go_on(self) -> bool:
        """Whether another attempt may follow this one."""
        return not self.latest.state.is_terminal and self.latest.attempt < self.latest.max_attempts


@attrs.frozen(kw_only=True)
class PlannedAttempt:
    """The next attempt of a family, as it is recorded together with the end of the last one.

    Fields that ``JobRecord`` and ``TrackedJob`` have too mean the same; the others are those of the last attempt.

    Attributes:
        carried: the elements of an array that this attempt does not run, and that go on to count.
        request: what is asked for this time.
        reason: why there is another attempt.
    """

    job_id: str
    attempt: int
    previous_attempt_job_id: str
    job_dir: str
    stdout_path: str
    stderr_path: str
    not_before: float
    time_limit: int | None
    array_spec: str | None
    carried: tuple[ElementReport, ...]
    request: dict[str, Any] = attrs.field(hash=False)
    reason: str


@attrs.frozen(kw_only=True)
class Change:
    """A step from one belief to the next.

    Attributes:
        old: what was believed.
        new: what is to be believed.
        reason: what the step was learned from; kept with the transition if the state changes.
        elements: the elements of an array, if what is believed of them changes too.
        next_attempt: the attempt that follows the end of the job, if one does.
    """

    old: TrackedJob
    new: TrackedJob
    reason: str
    elements: tuple[ElementReport, ...] | None = None
    next_attempt: PlannedAttempt | None = None
