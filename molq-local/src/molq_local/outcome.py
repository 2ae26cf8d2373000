"""Judge how a job ended, from what its process and its files say."""

from __future__ import annotations

import signal

SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"
TIMED_OUT = "timed_out"
LOST = "lost"

# The causes that are recorded before the job's processes are signalled.
CANCEL = "cancelled"
TIME_LIMIT = "timeout"

UNWATCHED = "ended while no agent watched it; its exit code is not known"
REBOOTED = "host rebooted"

_SHELL_SIGNAL_BASE = 128
_LAST_SIGNAL = 64


class Outcome:
    """How a job ended.

    Attributes:
        word: one of the five words above.
        exit_code: its exit code, if it ended with one.
        signal: the signal that ended it.
        cause: a word for what ended it.
        reason: a sentence for people.
    """

    __slots__ = ("cause", "exit_code", "reason", "signal", "word")

    def __init__(
        self,
        word: str,
        *,
        exit_code: int | None = None,
        signal: int | None = None,
        cause: str | None = None,
        reason: str | None = None,
    ) -> None:
        self.word = word
        self.exit_code = exit_code
        self.signal = signal
        self.cause = cause
        self.reason = reason


def of_process(
    exit_code: int | None, signal_number: int | None, cause: str | None, reason: str | None = None
) -> Outcome:
    """Return the outcome of a job whose end was seen.

    Args:
        exit_code: what its script ended with; over 128 is a shell's way to tell of a signal.
        signal_number: the signal that ended its script.
        cause: ``CANCEL`` or ``TIME_LIMIT`` if the agent had set out to end it.
        reason: what the script had to say.
    """
    if exit_code is not None and 0 < exit_code - _SHELL_SIGNAL_BASE <= _LAST_SIGNAL:
        signal_number = exit_code - _SHELL_SIGNAL_BASE
        exit_code = None
    if cause == TIME_LIMIT:
        reason = reason or "exceeded its time limit"
        return Outcome(TIMED_OUT, exit_code=exit_code, signal=signal_number, cause=cause, reason=reason)
    if exit_code == 0:
        return Outcome(SUCCEEDED, exit_code=0)
    if cause == CANCEL:
        reason = reason or "cancelled on request"
        return Outcome(CANCELLED, exit_code=exit_code, signal=signal_number, cause=cause, reason=reason)
    if signal_number is not None:
        return Outcome(FAILED, signal=signal_number, cause="signal", reason=reason or killed_by(signal_number))
    return Outcome(FAILED, exit_code=exit_code, reason=reason)


def of_unseen_end(exit_file: tuple[int, str | None] | None, cause: str | None, *, is_rebooted: bool) -> Outcome:
    """Return the outcome of a job that ended while no agent was its parent.

    Args:
        exit_file: what its exit file says, if it is complete.
        cause: as for ``of_process``.
        is_rebooted: whether the machine was started anew since.
    """
    if exit_file is not None:
        return of_process(exit_file[0], None, cause, exit_file[1])
    if is_rebooted:
        return Outcome(LOST, reason=REBOOTED)
    if cause is not None:
        return of_process(None, None, cause)
    return Outcome(LOST, reason=UNWATCHED)


def not_started(reason: str, cause: str = "launch") -> Outcome:
    """Return the outcome of a job that never could start."""
    return Outcome(FAILED, cause=cause, reason=reason)


def cancelled_in_queue() -> Outcome:
    """Return the outcome of a job that was cancelled before it started."""
    return Outcome(CANCELLED, cause=CANCEL, reason="cancelled before it started")


def killed_by(number: int) -> str:
    """Return the sentence about a signal."""
    try:
        return f"killed by signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"killed by signal {number}"
