"""Find out what became of submissions whose outcome was never recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from molq.attempts import write_changes
from molq.backend import (
    Commands,
    SchedulerError,
    SchedulerOptions,
    SubmitDeferred,
    SubmitRejected,
)
from molq.errors import BackendError
from molq.job_files import JobFiles, UnreadableFilesError
from molq.job_state import JobState
from molq.loaded_backend import Backend
from molq.patience import GRACE_SECONDS, missed_once_more
from molq.retries import NEVER_SUBMITTED
from molq.store import JobStore
from molq.tracking import Change, TrackedJob

_MISSES_BEFORE_NEVER = 2
_CLOCK_SKEW_SECONDS = 3600.0

_UNSEEN_SECONDS = 600.0
"""How long a submission may be under way on a machine whose files cannot be seen from here."""


@attrs.frozen(kw_only=True)
class Recovery:
    """Adopts what the scheduler has, and settles what it surely never got. It never submits anything.

    Attributes:
        store: where jobs are recorded.
        backend: the scheduler.
        options: the backend's options.
        commands: runs the scheduler's programs.
        clock: returns seconds since the epoch.
        warn_once: tells of something, unless something was told under the same key before.
    """

    store: JobStore
    backend: Backend
    options: SchedulerOptions
    commands: Commands
    clock: Callable[[], float]
    warn_once: Callable[[str, str], None]

    def recover(self, jobs: Sequence[TrackedJob]) -> None:
        """Settle as many of ``jobs``, which have no scheduler id, as the evidence allows.

        Those whose folders cannot be read are left alone.

        Raises:
            SchedulerError, BackendError: the scheduler could not be asked for those that the files leave open.
        """
        changes, unclear = [], []
        for job in jobs:
            try:
                if JobFiles(Path(job.job_dir)).submission_is_under_way():
                    continue
                change = self._by_files(job)
            except UnreadableFilesError as error:
                sentence = f"it cannot be told what became of the submission of job {job.job_id}: {error}"
                self.warn_once(f"unreadable {job.job_id}", sentence)
                continue
            if change is None:
                unclear.append(job)
            else:
                changes.append(change)
        write_changes(self.store, changes, self.clock())
        if unclear and self.backend.implements("molq_find_jobs"):
            write_changes(self.store, self._by_search(unclear), self.clock())

    def _by_files(self, job: TrackedJob) -> Change | None:
        files = JobFiles(Path(job.job_dir))
        claim = files.read_claim()
        if claim is not None:
            return self._adopted(job, claim, "its script has claimed its run")
        reply = files.read_submit_reply()
        if reply is not None:
            try:
                receipt = self.backend.read_submit_reply(reply)
            except SubmitRejected as error:
                return self._failed(job, str(error), "the scheduler had refused it")
            except SubmitDeferred as error:
                return self._never_submitted(job, str(error), "the scheduler could not take it then")
            except (SchedulerError, BackendError):
                return None
            return self._adopted(job, receipt.scheduler_job_id, "the scheduler's reply was on disk")
        submits_by_command = self.backend.implements("molq_read_submit_reply")
        # Not at once: on some file systems a lock is not seen from another machine.
        is_old = self.clock() - _submitting_since(job) >= GRACE_SECONDS
        if submits_by_command and is_old and files.exists():
            return self._never_submitted(
                job, "molq ended before it submitted the job", "its submit command was never started"
            )
        return None

    def _by_search(self, jobs: Sequence[TrackedJob]) -> list[Change]:
        tags = tuple(job.job_id for job in jobs)
        since = min(job.created_at for job in jobs) - _CLOCK_SKEW_SECONDS
        found = {
            item.tag: item.scheduler_job_id for item in self.backend.find_jobs(tags, since, self.options, self.commands)
        }
        return [
            self._adopted(job, found[job.job_id], "the scheduler has it under its tag")
            if job.job_id in found
            else self._missed(job)
            for job in jobs
        ]

    def _adopted(self, job: TrackedJob, scheduler_job_id: str, how: str) -> Change:
        new = attrs.evolve(
            job,
            state=JobState.SUBMITTED if job.state is JobState.CREATED else job.state,
            scheduler_job_id=scheduler_job_id,
            submitted_at=_submitting_since(job),
            reason=None,
            missing_since=None,
            missed_polls=0,
        )
        return Change(old=job, new=new, reason=f"adopted: {how}")

    def _missed(self, job: TrackedJob) -> Change:
        now = self.clock()
        missed = missed_once_more(job, now)
        patience = GRACE_SECONDS if os.path.isdir(job.job_dir) else _UNSEEN_SECONDS
        # Counted from the first miss: a scheduler that wakes up may answer before it takes what was sent to it.
        if missed.missed_seconds < patience or missed.missed_polls < _MISSES_BEFORE_NEVER:
            return Change(old=job, new=missed, reason="")
        sentence = f"never reached the scheduler: it was asked {missed.missed_polls} times and has no job with this tag"
        return self._never_submitted(job, sentence, sentence)

    def _never_submitted(self, job: TrackedJob, sentence: str, reason: str) -> Change:
        if job.not_before is None or job.cancel_requested_at is not None:
            return self._failed(job, sentence, reason)
        # Nobody was told that it was submitted, and nobody else would do it. It keeps its folder: should a submission
        # be heard after all, the claim there lets one of the two run.
        new = attrs.evolve(
            job, claimed_at=None, not_before=self.clock(), reason=None, missing_since=None, missed_polls=0
        )
        return Change(old=job, new=new, reason="")

    def _failed(self, job: TrackedJob, sentence: str, reason: str) -> Change:
        cancelled = job.cancel_requested_at is not None
        new = attrs.evolve(
            job,
            state=JobState.CANCELLED if cancelled else JobState.FAILED,
            cause="cancelled" if cancelled else NEVER_SUBMITTED,
            failure_reason=sentence,
            finished_at=max(self.clock(), job.created_at),
            reason=None,
            missing_since=None,
            missed_polls=0,
        )
        return Change(old=job, new=new, reason=reason)


def _submitting_since(job: TrackedJob) -> float:
    return job.created_at if job.claimed_at is None else job.claimed_at
