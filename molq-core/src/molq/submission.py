"""Submit one job at most once: intent first, then the scheduler, then what it said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from molq.attempts import write_changes
from molq.backend import SchedulerError, SubmitDeferred, SubmitReceipt, SubmitRejected
from molq.commands import SystemCommands
from molq.errors import CommandNotStartedError, ScriptError, StoreError
from molq.job_folder import SCRIPT, JobFolder
from molq.job_ids import new_job_id
from molq.job_script import ENVIRONMENT, PAYLOAD
from molq.job_spec import JobSpec
from molq.job_state import JobState
from molq.records import JobDependency, JobRecord
from molq.requests import display_command
from molq.retries import NEVER_SUBMITTED
from molq.snapshots import request_snapshot
from molq.store import JobStore
from molq.submission_plan import SubmissionPlan, Target, plan_submission, refused
from molq.submitter_environment import keep
from molq.tracking import Change, Family, TrackedJob

AGAIN_SECONDS = 30.0
"""How long a job waits in molq after it could not be submitted, until that is tried again."""

_NO_ID = "00000000-0000-0000-0000-000000000000"


@attrs.frozen(kw_only=True)
class Submitter:
    """Submits jobs to one cluster.

    Attributes:
        store: where jobs are recorded.
        target: where jobs are submitted to.
        profile_name: the profile that is in use, if any.
        environment: the variables that the scheduler's programs start from.
        clock: returns seconds since the epoch.
    """

    store: JobStore
    target: Target
    profile_name: str | None
    environment: Mapping[str, str]
    clock: Callable[[], float]

    def submit(self, spec: JobSpec) -> TrackedJob:
        """Submit a job and return it as it is recorded.

        It is SUBMITTED; or CREATED, if the scheduler's answer is not known, or if it has to wait in molq.

        Raises:
            ConfigError, CommandError, ScriptError: the request cannot be carried out; nothing was done.
            JobNotFoundError: there is no such upstream job; nothing was done.
            SubmitError: the scheduler refused it; the refusal is recorded.
            StoreError: it could not be recorded; nothing was submitted.
        """
        job_id = new_job_id()
        plan = plan_submission(self.target, spec, job_id, self.upstreams(spec))
        folder = JobFolder.create(plan.place, job_id, self.clock())
        with self._removed_unless_recorded(folder, job_id), folder.submit_lock() as lock:
            job = self._prepare(folder, plan)
            if job.waits_in_molq:
                return job
            return self.send(folder, lock, job, plan)

    def send(self, folder: JobFolder, lock: int, job: TrackedJob, plan: SubmissionPlan) -> TrackedJob:
        """Give a job, whose files and intent are on disk, to the scheduler, and record what that says.

        Args:
            folder: the job's folder.
            lock: the descriptor of its submit lock, which this process holds.
            job: the job as it is recorded.
            plan: what is submitted.

        Raises:
            SubmitError: the scheduler refused it, which is recorded; or could not take it now, if the job has waited
                in molq and goes on to do so.
            StoreError: the answer could not be recorded.
        """
        backend = self.target.backend
        commands = SystemCommands(backend.description, self.environment, folder=folder, lock=lock)
        try:
            receipt = backend.submit_job(folder.path / SCRIPT, plan.request, commands)
        except (SubmitDeferred, CommandNotStartedError) as error:
            if job.not_before is None:
                self.record_refusal(job, error)
            else:
                self.put_back(job, f"could not be submitted yet: {error}")
            raise refused(backend, error, job.job_id) from error
        except SubmitRejected as error:
            self.record_refusal(job, error)
            raise refused(backend, error, job.job_id) from error
        except SchedulerError as error:
            return self._record_doubt(job, error)
        return self._record_receipt(job, receipt)

    def preview(self, spec: JobSpec) -> str:
        """Return the script that ``submit`` would send, with a job id of zeros. Nothing is written."""
        return plan_submission(self.target, spec, _NO_ID, self.upstreams(spec)).script

    def upstreams(self, spec: JobSpec) -> dict[str, Family]:
        """Return the jobs that a request waits for.

        Raises:
            JobNotFoundError: there is no such job.
        """
        wanted = [ref.job_id for ref in spec.scheduling.dependencies]
        found = self.store.families(wanted) if wanted else {}
        for job_id in wanted:
            if job_id not in found:
                self.store.job(job_id)  # raises
        return found

    def put_back(self, job: TrackedJob, reason: str) -> TrackedJob:
        """Let a job that has waited in molq, and was surely not submitted, wait a little longer."""
        now = self.clock()
        return self._record(job, "", claimed_at=None, not_before=now + AGAIN_SECONDS, reason=reason)

    def _prepare(self, folder: JobFolder, plan: SubmissionPlan) -> TrackedJob:
        """Put the job's files and the intent to submit it on disk."""
        write_parts(folder, plan)
        # Only another process needs it, later: then it has to have survived a power cut.
        self._keep_environment(folder, sync=plan.spec.retry.max_attempts > 1 or plan.awaited.held is not None)
        return self._record_intent(plan)

    @contextmanager
    def _removed_unless_recorded(self, folder: JobFolder, job_id: str) -> Iterator[None]:
        """Leave no folder behind of a job that nobody knows of."""
        try:
            yield
        except BaseException:
            if self._is_surely_unrecorded(job_id):
                import shutil

                shutil.rmtree(folder.path, ignore_errors=True)
            raise

    def _keep_environment(self, folder: JobFolder, *, sync: bool) -> None:
        try:
            keep(folder, self.environment, sync=sync)
        except OSError as error:
            raise ScriptError(
                f"cannot write the job's files in {str(folder.path)!r}: {error.strerror}", path=folder.path
            ) from error

    def _is_surely_unrecorded(self, job_id: str) -> bool:
        try:
            return not self.store.states([job_id])
        except StoreError:
            return False

    def _record_intent(self, plan: SubmissionPlan) -> TrackedJob:
        spec, request, now = plan.spec, plan.request, self.clock()
        record = JobRecord(
            job_id=request.job_id,
            root_job_id=request.job_id,
            profile_name=self.profile_name,
            cluster_name=self.target.cluster_name,
            scheduler=self.target.backend.scheduler,
            state=JobState.CREATED,
            cwd=str(request.cwd),
            command_type=spec.command_type,
            command_display=display_command(spec),
            metadata=spec.metadata,
            created_at=now,
            not_before=None if plan.awaited.held is None else now,
            reason=plan.awaited.held,
            retry_group_id=request.job_id if spec.retry.max_attempts > 1 else None,
            job_name=request.job_name,
            job_dir=str(request.job_dir),
            stdout_path=str(request.stdout_path),
            stderr_path=str(request.stderr_path),
        )
        limit = spec.resources.time_limit
        return self.store.add_job(
            record,
            request=request_snapshot(spec, self.target.options),
            time_limit=limit.seconds if limit else None,
            array_spec=spec.scheduling.array_spec,
            max_attempts=spec.retry.max_attempts,
            dependencies=edges_of(plan),
            reason="recorded",
        )

    def _record_receipt(self, job: TrackedJob, receipt: SubmitReceipt) -> TrackedJob:
        try:
            while job.scheduler_job_id is None:
                # Again if somebody else wrote the row meanwhile, by a request to cancel the job.
                job = self._record(
                    job,
                    "the scheduler accepted it",
                    state=_once_accepted(job.state),
                    scheduler_job_id=receipt.scheduler_job_id,
                    submitted_at=self.clock(),
                    reason=None,
                    cause=None,
                    failure_reason=None,
                    finished_at=None,
                )
        except StoreError as error:
            said = f"The scheduler has accepted the job as {receipt.scheduler_job_id}"
            raise _not_to_be_repeated(error, said) from error
        return job

    def record_refusal(self, job: TrackedJob, error: Exception) -> None:
        """Record that a job surely will not be submitted."""
        self._record(
            job,
            "the scheduler refused it",
            state=JobState.FAILED,
            cause=NEVER_SUBMITTED,
            failure_reason=str(error),
            finished_at=self.clock(),
        )

    def _record_doubt(self, job: TrackedJob, error: Exception) -> TrackedJob:
        sentence = f"submission unconfirmed ({error}); molq will adopt the job if the scheduler has it"
        try:
            return self._record(job, "", reason=sentence)
        except StoreError as failure:
            raise _not_to_be_repeated(failure, "The scheduler may have accepted the job") from failure

    def _record(self, job: TrackedJob, learned_from: str, **changes: Any) -> TrackedJob:
        change = Change(old=job, new=attrs.evolve(job, **changes), reason=learned_from)
        if write_changes(self.store, [change], self.clock()):
            return attrs.evolve(change.new, revision=job.revision + 1)
        # Another process has written the row meanwhile, so that has the last word.
        return self.store.tracked_job(job.job_id)


