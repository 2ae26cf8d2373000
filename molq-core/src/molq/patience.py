"""Say how long a scheduler may not know a job, or not answer, before that means something."""

from __future__ import annotations

import attrs

from molq.tracking import TrackedJob

GRACE_SECONDS = 60.0
"""How long a scheduler may not know a job, or not answer, before that means something."""

MISSES_BEFORE_LOST = 3
"""How many successful polls must not know a job before it is lost."""


def missed_once_more(job: TrackedJob, now: float) -> TrackedJob:
    """Return the job with one more successful poll that did not know it."""
    since = now if job.missing_since is None else job.missing_since
    return attrs.evolve(job, missing_since=since, missed_polls=job.missed_polls + 1)


def is_out_of_patience(job: TrackedJob, now: float) -> bool:
    """Tell whether a job has been missing for long enough and often enough to be lost."""
    since = now if job.missing_since is None else job.missing_since
    asked_for = job.submitted_at if job.submitted_at is not None else job.created_at
    is_young = now - asked_for < GRACE_SECONDS or now - since < GRACE_SECONDS
    return not is_young and job.missed_polls >= MISSES_BEFORE_LOST
