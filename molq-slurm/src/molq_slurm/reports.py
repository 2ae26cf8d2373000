"""Turn one line of squeue or sacct into what molq should believe of a job."""

from __future__ import annotations

import functools

import attrs

from molq.backend import ElementReport, JobReport, JobState
from molq_slurm.accounting import AccountRow
from molq_slurm.queue_listing import QueueRow
from molq_slurm.states import MEANINGS

# A state can be in accounting 18 s before its exit code, after an outage of slurmdbd (recorded from 22.05.8); and
# `exit 128` stays 0:0 for good.
_EXIT_CODE_LAG = 120.0
_STALE_AFTER = 86_400.0

# A signal that no process got: how slurmd says that it could not start the script (recorded from 22.05.8).
_LAUNCH_FAILURE = 53

# Such a job waits for ever if nobody does anything. Source of the words: recorded from 22.05.8.
_ADVICE = {
    "launch failed requeued held": "launch failed requeued held; once its cause is gone, 'scontrol release' runs it"
}


@attrs.frozen(kw_only=True)
class Ending:
    """What a state word with all that stands beside it means; fields as in ``JobReport``."""

    state: JobState | None
    exit_code: int | None = None
    signal: int | None = None
    cause: str | None = None
    reason: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether the word says that the job is over."""
        return self.state is not None and self.state.is_terminal


@functools.lru_cache(maxsize=1024)  # thousands of jobs are in a handful of states
def ending_of(
    word: str,
    *,
    exit_code: int | None,
    signal: int | None,
    nodes: str,
    reason: str = "",
    cancelled_by: int | None = None,
) -> Ending:
    """Return what a state word means together with the other columns of its line."""
    meaning = MEANINGS.get(word)
    if meaning is None:
        return Ending(state=None, reason=reason or None)
    if not meaning.state.is_terminal:
        waits_for = _ADVICE.get(reason, reason) if meaning.state is JobState.QUEUED else ""
        return Ending(state=meaning.state, reason=waits_for or None)
    if meaning.state is JobState.SUCCEEDED:
        return Ending(state=meaning.state, exit_code=0)
    if word == "FAILED":
        return _failed(exit_code, signal, nodes, reason)
    sentence = meaning.sentence
    if word == "NODE_FAIL" and nodes:
        sentence = f"one of its nodes {nodes} failed" if "," in nodes or "[" in nodes else f"node {nodes} failed"
    elif word == "CANCELLED":
        sentence = _cancelled(reason, cancelled_by)
    # The signal beside these words is the one that Slurm itself sent, or none that exists.
    return Ending(state=meaning.state, cause=meaning.cause, reason=sentence)


def _failed(exit_code: int | None, signal: int | None, nodes: str, reason: str) -> Ending:
    if signal == _LAUNCH_FAILURE:
        return Ending(
            state=JobState.FAILED,
            cause="launch",
            reason=f"could not be launched on {nodes or 'its node'}; do the folders of its output files exist there, "
            "and may its user write to them?",
        )
    if not nodes and reason:
        return Ending(state=JobState.FAILED, cause="launch", reason=f"never started: {reason}")
    if signal:
        return Ending(state=JobState.FAILED, signal=signal, cause="signal")
    if exit_code is not None and 128 < exit_code <= 192:  # as a shell says that a signal ended its command
        return Ending(state=JobState.FAILED, exit_code=exit_code, signal=exit_code - 128, cause="signal")
    return Ending(state=JobState.FAILED, exit_code=exit_code or None, cause="exit" if exit_code else None)


def _cancelled(reason: str, cancelled_by: int | None) -> str:
    if reason == "DependencyNeverSatisfied":
        return "was cancelled by Slurm, since what it waited for can never happen"
    return "was cancelled" if cancelled_by is None else f"was cancelled by uid {cancelled_by}"


def ending_in_queue(row: QueueRow, cancelled_by: int | None = None) -> Ending:
    """Return what a line of squeue means."""
    status = row.exit_status
    code, signal = (None, None) if status is None else (status >> 8 & 0xFF, status & 0x7F)
    return ending_of(
        row.state, exit_code=code, signal=signal, nodes=row.nodes, reason=row.reason, cancelled_by=cancelled_by
    )


def ending_in_accounts(row: AccountRow) -> Ending:
    """Return what a line of sacct means."""
    nodes = "" if row.nodes == "None assigned" else row.nodes
    return ending_of(row.state, exit_code=row.exit_code, signal=row.signal, nodes=nodes, cancelled_by=row.cancelled_by)


def report_from_queue(row: QueueRow, tag: str, cancelled_by: int | None = None) -> JobReport:
    """Return the report in a line of squeue."""
    ending = ending_in_queue(row, cancelled_by)
    # Before it has nodes, its start is the scheduler's forecast.
    has_started = row.nodes and (ending.is_over or ending.state is JobState.RUNNING)
    return _report(row, tag, ending, row.started_at if has_started else None, row.restarts)


def report_from_accounts(row: AccountRow, tag: str | None) -> JobReport:
    """Return the report in a line of sacct."""
    return _report(row, tag, ending_in_accounts(row), row.started_at)


def _report(
    row: QueueRow | AccountRow, tag: str | None, ending: Ending, started_at: float | None, restarts: int = 0
) -> JobReport:
    return JobReport(
        scheduler_job_id=row.job_id,
        tag=tag,
        native_state=row.state,
        state=ending.state,
        exit_code=ending.exit_code,
        signal=ending.signal,
        cause=ending.cause,
        restarts=restarts,
        started_at=started_at,
        finished_at=row.ended_at if ending.is_over else None,
        reason=ending.reason,
    )


def is_thin(row: AccountRow, now: float) -> bool:
    """Tell whether a line of sacct is not yet the truth about a job that squeue does not know.

    Accounting lags: it may say that a job waits or runs which is over, and that it failed before it says how.
    """
    meaning = MEANINGS.get(row.state)
    if meaning is None:
        return False
    if not meaning.state.is_terminal:
        return not is_stale(row, now)
    says_how = bool(row.exit_code or row.signal)
    is_fresh = row.ended_at is None or now - row.ended_at < _EXIT_CODE_LAG
    return row.state == "FAILED" and not says_how and is_fresh


def is_stale(row: AccountRow, now: float) -> bool:
    """Tell whether accounting speaks of a job as active that cannot be so any more, a day after its time limit."""
    meaning = MEANINGS.get(row.state)
    if meaning is None or meaning.state.is_terminal:
        return False
    since = row.started_at or row.submitted_at or now
    return now - since - row.time_limit > _STALE_AFTER


def element_from_queue(index: int, row: QueueRow) -> ElementReport:
    """Return an array's element as squeue has it."""
    return _element(index, row.state, ending_in_queue(row))


def element_from_accounts(index: int, row: AccountRow) -> ElementReport:
    """Return an array's element as sacct has it."""
    return _element(index, row.state, ending_in_accounts(row))


def _element(index: int, word: str, ending: Ending) -> ElementReport:
    return ElementReport(
        index=index,
        native_state=word,
        state=ending.state,
        exit_code=ending.exit_code,
        signal=ending.signal,
        cause=ending.cause,
    )
