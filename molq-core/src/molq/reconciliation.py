"""Decide what to believe of a job, given the evidence. Nothing here has an effect."""

from __future__ import annotations

import attrs

from molq.array_reconciliation import decide_array
from molq.backend import JobReport
from molq.endings import cause_of, describe, followed_a_cancel, signal_in
from molq.evidence import Answer, Evidence
from molq.job_files import ExitFile, StartFile
from molq.job_state import JobState
from molq.patience import GRACE_SECONDS, is_out_of_patience, missed_once_more
from molq.tracking import Change, TrackedJob

_LAG_SECONDS = 30.0
"""How long a scheduler's listing may lag behind a script that has started."""

_TIME_LIMIT_SLACK_SECONDS = 5.0


def decide(job: TrackedJob, evidence: Evidence, now: float) -> Change | None:
    """Return the step that the evidence justifies, or None if nothing changes.

    The rules and their order are those of the design's table of truth: a finished job's own exit code first, then
    the scheduler's verdict, and absence only after patience.
    """
    report = evidence.report
    if evidence.array is not None:
        return decide_array(job, evidence, evidence.array, now)
    if job.state.is_terminal and job.state is not JobState.LOST and not _is_requeued(job, report):
        return None
    exit_file = _of_latest_run(job, evidence)
    if exit_file is not None and exit_file.code == 0:
        return _ended_by_exit_file(job, evidence, exit_file, now)
    if report is not None and report.state is not None:
        return _decide_by_report(job, evidence, report, report.state, exit_file, now)
    known = job if report is None else _as_reported(job, report)
    if exit_file is not None:
        # A word that molq does not know is too thin an answer to mean anything.
        is_settled = evidence.answer is Answer.ABSENT or (
            evidence.answer is not Answer.NOT_ASKED and now - exit_file.at >= GRACE_SECONDS
        )
        if is_settled:
            return _ended_by_exit_file(job, evidence, exit_file, now)
    elif evidence.answer is Answer.ABSENT:
        return _decide_absent(job, evidence, now)
    return _seen_started(job, known, evidence)


def wants_a_poll(job: TrackedJob, evidence: Evidence, now: float) -> bool:
    """Tell whether the files alone leave open how a job ended just now, so that the scheduler should be asked soon."""
    if evidence.array is not None:
        ended_at = evidence.array.ended_at
        return not evidence.array.missing and ended_at is not None and now - ended_at < GRACE_SECONDS
    exit_file = _of_latest_run(job, evidence)
    return exit_file is not None and exit_file.code != 0 and now - exit_file.at < GRACE_SECONDS


def _is_requeued(job: TrackedJob, report: JobReport | None) -> bool:
    """Tell whether the scheduler itself has given an ended job another run."""
    if report is None or report.state is None or report.state.is_terminal:
        return False
    return report.restarts > job.restarts


def _of_latest_run(job: TrackedJob, evidence: Evidence) -> ExitFile | None:
    """Return the exit file, unless the scheduler has queued the job again since it was written."""
    exit_file, start = evidence.exit, evidence.start
    if exit_file is None or start is None:
        return exit_file
    if exit_file.is_final:
        return exit_file
    restarts = max(job.restarts, evidence.report.restarts if evidence.report else 0)
    if start.restarts < restarts:
        return None
    # That it waits again is only inferred from a listing, which is no reason to doubt a success.
    return None if exit_file.code != 0 and _waits_again(job, start) else exit_file


def _waits_again(job: TrackedJob, start: StartFile) -> bool:
    """Tell whether the job was found waiting after the run that wrote the start file: that run is an earlier one."""
    return job.state is JobState.QUEUED and job.started_at == _time_of_start(job, start)


def _as_reported(job: TrackedJob, report: JobReport) -> TrackedJob:
    return attrs.evolve(job, native_state=report.native_state, missing_since=None, missed_polls=0)


