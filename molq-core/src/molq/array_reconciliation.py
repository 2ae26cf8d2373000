"""Decide what to believe of an array, given the evidence about its elements. Nothing here has an effect."""

from __future__ import annotations

import attrs

from molq.array_elements import ElementReport, RolledUp, roll_up
from molq.array_evidence import ArrayEvidence
from molq.array_indices import format_indices
from molq.backend import JobReport
from molq.evidence import Answer, Evidence
from molq.job_state import JobState
from molq.patience import GRACE_SECONDS, is_out_of_patience, missed_once_more
from molq.tracking import Change, TrackedJob


def decide_array(job: TrackedJob, evidence: Evidence, array: ArrayEvidence, now: float) -> Change | None:
    """Return the step that the evidence justifies, or None if nothing changes.

    Args:
        job: the array, as it is believed to be.
        evidence: what is known of it as a whole.
        array: what is known of its elements.
        now: seconds since the epoch.
    """
    answer, report = evidence.answer, evidence.report
    is_again_active = report is not None and report.restarts > job.restarts
    if job.state.is_terminal and job.state is not JobState.LOST and not is_again_active:
        return None
    if report is not None and not report.elements and not array.elements:
        # A backend that cannot tell elements apart.
        return _change(job, array, _reported(job, report), f"the scheduler says {report.native_state!r}")
    if not array.missing:
        return _whole(job, array, answer, report, now)
    if any(not element.is_over for element in array.elements):
        return _active(job, array, report)
    if answer in (Answer.ABSENT, Answer.REPORTED):
        return _some_missing(job, array, report, now, is_readable=evidence.is_readable)
    return _seen(job, array)


def _whole(
    job: TrackedJob, array: ArrayEvidence, answer: Answer, report: JobReport | None, now: float
) -> Change | None:
    """Decide when something is known of every element."""
    whole = roll_up(array.elements)
    if whole.state is None or not whole.state.is_terminal:
        return _active(job, array, report)
    if answer is Answer.NOT_ASKED and whole.state is not JobState.SUCCEEDED:
        return _seen(job, array)
    if whole.state is job.state is JobState.LOST:
        return None  # by an element of an earlier attempt
    is_fresh = array.ended_at is not None and now - array.ended_at < GRACE_SECONDS
    if answer is Answer.UNANSWERED and whole.state is not JobState.SUCCEEDED and is_fresh:
        return _seen(job, array)
    return _ended(job, array, whole, report, now)


def _active(job: TrackedJob, array: ArrayEvidence, report: JobReport | None) -> Change | None:
    # What an earlier attempt has run does not tell that this one runs.
    whole = roll_up([element for element in array.elements if element.index not in array.carried] or array.elements)
    if whole.state is None or whole.state.is_terminal:
        # What is missing, or has a word that nobody knows, may still be active.
        whole = attrs.evolve(whole, state=None)
    if whole.state is JobState.QUEUED and array.started_at is not None:
        whole = attrs.evolve(whole, state=JobState.RUNNING)
    new = attrs.evolve(
        job,
        state=whole.state or (JobState.RUNNING if array.started_at is not None else job.state),
        started_at=_started(job, array, report),
        native_state=whole.native_state or job.native_state,
        reason=report.reason if report is not None and whole.state is JobState.QUEUED else None,
        restarts=max(job.restarts, report.restarts if report is not None else 0),
        missing_since=None,
        missed_polls=0,
        finished_at=None,
        exit_code=None,
        signal=None,
        cause=None,
        failure_reason=None,
    )
    return _change(job, array, new, f"the scheduler says {whole.native_state!r}")


