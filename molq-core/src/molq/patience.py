"""Say how long a scheduler may not know a job, or not answer, before that means something."""

from __future__ import annotations

import attrs

from molq.tracking import TrackedJob

GRACE_SECONDS = 60.0
"""How long a scheduler may not know a job, or not answer, before that means something."""

UNREADABLE_SECONDS = 86_400.0
"""How long a scheduler may not know a job whose folder cannot be read, and may tell that it has ended well."""

LONGEST_MISS_SECONDS = 30.0
"""How much of that one more poll can tell at the most, so that no clock that was set forward makes a job lost."""

MISSES_BEFORE_LOST = 3
"""How many successful polls must not know a job before it is lost."""


def missed_once_more(job: TrackedJob, now: float) -> TrackedJob:
    """Return the job with one more successful poll that did not know it."""
    if job.missing_since is None or job.missed_at is None:
        since = now if job.missing_since is None else job.missing_since
        return attrs.evolve(
            job, missing_since=since, missed_at=now, missed_seconds=0.0, missed_polls=job.missed_polls + 1
        )
    passed = min(max(0.0, now - job.missed_at), LONGEST_MISS_SECONDS)
    return attrs.evolve(
        job, missed_at=now, missed_seconds=job.missed_seconds + passed, missed_polls=job.missed_polls + 1
    )


def is_out_of_patience(job: TrackedJob, now: float, *, is_readable: bool = True) -> bool:
    """Tell whether a job has been missing for long enough and often enough to be lost.

    Args:
        job: the job.
        now: seconds since the epoch.
        is_readable: whether its folder could be read.
    """
    asked_for = job.submitted_at if job.submitted_at is not None else job.created_at
    patience = GRACE_SECONDS if is_readable else UNREADABLE_SECONDS
    is_young = now - asked_for < GRACE_SECONDS or job.missed_seconds < patience
    return not is_young and job.missed_polls >= MISSES_BEFORE_LOST
