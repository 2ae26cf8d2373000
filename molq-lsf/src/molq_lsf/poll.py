"""Answer one poll: bjobs for all jobs, then bhist for how those ended of which it does not tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from molq.backend import Commands, ElementReport, JobReport, PollAnswer, SubmittedJob, expand_indices, roll_up
from molq_lsf import job_files
from molq_lsf.dialects import find_dialect
from molq_lsf.endings import Ending, Facts, ending_of, is_at_run_limit, lacks_history
from molq_lsf.history import Histories, JobHistory, Source, ask_history
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.programs import is_job_id
from molq_lsf.queue_limits import ask_run_limits
from molq_lsf.queue_listing import JobRow, ask_queue

_STALE_AFTER = 86_400.0
"""Seconds after which the history's word that a job is active, of which bjobs knows nothing, is no news any more."""


@attrs.frozen(kw_only=True)
class View:
    """What is known of one job, or of one element of an array.

    Attributes:
        word: LSF's state word.
        index: the element; None if this is no array.
        tag: whose it is; None if that is not shown.
        facts: what stands beside the word.
    """

    word: str
    index: int | None
    tag: str | None
    facts: Facts

    @property
    def ending(self) -> Ending | None:
        """What is to be believed of it; None if that will only be known later."""
        return ending_of(self.word, self.facts)


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
    listing = ask_queue(known, dialect, options, commands)
    doubts_success = dialect == "openlava"
    views = {
        job_id: [_listed(row, known[job_id], now, doubts_success=doubts_success) for row in rows]
        for job_id, rows in listing.rows.items()
    }
    to_history = [job_id for job_id, seen in views.items() if any(lacks_history(v.word, v.facts) for v in seen)]
    incomplete = {job_id for job_id, seen in views.items() if _is_incomplete(known[job_id], seen)}
    to_history += incomplete - set(to_history)
    to_history += [job_id for job_id in known if job_id in listing.not_found and not _is_settled(known[job_id])]
    histories = ask_history(to_history, options, commands, now) if to_history else Histories(Source.ANSWERED)
    limits = _queue_limits(histories, options, commands)
    answers: dict[str, JobReport | None] = {}
    unanswered = known.keys() - views.keys() - listing.not_found
    for job_id, job in known.items():
        past = histories.jobs.get(job_id, ())
        seen = [_with_history(view, past, limits) for view in views.get(job_id, ())]
        if job_id in incomplete:
            listed = {view.index for view in seen}
            more = [one for one in past if one.outcome is not None and one.index not in listed]
            seen += [_remembered(one, job, limits, now, doubts_success=doubts_success) for one in more]
        is_unknown = job_id in to_history and histories.source is Source.FAILED
        if job_id in listing.not_found:
            ended = [one for one in past if one.outcome is not None]
            seen = [_remembered(one, job, limits, now, doubts_success=doubts_success) for one in ended]
            is_unknown = is_unknown or any(_is_contradicted(one, now) for one in past)
        answers[job_id] = None if is_unknown else _report(job_id, seen)
        if is_unknown or (seen and answers[job_id] is None):
            unanswered.add(job_id)
    reports = tuple(report for report in answers.values() if report is not None)
    return PollAnswer(reports=reports, unanswered=frozenset(unanswered) | strange)


def _is_incomplete(job: SubmittedJob, views: list[View]) -> bool:
    """Tell whether bhist should be asked about elements of an array that bjobs has forgotten: the last word is due."""
    if job.array_spec is None or not all(view.word in ("DONE", "EXIT") for view in views):
        return False
    missing = set(expand_indices(job.array_spec)) - {view.index for view in views}
    return any(job_files.read_exit(job.job_dir, index) is None for index in missing)


def _is_settled(job: SubmittedJob) -> bool:
    """Tell whether the job's own exit file tells all, so that nobody need be asked."""
    exit_file = None if job.is_array else job_files.read_exit(job.job_dir)
    return exit_file is not None and exit_file.code == 0


