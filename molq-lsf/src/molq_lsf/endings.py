"""Decide what LSF's word for a job, and what its history and its folder tell beside it, amount to. Pure."""

from __future__ import annotations

import attrs

from molq.backend import JobState
from molq_lsf.history import JobHistory
from molq_lsf.job_files import ExitFile
from molq_lsf.states import NOTES, STATES, TERMINATIONS

RUN_LIMIT_SIGNAL = 12
"""SIGUSR2, which LSF sends at the run limit."""

_INTERRUPT = 2
"""SIGINT, with which OpenLava begins to end a job at its memory limit."""

_SETTLING = 120.0
"""Seconds that a job's exit file may need until it is seen from here: network file systems cache for a minute."""


@attrs.frozen(kw_only=True)
class Ending:
    """What is to be believed of a job; fields as in ``JobReport``."""

    state: JobState | None
    exit_code: int | None = None
    signal: int | None = None
    cause: str | None = None
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Facts:
    """What is known beside the state word.

    Attributes:
        exit_code: the exit code, if bjobs lists it.
        term: the termination reason, if it is known.
        reason: why the job waits or is suspended.
        history: what bhist knows.
        queue_limit: the seconds that its queue lets it run.
        exit_file: how its command ended by its own file.
        has_folder: whether its folder is seen, in which its script tells how it went.
        has_started: whether its script has started by its own file.
        doubts_success: whether this LSF says DONE of jobs that a signal ended, as OpenLava does.
        now: seconds since the epoch.
    """

    exit_code: int | None = None
    term: str = ""
    reason: str = ""
    history: JobHistory | None = None
    queue_limit: float | None = None
    exit_file: ExitFile | None = None
    has_folder: bool = False
    has_started: bool = False
    doubts_success: bool = False
    now: float = 0.0


def ending_of(word: str, facts: Facts) -> Ending | None:
    """Return what a state word means; None if that will only be known later."""
    state = STATES.get(word)
    if state is None or not state.is_terminal:
        return Ending(state=state, reason=facts.reason or NOTES.get(word))
    if word == "DONE":
        return _done(facts)
    return _exited(facts)


def lacks_history(word: str, facts: Facts) -> bool:
    """Tell whether bhist should be asked how a job ended."""
    if word == "DONE":
        return facts.doubts_success and facts.has_folder and facts.exit_file is None
    return word == "EXIT" and facts.exit_code is None and facts.term not in TERMINATIONS


def is_at_run_limit(history: JobHistory) -> bool:
    """Tell whether a job ended by the signal that LSF sends at the run limit, which may be its queue's."""
    return RUN_LIMIT_SIGNAL in (history.signal, (history.exit_code or 0) - 128) and history.killed_by is None


def _done(facts: Facts) -> Ending | None:
    if not lacks_history("DONE", facts):
        return Ending(state=JobState.SUCCEEDED, exit_code=0)
    history = facts.history
    if history is None or history.ended_at is None or facts.now - history.ended_at < _SETTLING:
        return None
    if history.killed_by is not None:
        return _cancelled(f"was cancelled by {history.killed_by}")
    if not facts.has_started:
        return Ending(state=JobState.FAILED, cause="launch", reason="its script never started, though LSF says DONE")
    return Ending(
        state=JobState.FAILED,
        cause="signal",
        reason="its script started and never came to its end, so a signal must have ended it, though LSF says DONE",
    )


def _cancelled(reason: str, exit_code: int | None = None) -> Ending:
    return Ending(state=JobState.CANCELLED, exit_code=exit_code, cause="cancelled", reason=reason)


def _exited(facts: Facts) -> Ending:
    history = facts.history or JobHistory(job_id="")
    code = facts.exit_code if facts.exit_code is not None else history.exit_code
    number = history.signal if history.signal is not None else _signal_in(code)
    termination = TERMINATIONS.get(facts.term) or TERMINATIONS.get(history.term)
    if termination is not None:
        # The signal is LSF's own way of ending it.
        return Ending(
            state=termination.state, exit_code=code or None, cause=termination.cause, reason=termination.sentence
        )
    if history.killed_by is not None:
        return _cancelled(f"was cancelled by {history.killed_by}", code or None)
    if code is None and number is None and facts.exit_file is None and _never_started(history):
        # OpenLava's history does not show the request to end a whole array.
        return _cancelled("ended before it started, so somebody must have cancelled it (inferred)")
    if _was_at_its_limit(history, facts):
        return Ending(state=JobState.TIMED_OUT, exit_code=code or None, cause="timeout")
    if _was_interrupted_by_lsf(history, number) and not _ended_by_itself(facts):
        return Ending(
            state=JobState.FAILED,
            exit_code=code or None,
            cause="out_of_memory",
            reason="was interrupted though nobody asked for it, as LSF does at the memory limit (inferred)",
        )
    if number is not None:
        return Ending(state=JobState.FAILED, exit_code=128 + number, signal=number, cause="signal")
    return Ending(state=JobState.FAILED, exit_code=code or None, cause="exit" if code else None)


def _never_started(history: JobHistory) -> bool:
    """Tell whether the history has a job's end, and no start."""
    return history.outcome is not None and history.started_at is None


def _was_interrupted_by_lsf(history: JobHistory, number: int | None) -> bool:
    """Tell whether the memory limit is why a job was interrupted.

    Of an element that is not known: the request to end a whole array is in the history of none of its elements.
    """
    return history.has_memory_limit and number == _INTERRUPT and history.index is None


def _was_at_its_limit(history: JobHistory, facts: Facts) -> bool:
    """Tell whether the job had run for as long as it may. LSF's history has no word for it without TERM_RUNLIMIT."""
    limits = [limit for limit in (history.run_limit, facts.queue_limit) if limit is not None]
    if not limits or history.started_at is None or history.ended_at is None:
        return False
    return history.ended_at - history.started_at >= min(limits) and not _ended_by_itself(facts)


def _ended_by_itself(facts: Facts) -> bool:
    """Tell whether the job's own file says that no signal came before its end."""
    return facts.exit_file is not None and not facts.exit_file.was_signalled


def _signal_in(code: int | None) -> int | None:
    """Return the signal that a shell's exit code stands for."""
    return code - 128 if code is not None and 128 < code <= 192 else None
