"""Turn the records of jobs and arrays into what molq should believe of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import attrs

from molq.backend import ElementReport, JobReport, JobState, SubmittedJob, expand_indices, roll_up
from molq_pbs.endings import Ending, ending_of
from molq_pbs.job_records import JobRecord
from molq_pbs.prelude import CANNOT_WRITE, PBS_LOG
from molq_pbs.programs import read_time
from molq_pbs.states import ARRAY_BEGUN, ELEMENT_EXPIRED, FINISHED, LETTERS

_INDEX = re.compile(r"\d+\[(\d{1,9})\]", re.ASCII)


def report_job(job: SubmittedJob, record: JobRecord) -> JobReport:
    """Return the report in the record of a job that is no array."""
    ending = _told_by_folder(job, ending_of(record))
    return _report(job, record, ending)


def report_array(job: SubmittedJob, record: JobRecord | None, elements: Sequence[JobRecord]) -> JobReport | None:
    """Return the report on an array, by its elements: the exit status of the whole is that of the last one to end.

    None if nothing is known of it.
    """
    listed = _elements(job, elements)
    if not listed:
        return None if record is None else _report(job, record, _whole_by_itself(record))
    whole = roll_up(listed)
    shown = record if record is not None else elements[0]
    state, reason = whole.state, whole.reason
    if state is JobState.QUEUED:
        reason = ending_of(shown).reason
    if state is None and shown.text("job_state") == ARRAY_BEGUN:
        state = JobState.RUNNING
    ending = Ending(state=state, exit_code=whole.exit_code, signal=whole.signal, cause=whole.cause, reason=reason)
    report = _report(job, shown, ending)
    return attrs.evolve(
        report,
        native_state=record.text("job_state") if record is not None else whole.native_state,
        started_at=min(_times(elements, "stime", "start_time"), default=None) if report.started_at else None,
        restarts=max(map(_restarts, elements), default=0),
        elements=listed,
    )


def _elements(job: SubmittedJob, records: Iterable[JobRecord]) -> tuple[ElementReport, ...]:
    """Return the elements that were asked for; an array may have more, which end at once.

    Left out are those that PBS itself has nothing of any more: deleted before they started, or over without a history.
    """
    asked = frozenset(expand_indices(job.array_spec)) if job.array_spec is not None else None
    found = {}
    for record in records:
        match = _INDEX.match(record.job_id)
        if match is None or (asked is not None and int(match[1]) not in asked):
            continue
        if record.text("job_state") == ELEMENT_EXPIRED and not _has_run_of_its_own(record):
            continue
        index, ending = int(match[1]), _ending_of_element(record)
        found[index] = ElementReport(
            index=index,
            native_state=record.text("job_state"),
            state=ending.state,
            exit_code=ending.exit_code,
            signal=ending.signal,
            cause=ending.cause,
        )
    return tuple(found[index] for index in sorted(found))


def _ending_of_element(record: JobRecord) -> Ending:
    """Return how an element stands.

    One that has no run of its own is shown with the substate and the exit status of its array. If that is over, the
    element was deleted before it started.
    """
    if record.text("job_state") == FINISHED and not _has_run_of_its_own(record):
        return Ending(state=JobState.CANCELLED, cause="cancelled")
    return ending_of(record)


def _has_run_of_its_own(record: JobRecord) -> bool:
    return "array_id" in record.attributes


def _whole_by_itself(record: JobRecord) -> Ending:
    """Return what an array is of which no element is shown. Its substate counts them all, its exit status does not."""
    if record.text("job_state") == ARRAY_BEGUN:
        return Ending(state=JobState.RUNNING)
    ending = ending_of(record)
    if ending.state is JobState.FAILED:
        return Ending(state=JobState.FAILED, reason="some of its elements failed")
    return attrs.evolve(ending, exit_code=None, signal=None)


def _told_by_folder(job: SubmittedJob, ending: Ending) -> Ending:
    """Explain an exit code of molq's own prelude: no run has claimed the job then."""
    if ending.exit_code != CANNOT_WRITE or (job.job_dir / "claim").is_symlink():
        return ending
    return attrs.evolve(
        ending,
        cause="launch",
        reason="could not open the files for its output; do their folders exist on the node, and may its user write to "
        f"them? {PBS_LOG} in the job's folder may tell more",
    )


def _report(job: SubmittedJob, record: JobRecord, ending: Ending) -> JobReport:
    has_started = ending.is_over or ending.state is JobState.RUNNING
    return JobReport(
        scheduler_job_id=job.scheduler_job_id,
        tag=record.tag_for(job.job_id),
        native_state=record.text("job_state"),
        state=ending.state,
        exit_code=ending.exit_code,
        signal=ending.signal,
        cause=ending.cause,
        restarts=_restarts(record),
        started_at=next(_times([record], "stime", "start_time"), None) if has_started else None,
        finished_at=next(_times([record], "obittime", "comp_time"), None) if ending.is_over else None,
        reason=ending.reason,
    )


def _times(records: Iterable[JobRecord], *names: str) -> Iterator[float]:
    for record in records:
        for name in names:
            at = read_time(record.attributes.get(name))
            if at is not None:
                yield at


def _restarts(record: JobRecord) -> int:
    """Return how often PBS has started, or is about to start, the job again: it counts all runs that have begun."""
    runs = record.number("run_count") or record.number("start_count") or 0
    if LETTERS.get(record.text("job_state")) is JobState.QUEUED:
        return max(runs, 0)
    return max(runs - 1, 0)