def _listed(row: JobRow, job: SubmittedJob, now: float, *, doubts_success: bool) -> View:
    is_over = row.state in ("DONE", "EXIT")
    facts = Facts(
        exit_code=row.exit_code,
        term=row.term,
        reason=row.reason,
        exit_file=job_files.read_exit(job.job_dir, row.element) if is_over else None,
        has_started=is_over and doubts_success and job_files.has_started(job.job_dir, row.element),
        doubts_success=doubts_success,
        now=now,
    )
    return View(word=row.state, index=row.element, tag=row.tag, facts=facts)


def _with_history(view: View, past: Iterable[JobHistory], limits: Mapping[str, float]) -> View:
    """Return a view of what bjobs lists with what bhist knows of it."""
    found = next((one for one in past if one.index == view.index and one.outcome == view.word), None)
    if found is None:
        return view
    limit = limits.get(found.queue or "")
    return attrs.evolve(view, facts=attrs.evolve(view.facts, history=found, queue_limit=limit))


def _remembered(
    history: JobHistory, job: SubmittedJob, limits: Mapping[str, float], now: float, *, doubts_success: bool
) -> View:
    """Return a view of what only bhist knows."""
    facts = Facts(
        history=history,
        queue_limit=limits.get(history.queue or ""),
        exit_file=job_files.read_exit(job.job_dir, history.index),
        has_started=job_files.has_started(job.job_dir, history.index),
        doubts_success=doubts_success,
        now=now,
    )
    return View(word=history.outcome or "", index=history.index, tag=history.tag(job), facts=facts)


def _is_contradicted(history: JobHistory, now: float) -> bool:
    """Tell whether bhist holds a job for active that bjobs does not know: a new one, or one of the two lags."""
    return history.outcome is None and now - (history.seen_at or now) < _STALE_AFTER


def _queue_limits(histories: Histories, options: LSFSchedulerOptions, commands: Commands) -> dict[str, float]:
    ended = (one for past in histories.jobs.values() for one in past if one.run_limit is None and is_at_run_limit(one))
    queues = {one.queue for one in ended if one.queue}
    return ask_run_limits(queues, options, commands) if queues else {}


def _report(job_id: str, views: list[View]) -> JobReport | None:
    """Return the report on a job; None if nothing can be said of it."""
    known = [(view, view.ending) for view in views]
    told = [(view, ending) for view, ending in known if ending is not None]
    if not told:
        return None
    elements = tuple(
        ElementReport(
            index=view.index,
            native_state=view.word,
            state=ending.state,
            exit_code=ending.exit_code,
            signal=ending.signal,
            cause=ending.cause,
        )
        for view, ending in told
        if view.index is not None
    )
    view, ending = told[0]
    started, ended = _times([one for one, _ in told])
    if not elements:
        return JobReport(
            scheduler_job_id=job_id,
            tag=view.tag,
            native_state=view.word,
            started_at=started,
            finished_at=ended,
            **attrs.asdict(ending),
        )
    if len(told) < len(known):
        # Elements of which more will be known must not let the array seem to be over.
        return None
    whole = roll_up(elements)
    is_over = whole.state is not None and whole.state.is_terminal
    waits_for = next((one.reason for _, one in told if one.state is whole.state and one.reason), None)
    return JobReport(
        scheduler_job_id=job_id,
        tag=view.tag,
        native_state=whole.native_state,
        state=whole.state,
        exit_code=whole.exit_code,
        signal=whole.signal,
        cause=whole.cause,
        started_at=started,
        finished_at=ended if is_over else None,
        reason=whole.reason if is_over else waits_for,
        elements=tuple(sorted(elements, key=lambda element: element.index)),
    )


def _times(views: list[View]) -> tuple[float | None, float | None]:
    past = [view.facts.history for view in views if view.facts.history is not None]
    started = [one.started_at for one in past if one.started_at is not None]
    ended = [one.ended_at for one in past if one.ended_at is not None]
    return min(started, default=None), max(ended, default=None)
