"""Cancel one job: the request is recorded, the scheduler is asked, and the state follows from evidence."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from molq.backend import SchedulerError
from molq.errors import BackendError
from molq.evidence import is_surely_over
from molq.job_files import JobFiles, UnreadableFilesError
from molq.polling import Poller, as_submitted
from molq.tracking import TrackedJob

_log = logging.getLogger("molq")

_STEP_SECONDS = 0.02
_MOST_STEPS = 500
"""How often a cancel looks whether a submission is still under way; after that it leaves the cancel to a poll."""


def cancel(poller: Poller, job_id: str) -> None:
    """Ask for the end of a job's latest attempt. A job that is over stays what it is.

    After this returns there is no further attempt. An attempt that waits in molq is over at once. One whose submission
    is not yet confirmed is cancelled as soon as it turns up in the scheduler.

    Raises:
        JobNotFoundError: there is no such job.
        SchedulerError: the scheduler refused or could not be asked; the job stays what it was.
    """
    store = poller.store
    job = _settled(poller, store.request_cancel(job_id, poller.clock()))
    if job.scheduler_job_id is None and job.previous_attempt_job_id is not None:
        _end_for_good(poller, store.tracked_job(job.previous_attempt_job_id))
    if job.state.is_terminal:
        return
    if job.scheduler_job_id is None:
        with suppress(SchedulerError, BackendError):  # a poll finds it and carries out the request, now or later
            poller.refresh()
        return
    try:
        refusal = _ask(poller, job)
    except (SchedulerError, BackendError):
        _withdraw(poller, job.job_id)
        raise
    if refusal is None:
        store.settle_cancel(job.job_id, poller.clock())
    with suppress(SchedulerError, BackendError):  # a look that fails is recorded, and says nothing about the cancel
        poller.refresh()
    if refusal is not None and _withdraw(poller, job.job_id):
        raise SchedulerError(
            f"{poller.backend.description.label} refused to cancel job {job.scheduler_job_id} "
            f"(molq's {job.job_id}): {refusal}"
        )


def _settled(poller: Poller, job: TrackedJob) -> TrackedJob:
    """Wait, for a while, until another process that is just submitting the job has done so."""
    files = JobFiles(Path(job.job_dir))
    for _ in range(_MOST_STEPS):
        if job.state.is_terminal or job.scheduler_job_id is not None:
            break
        try:
            is_under_way = files.submission_is_under_way()
        except UnreadableFilesError:
            is_under_way = True
        job = poller.store.tracked_job(job.job_id)
        if not is_under_way:
            break
        poller.sleep(_STEP_SECONDS)
    return job


def _end_for_good(poller: Poller, last: TrackedJob) -> None:
    """Cancel an attempt that is thought to be over too, if the scheduler might start it again by itself."""
    if last.scheduler_job_id is None or is_surely_over(last):
        return
    try:
        _ask(poller, last)
    except (SchedulerError, BackendError) as error:
        _log.warning(
            "job %s may still be started again by the scheduler, which could not be asked: %s", last.job_id, error
        )


def _ask(poller: Poller, job: TrackedJob) -> str | None:
    """Ask the scheduler; return why it refused, or None if it accepted."""
    if poller.is_a_strangers(job):
        return "another job has this id by now, and was left alone"
    receipts = poller.backend.cancel_jobs((as_submitted(job),), poller.options, poller.commands)
    return None if receipts[0].accepted else receipts[0].reason or "it gave no reason"


def _withdraw(poller: Poller, job_id: str) -> bool:
    """Take the request back; tell whether it was open: the job is active, and no other request was accepted."""
    job = poller.store.tracked_job(job_id)
    if job.state.is_terminal or job.cancel_accepted_at is not None:
        return False
    poller.store.settle_cancel(job_id, None)
    return True
