"""Answer one poll: bjobs for all jobs, then bhist for how those ended of which it does not tell."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from molq.backend import Commands, JobReport, PollAnswer, SubmittedJob, expand_indices
from molq_lsf import job_files
from molq_lsf.dialects import find_dialect
from molq_lsf.endings import is_at_run_limit
from molq_lsf.history import JobHistory, Source, ask_history
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.pending_reasons import with_reasons
from molq_lsf.programs import is_job_id
from molq_lsf.queue_limits import ask_run_limits
from molq_lsf.queue_listing import ask_queue
from molq_lsf.views import View, is_behind, listed, may_come, ours_among, remembered, report_on, with_history


def poll_jobs(
    jobs: tuple[SubmittedJob, ...], options: LSFSchedulerOptions, commands: Commands, now: float
) -> PollAnswer:
    """Return what LSF says of jobs, by one command, or some more when jobs have ended or are forgotten.

    Raises:
        SchedulerError: bjobs could not be asked.
    """
    known = {job.scheduler_job_id: job for job in jobs if is_job_id(job.scheduler_job_id)}
    strange = frozenset(job.scheduler_job_id for job in jobs) - known.keys()
    if not known:
        return PollAnswer(reports=(), unanswered=strange)
    dialect = find_dialect(options.bjobs_path, options, commands)
    doubts_success = dialect == "openlava"
    listing = with_reasons(ask_queue(known, dialect, options, commands), options, commands)
    views = {
        job_id: [listed(row, known[job_id], now, doubts_success=doubts_success) for row in rows]
        for job_id, rows in listing.rows.items()
    }
    asked = [job_id for job_id, job in known.items() if _needs_history(job, views.get(job_id), listing.not_found)]
    whole = [job_id for job_id in asked if job_id not in views or _is_incomplete(known[job_id], views[job_id])]
    ended = [job_id for job_id in asked if job_id not in set(whole)]
    histories = ask_history(ended, whole, dialect, options, commands, now)
    past = {job_id: ours_among(found, known[job_id]) for job_id, found in histories.jobs.items()}
    knowledge = _Knowledge(
        past=past,
        unknown=frozenset(asked) if histories.source is Source.FAILED else frozenset(),
        limits=_queue_limits(past, options, commands),
        doubts_success=doubts_success,
        now=now,
    )
    answers = {
        job_id: _answer(job, views.get(job_id), knowledge, is_forgotten=job_id in listing.not_found)
        for job_id, job in known.items()
    }
    reports = tuple(answer for answer in answers.values() if isinstance(answer, JobReport))
    unanswered = frozenset(job_id for job_id, answer in answers.items() if answer is _LATER)
    return PollAnswer(reports=reports, unanswered=unanswered | strange)


_LATER = object()
"""Stands for an answer that will only be known later."""


@attrs.frozen(kw_only=True)
class _Knowledge:
    """What is known beside bjobs's listing.

    Attributes:
        past: what bhist knows of jobs.
        unknown: the jobs about which it should have been asked, and could not.
        limits: the seconds that queues let jobs run.
        doubts_success: whether this LSF says DONE of jobs that a signal ended.
        now: seconds since the epoch.
    """

    past: Mapping[str, tuple[JobHistory, ...]]
    unknown: frozenset[str]
    limits: Mapping[str, float]
    doubts_success: bool
    now: float


def _answer(
    job: SubmittedJob, views: list[View] | None, knowledge: _Knowledge, *, is_forgotten: bool
) -> JobReport | object | None:
    """Return the report on a job; ``_LATER`` if it can't be told; None if the job is absent."""
    job_id = job.scheduler_job_id
    past = knowledge.past.get(job_id, ())
    if job_id in knowledge.unknown or not (views or is_forgotten):
        return _LATER
    # Of a job that is listed as ours, the end of a stranger under the same id tells nothing.
    mine = [one for one in past if one.tag(job) in (None, job.job_id)]
    seen = [with_history(view, mine, knowledge.limits) for view in views or ()]
    if any(may_come(view, job, mine, knowledge.now) for view in seen):
        return _LATER
    if is_forgotten and any(is_behind(one, knowledge.now) for one in past):
        return _LATER
    if is_forgotten or _is_incomplete(job, seen):
        there = {view.index for view in seen}
        seen += [
            remembered(one, job, knowledge.limits, knowledge.now, doubts_success=knowledge.doubts_success)
            for one in past
            if one.outcome is not None and one.index not in there
        ]
    return (report_on(job_id, seen) or _LATER) if seen else None


def _needs_history(job: SubmittedJob, views: list[View] | None, not_found: frozenset[str]) -> bool:
    """Tell whether bhist should be asked about a job."""
    if views:
        return any(view.lacks_history for view in views) or _is_incomplete(job, views)
    if job.scheduler_job_id not in not_found:
        return False
    exit_file = None if job.is_array else job_files.read_exit(job.job_dir)
    return exit_file is None or exit_file.code != 0  # a success tells all


def _is_incomplete(job: SubmittedJob, views: list[View]) -> bool:
    """Tell whether an array is over but for elements that bjobs has forgotten and that left no file."""
    if job.array_spec is None or not all(view.is_over for view in views):
        return False
    missing = set(expand_indices(job.array_spec)) - {view.index for view in views}
    return any(job_files.read_exit(job.job_dir, index) is None for index in missing)


def _queue_limits(
    past: Mapping[str, tuple[JobHistory, ...]], options: LSFSchedulerOptions, commands: Commands
) -> dict[str, float]:
    ended = (one for found in past.values() for one in found if one.run_limit is None and is_at_run_limit(one))
    queues = {one.queue for one in ended if one.queue}
    return ask_run_limits(queues, options, commands) if queues else {}
