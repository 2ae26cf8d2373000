"""Work out all of a submission that has no effect: files to read, paths, the script, what it waits for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import attrs

from molq.backend import AnyRequest, SchedulerOptions, SubmitRejected, SubmitRequest
from molq.dependencies import ResolvedDependencies, resolve
from molq.errors import ScriptError, SubmitError
from molq.job_folder import STDERR, STDOUT, JobPlace
from molq.job_script import PAYLOAD, JobLayout, payload_command, render_body, render_environment
from molq.job_spec import JobSpec
from molq.loaded_backend import Backend
from molq.paths import absolute, expanded
from molq.requests import check_supported, default_name
from molq.tracking import Family


@attrs.frozen(kw_only=True)
class Target:
    """Where jobs are submitted to.

    Attributes:
        backend: the scheduler.
        options: the backend's options.
        cluster_name: the cluster.
        jobs_dir: where job folders are made; None for ``.molq/jobs`` in the job's working directory.
    """

    backend: Backend
    options: SchedulerOptions
    cluster_name: str
    jobs_dir: str | os.PathLike[str] | None


@attrs.frozen(kw_only=True)
class SubmissionPlan:
    """A submission that is ready to be carried out.

    Attributes:
        spec: the whole request of the user.
        place: where the job's folder is made.
        payload: the script to write beside the job's own; None if the command stands in that one.
        environment: shell code that sets the job's variables; None if it has none of its own.
        awaited: what the job waits for.
        request: what the backend is given.
        script: what the scheduler is given.
    """

    spec: JobSpec
    place: JobPlace
    payload: bytes | None
    environment: bytes | None
    awaited: ResolvedDependencies
    request: AnyRequest
    script: str


def plan_submission(
    target: Target,
    spec: JobSpec,
    job_id: str,
    upstreams: Mapping[str, Family],
    *,
    place: JobPlace | None = None,
    environment: bytes | None = None,
) -> SubmissionPlan:
    """Return the plan for submitting ``spec`` as ``job_id``. Files are read, and nothing is written.

    Args:
        target: where it is submitted to.
        spec: the whole request of the user.
        job_id: molq's id of the job.
        upstreams: the jobs that it waits for, by the ids that the user gave.
        place: where its folder is made; by default as the target says.
        environment: shell code that sets its variables; by default made from the request.

    Raises:
        UnsupportedFieldsError: the scheduler cannot express the request.
        ScriptError: the script cannot be read.
        ConfigError: an upstream job is on another cluster, or a path leads nowhere.
        SubmitError: the backend refuses it, or it could never run.
    """
    backend = target.backend
    check_supported(backend, spec)
    payload = _read_payload(spec)
    if environment is None and spec.execution.env:
        environment = os.fsencode(render_environment(spec.execution.env))
    awaited = resolve(spec.scheduling.dependencies, upstreams, backend, target.cluster_name)
    cwd = _working_directory(spec)
    place = place or JobPlace.choose(target.jobs_dir, cwd)
    job_dir = place.path / job_id
    execution = spec.execution
    layout = JobLayout(
        job_id=job_id,
        job_dir=job_dir,
        cwd=cwd,
        has_environment=environment is not None,
        is_array=spec.scheduling.array_spec is not None,
    )
    request = SubmitRequest(
        job_id=job_id,
        job_name=execution.job_name or default_name(spec),
        job_dir=job_dir,
        body=_body(layout, spec, payload, backend),
        cwd=cwd,
        stdout_path=cwd / expanded(execution.output_file or job_dir / STDOUT, "output_file"),
        stderr_path=cwd / expanded(execution.error_file or job_dir / STDERR, "error_file"),
        resources=spec.resources,
        scheduling=spec.scheduling,
        dependency=spec.scheduling.dependency or awaited.expression,
        options=target.options,
    )
    try:
        script = backend.render_script(request)
    except SubmitRejected as error:
        raise refused(backend, error, None) from error
    return SubmissionPlan(
        spec=spec,
        place=place,
        payload=payload,
        environment=environment,
        awaited=awaited,
        request=request,
        script=script,
    )


def refused(backend: Backend, error: Exception, job_id: str | None) -> SubmitError:
    """Return the error for a job that the scheduler surely did not take, with its own words."""
    return SubmitError(
        f"{backend.description.label} did not take the job: {error}",
        scheduler=backend.scheduler,
        job_id=job_id,
        reply=str(error),
    )


def _body(layout: JobLayout, spec: JobSpec, payload: bytes | None, backend: Backend) -> str:
    command = spec.argv if payload is None else payload_command(payload, layout.job_dir / PAYLOAD)
    assert command is not None
    return render_body(layout, command, backend.description)


def _read_payload(spec: JobSpec) -> bytes | None:
    if spec.command is not None:
        return os.fsencode(spec.command + "\n")
    if spec.argv is not None:
        return _payload_of_argv(spec.argv)
    assert spec.script is not None
    path = spec.script.file_path
    if path is None:
        return os.fsencode(spec.script.text or "")
    try:
        content = expanded(path, "the script").read_bytes()
    except OSError as error:
        raise ScriptError(f"cannot read the script {str(path)!r}: {error.strerror}", path=path) from error
    if not content.strip():
        raise ScriptError(f"the script {str(path)!r} is empty", path=path)
    return content


def _payload_of_argv(argv: tuple[str, ...]) -> bytes | None:
    """Return a script for an ``argv`` that cannot stand in the job's own: Slurm refuses DOS line breaks there."""
    if not any("\r" in part for part in argv):
        return None
    return os.fsencode(f"#!/bin/sh\nexec {shlex.join(argv)}\n")


def _working_directory(spec: JobSpec) -> Path:
    return Path(os.path.normpath(absolute(spec.execution.cwd or ".", "cwd")))
