"""Put together what bjobs, bhist and the job's folder know of one job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from molq.backend import ElementReport, JobReport, SubmittedJob, roll_up
from molq_lsf import job_files
from molq_lsf.endings import Ending, Facts, ending_of, lacks_history
from molq_lsf.history import JobHistory
from molq_lsf.queue_listing import JobRow

_STALE_AFTER = 86_400.0
"""Seconds after which the history's word that a job is active, of which bjobs says otherwise, is no news any more."""

_LAG = 120.0
"""Seconds for which the history, read over a network, may not have a new job."""


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

    @property
    def is_over(self) -> bool:
        """Whether the word says that it is over."""
        return self.word in ("DONE", "EXIT")

    @property
    def lacks_history(self) -> bool:
        """Whether bhist should be asked how it ended."""
        return lacks_history(self.word, self.facts)


def listed(row: JobRow, job: SubmittedJob, now: float, *, doubts_success: bool) -> View:
    """Return a view of what bjobs lists."""
    is_over = row.state in ("DONE", "EXIT")
    # A stranger's files are elsewhere.
    doubts_success = doubts_success and row.tag in (None, job.job_id)
    facts = Facts(
        exit_code=row.exit_code,
        term=row.term,
        reason=row.reason,
        exit_file=job_files.read_exit(job.job_dir, row.element) if is_over else None,
        has_folder=is_over and doubts_success and job_files.has_folder(job.job_dir),
        has_started=is_over and doubts_success and job_files.has_started(job.job_dir, row.element),
        doubts_success=doubts_success,
        now=now,
    )
    return View(word=row.state, index=row.element, tag=row.tag, facts=facts)


def with_history(view: View, past: Iterable[JobHistory], limits: Mapping[str, float]) -> View:
    """Return a view with what bhist knows beside it."""
    found = next((one for one in past if one.index == view.index and one.outcome == view.word), None)
    if found is None:
        return view
    limit = limits.get(found.queue or "")
    return attrs.evolve(view, facts=attrs.evolve(view.facts, history=found, queue_limit=limit))


def remembered(
    history: JobHistory, job: SubmittedJob, limits: Mapping[str, float], now: float, *, doubts_success: bool
) -> View:
    """Return a view of the end that only bhist knows."""
    tag = history.tag(job)
    facts = Facts(
        history=history,
        queue_limit=limits.get(history.queue or ""),
        exit_file=job_files.read_exit(job.job_dir, history.index),
        has_folder=job_files.has_folder(job.job_dir),
        has_started=job_files.has_started(job.job_dir, history.index),
        doubts_success=doubts_success and tag in (None, job.job_id),
        now=now,
    )
    return View(word=history.outcome or "", index=history.index, tag=tag, facts=facts)


def ours_among(past: tuple[JobHistory, ...], job: SubmittedJob) -> tuple[JobHistory, ...]:
    """Return the histories of this job: an id that was used again has those of others too."""
    ours = tuple(one for one in past if one.tag(job) == job.job_id)
    return ours or past


def is_behind(history: JobHistory, now: float) -> bool:
    """Tell whether bhist still holds a job for active of which bjobs says otherwise: one of the two lags."""
    return history.outcome is None and now - (history.seen_at or now) < _STALE_AFTER


def may_come(view: View, job: SubmittedJob, past: Iterable[JobHistory], now: float) -> bool:
    """Tell whether bhist, which has no end of a job that is over, may have it later."""
    if not view.lacks_history or view.facts.history is not None:
        return False
    mine = [one for one in past if one.index == view.index]
    return any(is_behind(one, now) for one in mine) or (not mine and now - job.submitted_at < _LAG)


def report_on(job_id: str, views: list[View]) -> JobReport | None:
    """Return the report on a job; None if nothing can be said of it yet."""
    told = [(view, ending) for view in views if (ending := view.ending) is not None]
    # Elements of which more will be known must not let an array seem to be over.
    if not told or len(told) < len(views):
        return None
    view, ending = told[0]
    started, ended = _times(views)
    if view.index is None:
        return JobReport(
            scheduler_job_id=job_id,
            tag=view.tag,
            native_state=view.word,
            started_at=started,
            finished_at=ended,
            **attrs.asdict(ending),
        )
    elements = tuple(_element(one, of_it) for one, of_it in sorted(told, key=lambda pair: pair[0].index or 0))
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
        elements=elements,
    )


def _element(view: View, ending: Ending) -> ElementReport:
    return ElementReport(
        index=view.index or 0,
        native_state=view.word,
        state=ending.state,
        exit_code=ending.exit_code,
        signal=ending.signal,
        cause=ending.cause,
    )


def _times(views: list[View]) -> tuple[float | None, float | None]:
    past = [view.facts.history for view in views if view.facts.history is not None]
    started = [one.started_at for one in past if one.started_at is not None]
    ended = [one.ended_at for one in past if one.ended_at is not None]
    return min(started, default=None), max(ended, default=None)