def _decide_by_report(
    job: TrackedJob, evidence: Evidence, report: JobReport, state: JobState, exit_file: ExitFile | None, now: float
) -> Change | None:
    if state.is_terminal:
        return _ended_by_report(job, evidence, report, state, exit_file, now)
    waits_in_vain = exit_file is not None and exit_file.is_final and state is JobState.QUEUED
    waits_in_vain = waits_in_vain and job.state is not JobState.SUCCEEDED
    if exit_file is not None and waits_in_vain and now - exit_file.at >= GRACE_SECONDS:
        # A controller that lost its memory has queued it again, for a run that will not happen.
        return _ended_by_exit_file(job, evidence, exit_file, now)
    is_over = exit_file is not None and (state is JobState.RUNNING or now - exit_file.at < _LAG_SECONDS)
    if is_over:
        return _seen_started(job, _as_reported(job, report), evidence)
    return _active(job, evidence, report, now)


def _active(job: TrackedJob, evidence: Evidence, report: JobReport, now: float) -> Change | None:
    start, started = evidence.start, job.started_at
    restarts = max(job.restarts, report.restarts)
    state = JobState.RUNNING if report.state is JobState.RUNNING else JobState.QUEUED
    if start is not None and start.restarts >= restarts:
        lags = now - start.at < _LAG_SECONDS and not _waits_again(job, start)
        if lags:
            state = JobState.RUNNING
        started, restarts = _time_of_start(job, start), start.restarts
    elif state is JobState.RUNNING and report.started_at is not None:
        started = _not_before_submission(job, report.started_at)
    new = attrs.evolve(
        _as_reported(job, report),
        state=state,
        reason=report.reason,
        restarts=restarts,
        started_at=started,
        finished_at=None,
        failure_reason=None,
        cause=None,
        exit_code=None,
        signal=None,
    )
    said = f"the scheduler says {report.native_state!r}"
    if restarts > job.restarts:
        said += f" (restart {restarts})"
    return _change(job, new, _found_again(job, said))


def _ended_by_report(
    job: TrackedJob, evidence: Evidence, report: JobReport, state: JobState, exit_file: ExitFile | None, now: float
) -> Change | None:
    code, number = report.exit_code, report.signal
    said = f"the scheduler says {report.native_state!r}"
    if exit_file is not None:
        code = exit_file.code
        number = number if number is not None else signal_in(code)
    elif number is not None:
        code = 128 + number
    if state is JobState.SUCCEEDED and (code or number is not None):
        state = JobState.FAILED
        said += f", but the command's exit code is {code}"
    finished = exit_file.at if exit_file is not None else report.finished_at
    ended = _ended(job, evidence, state, now if finished is None else finished)
    if state is JobState.SUCCEEDED:
        return _change(job, attrs.evolve(ended, exit_code=0), _found_again(job, said))
    # Schedulers say exit code 0 of what they ended themselves.
    code = code or None
    cause = report.cause or cause_of(state, number)
    script_says = _own_reason(job, state) or (exit_file.reason if exit_file is not None else None)
    new = attrs.evolve(
        ended,
        exit_code=code,
        signal=number,
        cause=cause,
        failure_reason=script_says or report.reason or describe(cause, code, number),
    )
    return _change(job, new, _found_again(job, said))


def _ended_by_exit_file(job: TrackedJob, evidence: Evidence, exit_file: ExitFile, now: float) -> Change | None:
    code = exit_file.code
    number = signal_in(code)
    ended = _ended(job, evidence, JobState.FAILED, exit_file.at)
    said = f"the command ended with exit code {code}"
    if code == 0:
        new = attrs.evolve(ended, state=JobState.SUCCEEDED, exit_code=0)
        return _change(job, new, _found_again(job, said))
    if followed_a_cancel(exit_file.code, exit_file.at, job.cancel_requested_at, job.cancel_accepted_at):
        ended = attrs.evolve(ended, state=JobState.CANCELLED)
        said += " after somebody asked to cancel the job"
    elif number is not None and _was_at_its_limit(job, evidence.start, exit_file, now):
        ended = attrs.evolve(ended, state=JobState.TIMED_OUT)
        said += " at its time limit (inferred)"
    cause = cause_of(ended.state, number)
    new = attrs.evolve(
        ended,
        exit_code=code,
        signal=number,
        cause=cause,
        failure_reason=_own_reason(job, ended.state) or exit_file.reason or describe(cause, code, number),
    )
    return _change(job, new, _found_again(job, said))


