"""Decide from one record of qstat what became of a job."""

from __future__ import annotations

import re

import attrs

from molq.backend import JobState
from molq_pbs.job_records import JobRecord
from molq_pbs.states import (
    COMPLETED,
    ELEMENT_EXPIRED,
    FAILED,
    FINISHED,
    LETTERS,
    MOVED,
    OPENPBS_STATUSES,
    SUCCEEDED,
    TERMINATED,
    TORQUE_STATUSES,
    Special,
)

_CANCELLED = 271  # how both kinds of PBS report a job that qdel ended with SIGTERM, which is signal 15
_LARGEST_SIGNAL = 64
_BY = re.compile(r"and terminated by ([A-Za-z0-9_.@-]+)$", re.ASCII)
_CAN_NEVER_RUN = re.compile(r"Can Never Run", re.IGNORECASE)
_HOLDS = {
    "s": "is held by PBS",
    "o": "is held by an operator",
    "u": "is held by its user; qrls releases it",
    "p": "is held, since its password is not known",
}
_DROPPED = "was dropped by PBS, since what it waits for can never happen, or is not known to it"


@attrs.frozen(kw_only=True)
class Ending:
    """What a record means; fields as in ``JobReport``."""

    state: JobState | None
    exit_code: int | None = None
    signal: int | None = None
    cause: str | None = None
    reason: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether the record says that the job is over."""
        return self.state is not None and self.state.is_terminal


def ending_of(record: JobRecord) -> Ending:
    """Return what a record of a job, or of one element of an array, means.

    Only an end makes the exit status mean something: a job that was queued again still shows that of its last run.
    """
    letter = record.text("job_state")
    if letter == FINISHED:
        return _finished(record)
    if letter == COMPLETED:
        return _completed(record)
    if letter == ELEMENT_EXPIRED and record.number("substate") in (TERMINATED, SUCCEEDED, FAILED):
        return _finished(record)
    state = LETTERS.get(letter)
    if state is JobState.QUEUED:
        return Ending(state=state, reason=_why_waiting(record))
    return Ending(state=state)


def _why_waiting(record: JobRecord) -> str | None:
    if record.text("job_state") == MOVED:
        return "was moved to another server"
    if record.text("job_state") == "H":
        holds = record.text("hold_types")
        # What begins with "before" names those that wait for this job.
        awaited = [part for part in record.text("depend").split(",") if part and not part.startswith("before")]
        if "s" in holds and awaited:
            return f"waits for {','.join(awaited)}"
        if "s" in holds and record.text("comment"):
            return f"{_HOLDS['s']}: {record.text('comment')}"  # as after too many starts that failed
        return next((sentence for letter, sentence in _HOLDS.items() if letter in holds), "is held")
    if record.text("job_state") == "W":
        return "waits for its time, or for files to be staged in"
    comment = record.text("comment")
    if _CAN_NEVER_RUN.match(comment):
        return f"{comment}; cancel it, and ask for what the site has"
    return comment or None


def _finished(record: JobRecord) -> Ending:
    """Return how a job of OpenPBS ended: success is substate 92 with an exit status of 0, and nothing else."""
    substate, status = record.number("substate"), record.number("exit_status")
    if substate == TERMINATED:
        return _cancelled(record)
    if substate == SUCCEEDED and "exit_status" not in record.attributes:
        return Ending(state=JobState.CANCELLED, cause="cancelled", reason=_DROPPED)
    if substate == SUCCEEDED and status == 0:
        return Ending(state=JobState.SUCCEEDED, exit_code=0)
    if status:
        return _failed(status, OPENPBS_STATUSES)
    if substate == FAILED:
        return Ending(state=JobState.FAILED, reason=_said(record) or "failed; PBS does not say how")
    return Ending(state=None, reason=_said(record))


def _completed(record: JobRecord) -> Ending:
    """Return how a job of Torque ended."""
    status = record.number("exit_status")
    if status == 0:
        return Ending(state=JobState.SUCCEEDED, exit_code=0)
    if status == _CANCELLED:
        return _cancelled(record)
    if status is not None:
        return _failed(status, TORQUE_STATUSES)
    if "exit_status" in record.attributes:
        return Ending(state=None, reason=_said(record))
    return Ending(
        state=JobState.CANCELLED,
        cause="cancelled",
        reason="ended without an exit status: it was deleted before it started, or what it waited for never happened",
    )


def _cancelled(record: JobRecord) -> Ending:
    by = _BY.search(record.text("comment"))
    return Ending(
        state=JobState.CANCELLED, cause="cancelled", reason=f"was cancelled by {by[1]}" if by else "was cancelled"
    )


def _failed(status: int, specials: dict[int, Special]) -> Ending:
    special = specials.get(status)
    if special is not None:
        return Ending(state=special.state, cause=special.cause, reason=special.sentence)
    if status < 0:
        return Ending(state=JobState.FAILED, reason=f"failed with PBS's own exit status {status}")
    if 256 < status <= 256 + _LARGEST_SIGNAL:
        return Ending(state=JobState.FAILED, signal=status - 256, cause="signal")
    if 128 < status <= 128 + _LARGEST_SIGNAL:  # as a shell says that a signal ended its command
        return Ending(state=JobState.FAILED, exit_code=status, signal=status - 128, cause="signal")
    return Ending(state=JobState.FAILED, exit_code=status if status < 256 else None, cause="exit")


def _said(record: JobRecord) -> str | None:
    comment = record.text("comment")
    return f"PBS says: {comment}" if comment else None