def _once_accepted(state: JobState) -> JobState:
    """Return the state of a job that the scheduler has just accepted, which another process may have given up on."""
    return JobState.SUBMITTED if state is JobState.CREATED or state.is_terminal else state


def _not_to_be_repeated(error: StoreError, what_is_known: str) -> StoreError:
    return StoreError(
        f"{error}. {what_is_known}: do not submit it again, molq adopts it once the database can be written",
        path=error.path,
    )


def edges_of(plan: SubmissionPlan) -> list[JobDependency]:
    """Return the edges of a job that is submitted so."""
    return [JobDependency(plan.request.job_id, ref.job_id, ref.condition, words) for ref, words in plan.awaited.edges]


def write_parts(folder: JobFolder, plan: SubmissionPlan, *, replace: bool = False) -> None:
    """Write what a job consists of into its folder.

    Raises:
        ScriptError: it cannot be written.
    """
    try:
        if plan.environment is not None:
            folder.write(ENVIRONMENT, plan.environment, sync=True, replace=replace)
        if plan.payload is not None:
            folder.write(PAYLOAD, plan.payload, mode=0o700, sync=True, replace=replace)
        folder.write(SCRIPT, os.fsencode(plan.script), mode=0o700, sync=True, replace=replace)
    except OSError as error:
        raise ScriptError(
            f"cannot write the job's files in {str(folder.path)!r}: {error.strerror}", path=folder.path
        ) from error