def _some_missing(
    job: TrackedJob, array: ArrayEvidence, report: JobReport | None, now: float, *, is_readable: bool
) -> Change | None:
    """Decide when all elements that are known are over, and of the others nothing is known."""
    if job.state.is_terminal:
        return None
    missing = missed_once_more(job, now)
    is_over = is_out_of_patience(missing, now, is_readable=is_readable)
    if job.cancel_accepted_at is not None and (is_readable or is_over):
        told = ElementReport(index=0, native_state="", state=JobState.CANCELLED, cause="cancelled")
    elif is_over:
        told = ElementReport(index=0, native_state="", state=JobState.LOST, cause="lost")
    else:
        return _change(job, array, missing, "")
    gone = [attrs.evolve(told, index=index) for index in array.missing]
    settled = attrs.evolve(array, elements=tuple(sorted((*array.elements, *gone), key=lambda e: e.index)))
    whole = roll_up(settled.elements)
    if told.state is JobState.LOST:
        listed = format_indices(array.missing)
        asked = f"it answered so {missing.missed_polls} times in {now - (missing.missing_since or now):.0f} s"
        sentence = f"the scheduler does not know the elements {listed} of job {job.scheduler_job_id}: {asked}"
        whole = attrs.evolve(whole, reason=f"{whole.reason}; {sentence}" if whole.reason else sentence)
    return _ended(job, settled, whole, report, now)


def _seen(job: TrackedJob, array: ArrayEvidence) -> Change | None:
    """Write down what the files tell while the array is not over yet."""
    waits = job.state in (JobState.SUBMITTED, JobState.QUEUED)
    if array.started_at is None or not waits:
        return _change(job, array, job, "")
    new = attrs.evolve(job, state=JobState.RUNNING, started_at=_started(job, array, None), reason=None)
    return _change(job, array, new, "its first element started")


def _ended(
    job: TrackedJob, array: ArrayEvidence, whole: RolledUp, report: JobReport | None, now: float
) -> Change | None:
    assert whole.state is not None
    started = _started(job, array, report)
    ends = [end for end in (array.ended_at, report.finished_at if report is not None else None) if end is not None]
    finished = max(ends, default=now)
    is_success = whole.state is JobState.SUCCEEDED
    why = job.cancel_reason if whole.state is JobState.CANCELLED and job.cancel_reason else whole.reason
    new = attrs.evolve(
        job,
        state=whole.state,
        started_at=started,
        finished_at=max(finished, started if started is not None else job.submitted_at or job.created_at),
        native_state=whole.native_state or job.native_state,
        exit_code=0 if is_success else whole.exit_code,
        signal=whole.signal,
        cause=None if is_success else whole.cause,
        failure_reason=None if is_success else why,
        reason=None,
        restarts=max(job.restarts, report.restarts if report is not None else 0),
        missing_since=None,
        missed_polls=0,
    )
    said = whole.reason or "all of its elements succeeded"
    return _change(job, array, new, f"found again: {said}" if job.state is JobState.LOST else said)


def _reported(job: TrackedJob, report: JobReport) -> TrackedJob:
    state = report.state or job.state
    return attrs.evolve(
        job,
        state=state,
        native_state=report.native_state,
        started_at=job.started_at if job.started_at is not None else report.started_at,
        finished_at=report.finished_at if state.is_terminal else None,
        exit_code=report.exit_code,
        signal=report.signal,
        cause=report.cause,
        failure_reason=report.reason if state.is_terminal and state is not JobState.SUCCEEDED else None,
        reason=None if state.is_terminal else report.reason,
        restarts=max(job.restarts, report.restarts),
        missing_since=None,
        missed_polls=0,
    )


def _started(job: TrackedJob, array: ArrayEvidence, report: JobReport | None) -> float | None:
    found = array.started_at
    if found is None and report is not None:
        found = report.started_at
    submitted = job.submitted_at if job.submitted_at is not None else job.created_at
    return job.started_at if found is None else max(found, submitted)


def _change(old: TrackedJob, array: ArrayEvidence, new: TrackedJob, reason: str) -> Change | None:
    # Of what is missing, what was known last stays until it is settled.
    known = {element.index: element for element in (*array.known_before, *array.elements)}
    elements = tuple(known[index] for index in sorted(known))
    if old == new and elements == array.known_before:
        return None
    return Change(old=old, new=new, reason=reason, elements=None if elements == array.known_before else elements)
