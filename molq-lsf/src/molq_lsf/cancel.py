"""Cancel jobs: only those that are still ours, and judged by LSF's words."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping

from molq.backend import (
    CancelReceipt,
    Commands,
    SchedulerError,
    SubmittedJob,
    command_failed,
    expand_indices,
    format_indices,
)
from molq_lsf.dialects import find_dialect
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.programs import chunks, could_not_ask, is_job_id
from molq_lsf.queue_listing import JobRow, QueueListing, ask_queue
from molq_lsf.states import STATES

_ACCEPTED = re.compile(r"^Job <([1-9]\d*)(?:\[(\d+)\])?> is being (?:terminated|signaled)", re.MULTILINE)
_REFUSED = re.compile(r"^Job <([1-9]\d*)(?:\[(\d+)\])?>: (.+?)\s*$", re.MULTILINE)
# It says so when a host is out of reach or elements are just ending; the request is taken all the same.
_UNDER_WAY = "Operation is in progress"
_FINISHED = "Job has already finished"
_LONGEST_LIST = 480
"""Letters of the indices in one word: OpenLava's bkill takes no word of 512 or more."""
_SILENCE = "bkill said nothing of it"
_UNKNOWN = "LSF does not know the job (any more)"
_FRESH = 60.0
"""Seconds after its submission for which bjobs may not know a job that bkill knows."""


def cancel_jobs(
    jobs: tuple[SubmittedJob, ...], options: LSFSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Ask LSF to end jobs, and tell for each whether it will.

    bjobs is asked first: an id may belong to a stranger by now.

    Raises:
        SchedulerError: an id is none, or LSF could not be asked.
    """
    _check_ids(jobs)
    if not jobs:
        return ()
    listing = _ask(jobs, options, commands)
    refusals = {job.scheduler_job_id: _why_not(job, listing) for job in jobs}
    wanted = [job_id for job_id, refusal in refusals.items() if refusal is None]
    names = [name for job_id in wanted for name in _with_elements(job_id, listing.rows.get(job_id, ()))]
    said = _bkill(names, options, commands)
    refusals.update({job_id: _answer_on(job_id, said) for job_id in wanted})
    return tuple(
        CancelReceipt(scheduler_job_id=job_id, accepted=reason is None, reason=reason)
        for job_id, reason in refusals.items()
    )


def cancel_elements(
    job: SubmittedJob, indices: tuple[int, ...], options: LSFSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Ask LSF to end elements of an array, by one command.

    Raises:
        SchedulerError: as ``cancel_jobs``.
    """
    _check_ids((job,))
    if not indices:
        return ()
    listing = _ask((job,), options, commands)
    rows = {row.element: row for row in listing.rows.get(job.scheduler_job_id, ())}
    refusals: dict[int, str | None] = {}
    for index in indices:
        row = rows.get(index)
        refusals[index] = _why_not_these(job, (row,)) if row is not None else _why_not_these(job, ())
    wanted = [index for index, refusal in refusals.items() if refusal is None]
    if wanted:
        said = _bkill(_names(job.scheduler_job_id, wanted), options, commands)
        whole = said.get(job.scheduler_job_id, _SILENCE)
        refusals.update({index: said.get(_name(job.scheduler_job_id, str(index)), whole) for index in wanted})
    return tuple(
        CancelReceipt(scheduler_job_id=job.scheduler_job_id, accepted=reason is None, reason=reason, index=index)
        for index, reason in refusals.items()
    )


def _with_elements(job_id: str, rows: Collection[JobRow]) -> list[str]:
    """Return a job's names for bkill, with the elements of an array that are not over.

    OpenLava logs a request that names no elements for the array only. Its history then shows of no element that
    somebody asked for its end.
    """
    active = [row.element for row in rows if row.element is not None and not _is_over(row)]
    return _names(job_id, active) if active else [job_id]


def _names(job_id: str, indices: Collection[int]) -> list[str]:
    """Return names for elements. The numbers are written anew, so that nothing else can stand there."""
    lists = [""]
    for part in format_indices(indices).split(","):
        if len(lists[-1]) + len(part) < _LONGEST_LIST:
            lists[-1] += f",{part}"
        else:
            lists.append(f",{part}")
    return [f"{job_id}[{one[1:]}]" for one in lists]


def _answer_on(job_id: str, said: Mapping[str, str | None]) -> str | None:
    """Return why a job, or some of its elements that were named, will not end; None if all will that are not over."""
    answers = [answer for name, answer in said.items() if name.partition("[")[0] == job_id]
    refusals = [answer for answer in answers if answer not in (None, _FINISHED)]
    if refusals or None in answers:
        return refusals[0] if refusals else None
    return _FINISHED if answers else _SILENCE


def _check_ids(jobs: tuple[SubmittedJob, ...]) -> None:
    bad = [job.scheduler_job_id for job in jobs if not is_job_id(job.scheduler_job_id)]
    if bad:
        raise SchedulerError(f"{bad[0]!r} is no id of an LSF job; nothing was cancelled")


def _ask(jobs: tuple[SubmittedJob, ...], options: LSFSchedulerOptions, commands: Commands) -> QueueListing:
    dialect = find_dialect(options.bjobs_path, options, commands)
    listing = ask_queue({job.scheduler_job_id for job in jobs}, dialect, options, commands)
    silent = {job.scheduler_job_id for job in jobs} - listing.rows.keys() - listing.not_found
    if silent:
        raise SchedulerError(f"bjobs said nothing of job {min(silent)}, so nothing was cancelled; try again")
    return listing


def _why_not(job: SubmittedJob, listing: QueueListing) -> str | None:
    rows = listing.rows.get(job.scheduler_job_id, ())
    if not rows and time.time() - job.submitted_at < _FRESH:
        return None  # nobody has the id, so that it is ours or nobody's
    return _why_not_these(job, rows)


def _why_not_these(job: SubmittedJob, rows: Collection[JobRow]) -> str | None:
    if not rows:
        return _UNKNOWN
    if any(row.tag not in (None, job.job_id) for row in rows):
        return "the id belongs to another job by now"
    if all(map(_is_over, rows)):
        return f"the job is already over ({min(row.state for row in rows)})"
    return None


def _is_over(row: JobRow) -> bool:
    state = STATES.get(row.state)
    return state is not None and state.is_terminal


def _bkill(names: list[str], options: LSFSchedulerOptions, commands: Commands) -> dict[str, str | None]:
    """Run bkill; return for each job or element that it speaks of why it refused, or None if it accepted."""
    said: dict[str, str | None] = {}
    for part in chunks(names):
        said |= _bkill_at_once(part, options, commands)
    return said


def _bkill_at_once(names: list[str], options: LSFSchedulerOptions, commands: Commands) -> dict[str, str | None]:
    argv = [options.bkill_path, *names]
    count = sum(map(_count, names))
    reply = commands.run(argv, timeout=options.command_timeout.seconds + count / 100)
    said: dict[str, str | None] = {}
    for match in _REFUSED.finditer(reply.stderr):
        said[_name(match[1], match[2])] = None if match[3] == _UNDER_WAY else match[3]
    for match in _ACCEPTED.finditer(reply.stdout):
        said[_name(match[1], match[2])] = None
    if not said or (could_not_ask(reply) and len(said) < count):
        raise command_failed(argv, reply)
    return said


def _count(name: str) -> int:
    """Return of how many jobs or elements bkill will speak for a name."""
    indices = name.partition("[")[2].removesuffix("]")
    return len(expand_indices(indices)) if indices else 1


def _name(job_id: str, index: str | None) -> str:
    return job_id if index is None else f"{job_id}[{index}]"