def _decide_absent(job: TrackedJob, evidence: Evidence, now: float) -> Change | None:
    if job.state.is_terminal:
        return None
    missing = missed_once_more(job, now)
    is_waited_for = not is_out_of_patience(missing, now, is_readable=evidence.is_readable)
    if not evidence.is_readable and is_waited_for:
        return _change(job, missing, "")
    if job.cancel_accepted_at is not None:
        ended = _ended(job, evidence, JobState.CANCELLED, now)
        told = _own_reason(job, ended.state) or describe("cancelled", None, None)
        new = attrs.evolve(ended, cause="cancelled", failure_reason=told)
        return _change(job, new, "the scheduler accepted to cancel the job and does not know it any more")
    if is_waited_for:
        return _change(job, missing, "")
    since, misses = missing.missing_since, missing.missed_polls
    waited = now - (now if since is None else since)
    files = "the job's folder has no exit file" if evidence.is_readable else "the job's folder cannot be read"
    told = f"it answered so {misses} times in {waited:.0f} s, and {files}"
    sentence = f"the scheduler does not know job {job.scheduler_job_id}: {told}"
    if evidence.is_taken:
        sentence = f"the scheduler has another job under the id {job.scheduler_job_id}, and not this one: {told}"
    lost = attrs.evolve(
        _ended(job, evidence, JobState.LOST, now),
        missing_since=since,
        missed_polls=misses,
        cause="lost",
        failure_reason=sentence,
    )
    if evidence.start is not None and _waits_again(job, evidence.start):
        # The files are of an earlier run, and must not settle this one later.
        lost = attrs.evolve(lost, restarts=max(lost.restarts, evidence.start.restarts + 1))
    return _change(job, lost, sentence)


def _seen_started(job: TrackedJob, known: TrackedJob, evidence: Evidence) -> Change | None:
    """Return ``known``, which is ``job`` and what was reported of it, as running if its script has started."""
    start = evidence.start
    waits = job.state in (JobState.SUBMITTED, JobState.QUEUED)
    if start is None or not waits or start.restarts < job.restarts or _waits_again(job, start):
        return _change(job, known, "")
    new = attrs.evolve(known, state=JobState.RUNNING, started_at=_time_of_start(job, start), reason=None)
    return _change(job, new, f"its script started on {start.host}")


def _ended(job: TrackedJob, evidence: Evidence, state: JobState, finished: float) -> TrackedJob:
    """Return the job as ended, with nothing said yet of how; clocks that differ never make a duration negative."""
    report, start, started = evidence.report, evidence.start, job.started_at
    restarts = max(job.restarts, report.restarts if report is not None else 0)
    if start is not None and start.restarts >= restarts:
        started, restarts = _time_of_start(job, start), start.restarts
    elif report is not None and report.started_at is not None:
        started = _not_before_submission(job, report.started_at)
    return attrs.evolve(
        job,
        state=state,
        started_at=started,
        finished_at=_not_before_submission(job, finished) if started is None else max(started, finished),
        exit_code=None,
        signal=None,
        cause=None,
        failure_reason=None,
        native_state=report.native_state if report is not None else job.native_state,
        reason=None,
        restarts=restarts,
        missing_since=None,
        missed_polls=0,
    )


def _time_of_start(job: TrackedJob, start: StartFile) -> float:
    return _not_before_submission(job, start.at)


def _not_before_submission(job: TrackedJob, at: float) -> float:
    return max(at, job.created_at if job.submitted_at is None else job.submitted_at)


def _was_at_its_limit(job: TrackedJob, start: StartFile | None, exit_file: ExitFile, now: float) -> bool:
    """Tell whether the job had run for as long as it may; both the files' clock and molq's must say so."""
    if job.time_limit is None or start is None:
        return False
    limit = job.time_limit - _TIME_LIMIT_SLACK_SECONDS
    submitted = job.created_at if job.submitted_at is None else job.submitted_at
    return exit_file.at - start.at >= limit and now - submitted >= limit


def _own_reason(job: TrackedJob, state: JobState) -> str | None:
    """Return why molq itself cancelled a job."""
    return job.cancel_reason if state is JobState.CANCELLED else None


def _found_again(job: TrackedJob, said: str) -> str:
    return f"found again: {said}" if job.state is JobState.LOST else said


def _change(old: TrackedJob, new: TrackedJob, reason: str) -> Change | None:
    return None if old == new else Change(old=old, new=new, reason=reason)
