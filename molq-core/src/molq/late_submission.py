"""Submit a job that has waited in molq: for a back-off to be over, or for others to end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from molq.backend import SchedulerError
from molq.errors import BackendError, ConfigError, JobNotFoundError, ScriptError, StoreError, SubmitError
from molq.job_files import UnreadableFilesError, check_is_missing
from molq.job_folder import JobFolder, JobPlace
from molq.job_script import ENVIRONMENT, PAYLOAD
from molq.job_spec import JobSpec
from molq.snapshots import restore_options, restore_spec
from molq.store import JobStore
from molq.submission import AGAIN_SECONDS, Submitter, edges_of, write_parts
from molq.submission_plan import SubmissionPlan, plan_submission
from molq.submitter_environment import kept_in
from molq.tracking import Change, TrackedJob


def submit_waiting(submitter: Submitter, job: TrackedJob) -> bool:
    """Submit a job that waits in molq, unless something holds it there.

    What goes wrong is recorded with the job.

    Returns:
        False if another process has something to do with it right now, so that one should look again.

    Raises:
        StoreError: something could not be recorded.
    """
    try:
        own_submitter, plan = _planned(submitter, job)
    except (BackendError, SchedulerError, StoreError, UnreadableFilesError) as error:
        postpone(submitter, job, f"could not be submitted yet: {error}")
    except (ConfigError, ScriptError, SubmitError, JobNotFoundError) as error:
        if _is_visible_here(submitter, job):
            submitter.record_refusal(job, error)
        else:
            postpone(submitter, job, f"could not be submitted from this machine: {error}")
    else:
        if plan.awaited.held is not None:
            go_on_waiting(submitter.store, [job], {job.job_id: plan.awaited.held}, submitter.clock())
        else:
            return _submit(own_submitter, job, plan)
    return True


def postpone(submitter: Submitter, job: TrackedJob, reason: str) -> None:
    """Let a job wait in molq a little longer, for this reason."""
    now = submitter.clock()
    new = attrs.evolve(job, not_before=now + AGAIN_SECONDS, reason=reason)
    submitter.store.apply([Change(old=job, new=new, reason="")], now)


def _planned(submitter: Submitter, job: TrackedJob) -> tuple[Submitter, SubmissionPlan]:
    """Return how a job is submitted: as it was asked for, by the first attempt's script, and with its environment.

    This process may be a daemon, whose own environment is not the one that the job was meant for.
    """
    store = submitter.store
    record, request = store.job(job.job_id), store.request(job.job_id)
    source = Path(store.job(record.root_job_id).job_dir)
    spec = _without_bygones(store, job, restore_spec(request, record, source / PAYLOAD))
    options = restore_options(request, submitter.target.backend.description.options_class)
    target = attrs.evolve(submitter.target, options=options)
    plan = plan_submission(
        target,
        spec,
        job.job_id,
        submitter.upstreams(spec),
        place=JobPlace.of(job.job_dir),
        environment=_environment(source) if request.get("execution", {}).get("env_names") else None,
    )
    kept = kept_in(source)
    return attrs.evolve(submitter, target=target, environment=submitter.environment if kept is None else kept), plan


def _without_bygones(store: JobStore, job: TrackedJob, spec: JobSpec) -> JobSpec:
    """Leave out jobs whose records are gone, if an earlier attempt has started and so was right to."""
    refs = spec.scheduling.dependencies
    upstreams = store.families([ref.job_id for ref in refs])
    if (
        len(upstreams) == len({ref.job_id for ref in refs})
        or store.families([job.job_id])[job.job_id].started_at is None
    ):
        return spec
    left = tuple(ref for ref in refs if ref.job_id in upstreams)
    return attrs.evolve(spec, scheduling=attrs.evolve(spec.scheduling, dependencies=left))


def _environment(source: Path) -> bytes:
    path = source / ENVIRONMENT
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        check_is_missing(error)
        raise ScriptError(f"cannot read the job's variables in {str(path)!r}: {error.strerror}", path=path) from error


def _submit(submitter: Submitter, job: TrackedJob, plan: SubmissionPlan) -> bool:
    now = submitter.clock()
    try:
        folder = JobFolder.reopen(plan.place, job.job_id, now)
        with folder.submit_lock(wait=False) as lock:
            # The lock comes first: who sees the claim then sees too whether its maker still lives.
            claimed = submitter.store.claim(job, now)
            if claimed is None:
                return True
            try:
                folder.forget_submission()
                write_parts(folder, plan, replace=True)
            except (ScriptError, OSError) as error:
                submitter.put_back(claimed, f"could not be submitted yet: {error}")
                return True
            # What is satisfied is told once, by the edges of the first attempt.
            edges = edges_of(plan)
            submitter.store.set_edges(e for e in edges if e.scheduler_dependency is not None or job.attempt == 1)
            with suppress(SubmitError):  # it is recorded
                submitter.send(folder, lock, claimed, plan)
    except BlockingIOError:
        return False  # another process is at it, or looks whether one is
    except ScriptError as error:
        postpone(submitter, job, f"could not be submitted yet: {error}")
    return True


def _is_visible_here(submitter: Submitter, job: TrackedJob) -> bool:
    """Tell whether this machine sees the files that the job was to run with, if they are there at all."""
    return os.path.isdir(submitter.store.job(job.job_id).cwd)


def go_on_waiting(store: JobStore, jobs: Iterable[TrackedJob], reasons: Mapping[str, str], now: float) -> None:
    """Record why jobs that wait in molq have to go on doing so, where that is new."""
    changes = [(job, attrs.evolve(job, reason=reasons[job.job_id])) for job in jobs]
    store.apply([Change(old=old, new=new, reason="") for old, new in changes if old != new], now)
