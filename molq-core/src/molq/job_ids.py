"""Make molq's ids of jobs."""

from __future__ import annotations


def new_job_id() -> str:
    """Return an id that no other job has."""
    # Slow to import, so not before the first submission.
    import uuid

    return str(uuid.uuid4())
