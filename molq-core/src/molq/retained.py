"""A job with all its attempts, as far as retention needs to know them."""

from __future__ import annotations

import attrs

from molq.job_state import JobState


@attrs.frozen(kw_only=True)
class RetainedAttempt:
    """One attempt. Fields that ``JobRecord`` and ``TrackedJob`` have too mean the same."""

    job_id: str
    root_job_id: str
    attempt: int
    revision: int
    state: JobState
    finished_at: float | None
    cleaned_at: float | None
    job_dir: str
    cwd: str


@attrs.frozen(kw_only=True)
class RetainedFamily:
    """All attempts of a job.

    Attributes:
        members: the attempts, the first one first; there is at least one.
        is_awaited: whether another job, which is active or may still turn out to be, depends on one of them.
    """

    members: tuple[RetainedAttempt, ...]
    is_awaited: bool

    @property
    def root_job_id(self) -> str:
        """The id that all attempts share."""
        return self.members[0].root_job_id

    @property
    def latest(self) -> RetainedAttempt:
        """The attempt that decides how the job ended."""
        return self.members[-1]

    @property
    def has_folders(self) -> bool:
        """Whether the folder of any attempt may still be there."""
        return any(member.cleaned_at is None for member in self.members)

    @property
    def ended_at(self) -> float | None:
        """When the last attempt ended; None if one is active, or it is not known of one."""
        ends = [member.finished_at if member.state.is_terminal else None for member in self.members]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else None
