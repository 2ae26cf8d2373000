"""Gather what is known of an array's elements, and say what that makes of the array."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from molq.backend import ElementReport, JobReport, JobState, SubmittedJob, roll_up
from molq_slurm import job_files
from molq_slurm.accounting import AccountRow, Accounts, Source
from molq_slurm.array_ids import parse_indices
from molq_slurm.programs import tag_in
from molq_slurm.queue_listing import QueueRow
from molq_slurm.reports import element_from_accounts, element_from_queue, is_stale, is_thin

_SETTLING = 30.0
"""Seconds after the last known end before an element that nobody knows is held for one that was cancelled early.

Until then it is left out of the report: molq knows what it has cancelled itself, and is patient about the others.
"""


@attrs.frozen(kw_only=True)
class ArrayView:
    """What squeue and the job's folder know of an array.

    Attributes:
        job: the array.
        tag: whose it is, by squeue; None if squeue does not know it.
        rows: squeue's lines about it.
        elements: what is known of each element, by index.
        missing: elements of which nothing is known yet.
        is_whole: whether ``elements`` and ``missing`` are surely all there are.
    """

    job: SubmittedJob
    tag: str | None
    rows: tuple[QueueRow, ...]
    elements: Mapping[int, ElementReport]
    missing: frozenset[int]
    is_whole: bool

    @property
    def is_active(self) -> bool:
        """Whether an element is known to wait or run."""
        return any(e.state is not None and not e.is_over for e in self.elements.values())

    @property
    def needs_accounting(self) -> bool:
        """Whether accounting may know more."""
        return bool(self.missing) or not (self.is_whole or self.is_active)


def view_array(job: SubmittedJob, rows: tuple[QueueRow, ...]) -> ArrayView:
    """Return what squeue and the exit files say of an array; squeue wins."""
    elements: dict[int, ElementReport] = {}
    is_readable = True
    for row in rows:
        indices = parse_indices(row.indices)
        is_readable = is_readable and indices is not None
        for index in indices or ():
            elements[index] = element_from_queue(index, row)
    tag = tag_in(rows[0].free_text, job) if rows else None
    expected = job_files.array_indices(job.job_dir)
    if expected is None or not is_readable:
        return ArrayView(job=job, tag=tag, rows=rows, elements=elements, missing=frozenset(), is_whole=False)
    missing = frozenset(expected) - elements.keys()
    if missing:
        for index in missing & job_files.ended_elements(job.job_dir):
            if job_files.exit_code(job.job_dir, index) == 0:
                elements[index] = ElementReport(
                    index=index, native_state="COMPLETED", state=JobState.SUCCEEDED, exit_code=0
                )
        missing -= elements.keys()
    return ArrayView(job=job, tag=tag, rows=rows, elements=elements, missing=missing, is_whole=True)


def report_array(view: ArrayView, accounts: Accounts | None, now: float) -> JobReport | Source | None:
    """Return the report on an array; None if it is absent; ``Source.FAILED`` if that cannot be told.

    Args:
        view: what squeue and the folder know.
        accounts: what accounting knows, if it was asked.
        now: seconds since the epoch.
    """
    elements = dict(view.elements)
    tag = view.tag
    rows: tuple[AccountRow, ...] = ()
    thin: set[int] = set()
    if accounts is not None:
        rows = accounts.rows.get(view.job.scheduler_job_id, ())
        if rows and tag is None and any(row.submit_line for row in rows):
            tag = tag_in(" ".join(row.submit_line for row in rows), view.job)
        thin = _add_accounted(elements, rows, view, now)
    missing = (view.missing - elements.keys()) if view.is_whole else frozenset()
    _add_failed_by_file(elements, missing, view.job)
    missing -= elements.keys()
    is_active = any(e.state is not None and not e.is_over for e in elements.values())
    if not elements and not rows:
        failed = accounts is not None and accounts.source is Source.FAILED
        return Source.FAILED if failed else None
    if not is_active and (missing or thin or not view.is_whole):
        settled = _settle_missing(elements, missing, view, accounts, now) if not thin else Source.FAILED
        if not isinstance(settled, dict):
            return settled
        elements = settled
        missing -= elements.keys()
    if not elements:
        return None
    report = _summary(view, tag, elements)
    is_open = bool(missing) and report.state is not None and report.state.is_terminal
    return attrs.evolve(report, state=None) if is_open else report


def _add_accounted(
    elements: dict[int, ElementReport], rows: Iterable[AccountRow], view: ArrayView, now: float
) -> set[int]:
    """Add elements that accounting knows; return those of which it does not know enough yet."""
    thin: set[int] = set()
    for row in rows:
        # A rest that was cancelled while it waited may be one line with nothing but the array's id.
        indices = tuple(view.missing) if row.indices is None else parse_indices(row.indices)
        for index in indices or ():
            if index in elements or (view.is_whole and index not in view.missing):
                continue
            if is_thin(row, now):
                thin.add(index)
            elif not is_stale(row, now):
                elements[index] = element_from_accounts(index, row)
    return thin - elements.keys()


def _add_failed_by_file(elements: dict[int, ElementReport], missing: frozenset[int], job: SubmittedJob) -> None:
    for index in missing & job_files.ended_elements(job.job_dir) if missing else ():
        code = job_files.exit_code(job.job_dir, index)
        if code is not None:
            signal = code - 128 if 128 < code <= 192 else None
            elements[index] = ElementReport(
                index=index,
                native_state="FAILED" if code else "COMPLETED",
                state=JobState.FAILED if code else JobState.SUCCEEDED,
                exit_code=code,
                signal=signal,
                cause=None if code == 0 else "exit" if signal is None else "signal",
            )


def _settle_missing(
    elements: dict[int, ElementReport],
    missing: frozenset[int],
    view: ArrayView,
    accounts: Accounts | None,
    now: float,
) -> dict[int, ElementReport] | Source | None:
    """Decide about elements that neither squeue nor accounting nor a file knows.

    A waiting element that is cancelled alone vanishes from squeue and never comes into accounting (recorded from
    22.05.8). One that has started cannot vanish so.
    """
    if accounts is None or accounts.source is Source.FAILED:
        return Source.FAILED
    if not missing:
        return elements
    started = job_files.started_elements(view.job.job_dir)
    ends = [row.ended_at for row in view.rows if row.ended_at is not None]
    rows = accounts.rows.get(view.job.scheduler_job_id, ())
    ends += [row.ended_at for row in rows if row.ended_at is not None]
    if started is None or missing & started or not ends:
        return None
    if now - max(ends) < _SETTLING:
        return elements
    cancelled = ElementReport(index=0, native_state="CANCELLED", state=JobState.CANCELLED, cause="cancelled")
    return {**elements, **{index: attrs.evolve(cancelled, index=index) for index in missing}}


def _summary(view: ArrayView, tag: str | None, elements: Mapping[int, ElementReport]) -> JobReport:
    ordered = tuple(elements[index] for index in sorted(elements))
    started = [row.started_at for row in view.rows if row.started_at is not None and row.nodes]
    ended = [row.ended_at for row in view.rows if row.ended_at is not None]
    whole = roll_up(ordered)
    is_over = whole.state is not None and whole.state.is_terminal
    has_started = any(e.has_started or e.state is JobState.CANCELLED for e in ordered)
    waits_for = next((row.reason for row in view.rows if row.reason), None)
    return JobReport(
        scheduler_job_id=view.job.scheduler_job_id,
        tag=tag,
        native_state=whole.native_state,
        state=whole.state,
        exit_code=whole.exit_code,
        signal=whole.signal,
        cause=whole.cause,
        restarts=max((row.restarts for row in view.rows), default=0),
        started_at=min(started) if started and has_started else None,
        finished_at=max(ended) if ended and is_over else None,
        reason=waits_for if whole.state is JobState.QUEUED else whole.reason,
        elements=ordered,
    )
