"""Put together what is known of an array's elements: what the scheduler lists, what they wrote, what was known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from molq.array_elements import ElementReport
from molq.array_indices import are_indices, expand_indices
from molq.backend import JobReport
from molq.endings import cause_of, followed_a_cancel, signal_in
from molq.job_files import ElementFiles, ExitFile, JobFiles
from molq.job_state import JobState
from molq.tracking import TrackedJob

CANCELLED = "cancelled"
"""The cause of an element's end, and, before that, the mark of one that the scheduler has accepted to cancel."""

_NO_WORD = ""
"""For an element of whose state only its own file tells, and not the scheduler."""

_NO_FILES = ElementFiles(started=frozenset(), ended=frozenset())


@attrs.frozen(kw_only=True)
class ArrayEvidence:
    """What is known of an array's elements at one moment.

    Attributes:
        elements: those of which something is known, by their index.
        missing: the indices of those that are not over and of which nothing is known now.
        carried: the indices of those that an earlier attempt has run, and that this one does not run again.
        known_before: what the store has.
        started_at: when the first element started.
        ended_at: when the last element that has ended so far did so.
    """

    elements: tuple[ElementReport, ...]
    missing: frozenset[int]
    carried: frozenset[int]
    known_before: tuple[ElementReport, ...]
    started_at: float | None
    ended_at: float | None


def gather(
    job: TrackedJob,
    files: JobFiles | None,
    report: JobReport | None,
    known: Sequence[ElementReport],
    *,
    is_answered: bool,
) -> ArrayEvidence:
    """Return what is known of the elements of an array.

    An exit file that says 0 is a success, whatever else is said. What the scheduler says of an element comes next;
    but success never hides an exit file that is not 0. Of elements that it does not list, the exit file tells, or
    what was known of their end before.

    Args:
        job: the array.
        files: its folder; None if it cannot be read.
        report: what the scheduler says of it now, if it does.
        known: what the store has of its elements.
        is_answered: whether the scheduler was asked and answered.

    Raises:
        UnreadableFilesError: the folder cannot be read.
    """
    there = _NO_FILES if files is None else files.read_elements()
    listed = {element.index: element for element in report.elements} if report is not None else {}
    asked_for = set(_asked_for(job, listed))
    # That an element is lost was no evidence; but one of an earlier attempt goes on to count as what it was then.
    before = {e.index: e for e in known if e.state is not JobState.LOST or e.index not in asked_for}
    elements, missing, ends = [], set(), []
    for index in sorted(asked_for | before.keys()):
        exit_file = None
        if files is not None and index in there.ended and not _is_settled(before.get(index), listed.get(index)):
            exit_file = files.read_exit(index)
            if exit_file is not None:
                ends.append(exit_file.at)
        element = _judge(job, index, listed.get(index), before.get(index), exit_file, is_answered=is_answered)
        if element is None:
            missing.add(index)
        else:
            elements.append(element)
    return ArrayEvidence(
        elements=tuple(elements),
        missing=frozenset(missing),
        carried=frozenset(before.keys() - asked_for),
        known_before=tuple(known),
        started_at=_first_start(job, files, there.started),
        ended_at=max(ends, default=None),
    )


def _asked_for(job: TrackedJob, listed: Iterable[int]) -> Iterable[int]:
    """Return the indices that the scheduler has; what is known beside them is of an earlier attempt."""
    # The indices of a row that somebody has edited may be none; then those that are listed must do.
    return expand_indices(job.array_spec or "") if are_indices(job.array_spec) else listed


def _judge(
    job: TrackedJob,
    index: int,
    listed: ElementReport | None,
    before: ElementReport | None,
    exit_file: ExitFile | None,
    *,
    is_answered: bool,
) -> ElementReport | None:
    if exit_file is not None and exit_file.code == 0:
        word = listed.native_state if listed is not None else _NO_WORD
        return ElementReport(index=index, native_state=word, state=JobState.SUCCEEDED, exit_code=0)
    if listed is not None and before is not None and _is_settled(before, listed):
        return before
    if listed is not None:
        seen = listed if exit_file is None else _corrected(listed, exit_file)
        return _still_to_end(seen) if is_to_end(before) and not seen.is_over else seen
    if before is not None and before.is_over:
        return before
    if exit_file is None:
        is_gone = is_answered and is_to_end(before)
        return (
            ElementReport(index=index, native_state=_NO_WORD, state=JobState.CANCELLED, cause=CANCELLED)
            if is_gone
            else None
        )
    failed = _failed(index, _NO_WORD, exit_file)
    is_cancelled = is_to_end(before) or followed_a_cancel(
        exit_file.code, exit_file.at, job.cancel_requested_at, job.cancel_accepted_at
    )
    return attrs.evolve(failed, state=JobState.CANCELLED, cause=CANCELLED) if is_cancelled else failed


def is_to_end(element: ElementReport | None) -> bool:
    """Tell whether the scheduler has accepted to cancel an element that was not over then."""
    return element is not None and element.cause == CANCELLED and not element.is_over


def _still_to_end(element: ElementReport) -> ElementReport:
    return attrs.evolve(element, cause=CANCELLED)


def _corrected(listed: ElementReport, exit_file: ExitFile) -> ElementReport:
    """Return what the scheduler says of an element that did not end with 0, with the exit code that it wrote."""
    if not listed.is_over:
        return listed
    if listed.state is JobState.SUCCEEDED:
        return _failed(listed.index, listed.native_state, exit_file)
    signal = listed.signal if listed.signal is not None else signal_in(exit_file.code)
    return attrs.evolve(listed, exit_code=exit_file.code, signal=signal)


def _failed(index: int, word: str, exit_file: ExitFile) -> ElementReport:
    signal = signal_in(exit_file.code)
    return ElementReport(
        index=index,
        native_state=word,
        state=JobState.FAILED,
        exit_code=exit_file.code,
        signal=signal,
        cause=cause_of(JobState.FAILED, signal),
    )


def _is_settled(before: ElementReport | None, listed: ElementReport | None) -> bool:
    """Tell whether the end of an element is known, and the scheduler has nothing to add to that."""
    if before is None or not before.is_over:
        return False
    return listed is None or (listed.is_over and before.native_state != _NO_WORD)


def _first_start(job: TrackedJob, files: JobFiles | None, started: frozenset[int]) -> float | None:
    if job.started_at is not None or not started or files is None:
        return job.started_at
    # The elements start in about this order; one file is read and not a thousand.
    start = files.read_start(min(started))
    return None if start is None else start.at
