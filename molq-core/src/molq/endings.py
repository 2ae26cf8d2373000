"""Name what ended a job: a word for programs, a sentence for people."""

from __future__ import annotations

import signal as signals

from molq.job_state import JobState

_LARGEST_SIGNAL = 64
_SKEW_SECONDS = 60.0

_CAUSES = {
    JobState.TIMED_OUT: "timeout",
    JobState.CANCELLED: "cancelled",
    JobState.LOST: "lost",
}

_SENTENCES = {
    "out_of_memory": "exceeded its memory limit (out of memory)",
    "timeout": "exceeded its time limit",
    "preempted": "was preempted by another job",
    "node_fail": "its node failed",
    "cancelled": "was cancelled",
}


def signal_in(exit_code: int | None) -> int | None:
    """Return the signal that a shell's exit code stands for: 137 is 128 + 9."""
    if exit_code is None or not 128 < exit_code <= 128 + _LARGEST_SIGNAL:
        return None
    return exit_code - 128


def followed_a_cancel(exit_code: int, ended_at: float, requested_at: float | None, accepted_at: float | None) -> bool:
    """Tell whether an end that was not a success followed a request to cancel the job.

    The times may come from the clocks of two machines. So if the scheduler took the request, for which the job must
    still have been there, a death by a signal may seem to be a little earlier.
    """
    if requested_at is None:
        return False
    slack = _SKEW_SECONDS if accepted_at is not None and signal_in(exit_code) is not None else 0.0
    return requested_at <= ended_at + slack


def cause_of(state: JobState, signal: int | None) -> str | None:
    """Return the word for an end about which nothing more special is known."""
    if state is JobState.FAILED:
        return "exit" if signal is None else "signal"
    return _CAUSES.get(state)


def describe(cause: str | None, exit_code: int | None, signal: int | None) -> str:
    """Return the sentence for an end, such as ``"killed by signal 9 (SIGKILL)"``."""
    if cause in _SENTENCES:
        return _SENTENCES[cause]
    if signal is not None:
        return f"killed by signal {signal}{_signal_name(signal)}"
    return "failed; its exit code is not known" if exit_code is None else f"ended with exit code {exit_code}"


def _signal_name(number: int) -> str:
    try:
        return f" ({signals.Signals(number).name})"
    except ValueError:
        return ""
