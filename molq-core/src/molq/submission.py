"""Submit one job at most once: intent first, then the scheduler, then what it said."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from molq.backend import SchedulerError, SubmitDeferred, SubmitReceipt, SubmitRejected
from molq.commands import SystemCommands
from molq.errors import CommandNotStartedError, ScriptError, StoreError
from molq.job_folder import SCRIPT, JobFolder
from molq.job_script import ENVIRONMENT, PAYLOAD, render_environment
from molq.job_spec import JobSpec
from molq.job_state import JobState
from molq.records import JobDependency, JobRecord
from molq.requests import display_command
from molq.snapshots import request_snapshot
from molq.store import JobStore
from molq.submission_plan import SubmissionPlan, Target, plan_submission, refused
from molq.tracking import Change, TrackedJob

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
        """Submit a job and return it as it is recorded: SUBMITTED, or CREATED if the scheduler's answer is not known.

        Raises:
            ConfigError, CommandError, ScriptError: the request cannot be carried out; nothing was done.
            JobNotFoundError: there is no such upstream job; nothing was done.
            SubmitError: the scheduler refused it; the refusal is recorded.
            StoreError: it could not be recorded; nothing was submitted.
        """
        backend = self.target.backend
        job_id = _new_id()
        plan = plan_submission(self.target, spec, job_id, self._upstreams(spec))
        folder = JobFolder.create(plan.place, job_id, self.clock())
        with folder.submit_lock() as lock:
            job = self._prepare(folder, plan)
            commands = SystemCommands(backend.description, self.environment, folder=folder, lock=lock)
            try:
                receipt = backend.submit_job(folder.path / SCRIPT, plan.request, commands)
            except (SubmitRejected, SubmitDeferred, CommandNotStartedError) as error:
                self._record_refusal(job, error)
                raise refused(backend, error, job_id) from error
            except SchedulerError as error:
                return self._record_doubt(job, error)
            return self._record_receipt(job, receipt)

    def preview(self, spec: JobSpec) -> str:
        """Return the script that ``submit`` would send, with a job id of zeros. Nothing is written."""
        return plan_submission(self.target, spec, _NO_ID, self._upstreams(spec)).script

    def _upstreams(self, spec: JobSpec) -> dict[str, JobRecord]:
        return {ref.job_id: self.store.job(ref.job_id) for ref in spec.scheduling.dependencies}

    def _prepare(self, folder: JobFolder, plan: SubmissionPlan) -> TrackedJob:
        """Put the job's files and the intent to submit it on disk, or leave nothing behind."""
        try:
            _write_parts(folder, plan)
            return self._record_intent(plan)
        except BaseException:
            if self._is_surely_unrecorded(plan.request.job_id):
                import shutil

                shutil.rmtree(folder.path, ignore_errors=True)
            raise

    def _is_surely_unrecorded(self, job_id: str) -> bool:
        try:
            return not self.store.states([job_id])
        except StoreError:
            return False

    def _record_intent(self, plan: SubmissionPlan) -> TrackedJob:
        spec, request = plan.spec, plan.request
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
            created_at=self.clock(),
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
            is_array=spec.scheduling.array_spec is not None,
            dependencies=[
                JobDependency(request.job_id, ref.job_id, ref.condition, words) for ref, words in plan.awaited.edges
            ],
            reason="recorded",
        )

    def _record_receipt(self, job: TrackedJob, receipt: SubmitReceipt) -> TrackedJob:
        try:
            while job.scheduler_job_id is None:
                # Again if somebody else wrote the row meanwhile, by a request to cancel the job.
                job = self._record(
                    job,
                    "the scheduler accepted it",
                    state=JobState.SUBMITTED if job.state is JobState.CREATED else job.state,
                    scheduler_job_id=receipt.scheduler_job_id,
                    submitted_at=self.clock(),
                )
        except StoreError as error:
            raise StoreError(
                f"{error}. The scheduler has accepted the job as {receipt.scheduler_job_id}: do not submit it again, "
                "molq adopts it once the database can be written",
                path=error.path,
            ) from error
        return job

    def _record_refusal(self, job: TrackedJob, error: Exception) -> None:
        self._record(
            job,
            "the scheduler refused it",
            state=JobState.FAILED,
            cause="submit",
            failure_reason=str(error),
            finished_at=self.clock(),
        )

    def _record_doubt(self, job: TrackedJob, error: Exception) -> TrackedJob:
        return self._record(
            job, "", reason=f"submission unconfirmed ({error}); molq will adopt the job if the scheduler has it"
        )

    def _record(self, job: TrackedJob, learned_from: str, **changes: Any) -> TrackedJob:
        change = Change(old=job, new=attrs.evolve(job, **changes), reason=learned_from)
        if self.store.apply([change], self.clock()):
            return attrs.evolve(change.new, revision=job.revision + 1)
        # Another process has written the row meanwhile, so that has the last word.
        return self.store.tracked_job(job.job_id)


def _new_id() -> str:
    # Slow to import, so not before the first submission.
    import uuid

    return str(uuid.uuid4())


def _write_parts(folder: JobFolder, plan: SubmissionPlan) -> None:
    variables = plan.spec.execution.env
    try:
        if variables:
            folder.write(ENVIRONMENT, os.fsencode(render_environment(variables)))
        if plan.payload is not None:
            folder.write(PAYLOAD, plan.payload, mode=0o700, sync=True)
        folder.write(SCRIPT, os.fsencode(plan.script), mode=0o700, sync=True)
    except OSError as error:
        raise ScriptError(
            f"cannot write the job's files in {str(folder.path)!r}: {error.strerror}", path=folder.path
        ) from error
