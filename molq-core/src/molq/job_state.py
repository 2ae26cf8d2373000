"""The states of a job, and which may follow which."""

from __future__ import annotations

import enum


class JobState(enum.StrEnum):
    """Where a job is in its life. A string: ``JobState.RUNNING == "running"``."""

    CREATED = "created"
    """Recorded by molq; not known to have reached the scheduler."""
    SUBMITTED = "submitted"
    """The scheduler accepted it and gave it an id."""
    QUEUED = "queued"
    """The scheduler says that it waits."""
    RUNNING = "running"
    """It has started."""
    SUCCEEDED = "succeeded"
    """It ended with exit code 0."""
    FAILED = "failed"
    """It ended otherwise, or never could start."""
    CANCELLED = "cancelled"
    """It was ended on somebody's request."""
    TIMED_OUT = "timed_out"
    """It was ended at its time limit."""
    LOST = "lost"
    """The scheduler answered, repeatedly, that it does not know the job, and nothing tells how it ended."""

    @property
    def is_terminal(self) -> bool:
        """Whether the job is over."""
        return self in _TERMINAL


_TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT, JobState.LOST})

_LEGAL: dict[JobState, frozenset[JobState]] = {
    JobState.CREATED: _TERMINAL | {JobState.SUBMITTED, JobState.QUEUED, JobState.RUNNING},
    JobState.SUBMITTED: _TERMINAL | {JobState.QUEUED, JobState.RUNNING},
    JobState.QUEUED: _TERMINAL | {JobState.RUNNING},
    JobState.RUNNING: _TERMINAL | {JobState.QUEUED},
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.TIMED_OUT: frozenset(),
    JobState.LOST: frozenset(JobState) - {JobState.CREATED, JobState.SUBMITTED, JobState.LOST},
}


def may_follow(old: JobState, new: JobState, *, requeued: bool = False, accepted: bool = False) -> bool:
    """Tell whether ``new`` may follow ``old``.

    An ended job becomes active again only when the scheduler itself ``requeued`` it, or has ``accepted`` it although
    it was given up as never submitted; a lost one may turn up again.
    """
    if accepted and old.is_terminal:
        return new is JobState.SUBMITTED
    if requeued and old.is_terminal:
        return new not in (JobState.CREATED, JobState.SUBMITTED)
    return new in _LEGAL[old]
