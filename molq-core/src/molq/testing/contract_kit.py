"""Give the contract's tests what they share: a cluster to drive, and jobs submitted as molq does."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import attrs
import pytest

from molq.backend import (
    AnyRequest,
    JobReport,
    JobResources,
    JobScheduling,
    JobState,
    PollAnswer,
    SchedulerOptions,
    SubmitReceipt,
    SubmitRequest,
    SubmittedJob,
)
from molq.commands import SystemCommands
from molq.discovery import load_backend
from molq.job_folder import SCRIPT, JobFolder, JobPlace
from molq.job_script import ENVIRONMENT, JobLayout, render_body, render_environment
from molq.loaded_backend import Backend

MOLQS_OWN = frozenset({JobState.CREATED, JobState.SUBMITTED, JobState.LOST})
"""States that no scheduler has a word for."""


class Cluster(Protocol):
    """What a backend's tests give the contract: a scheduler, fake or real.

    A fake one is also driven by the methods that the contract names when it drives it, such as ``start(job_id)``,
    ``finish(job_id, exit_code)``, ``time_out(job_id)``, ``go_down()``; a test that needs one that a cluster does not
    have is skipped. One whose jobs do at once what they do at all may say so by ``patience = 0.0``: the seconds for
    which tests wait for a state, 30 by default.
    """

    options: SchedulerOptions

    def run(self, job_id: str) -> object:
        """Bring a waiting job to its end by running its script, or wait until the scheduler has done so."""


@attrs.frozen(kw_only=True)
class Submitted:
    """A job that was submitted for a test.

    Attributes:
        request: what was asked for.
        job: the job, as polls ask for it.
    """

    request: AnyRequest
    job: SubmittedJob

    @property
    def id(self) -> str:
        """The scheduler's id."""
        return self.job.scheduler_job_id


class ContractKit:
    """The fixtures and helpers of the contract.

    Attributes:
        scheduler: the name that users type; set by the subclass.
        hostile_variables: variables that a user may have set, and that must not change how the backend works.
        refused: scheduling that the scheduler refuses at once.
        words: the scheduler's words for states -> what they mean; ``set_state`` shows each of them to the backend.
        cancels_one_by_one: whether each job is cancelled by a command of its own, since the scheduler takes no more.
    """

    scheduler: ClassVar[str]
    hostile_variables: ClassVar[Mapping[str, str]] = {}
    refused: ClassVar[JobScheduling] = JobScheduling(queue="molq-no-such-queue")
    words: ClassVar[Mapping[str, JobState]] = {}
    cancels_one_by_one: ClassVar[bool] = False

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend, loaded as molq loads it."""
        return load_backend(self.scheduler)

    @pytest.fixture
    def jobs_dir(self, tmp_path: Path) -> Path:
        """Where job folders are made."""
        path = tmp_path / "jobs"
        path.mkdir()
        return path

    def commands(self, backend: Backend, **more: str) -> SystemCommands:
        """Return what runs the scheduler's programs, in an environment with ``more`` variables."""
        return SystemCommands(backend.description, {**os.environ, **more})

    def request(
        self,
        backend: Backend,
        cluster: Cluster,
        jobs_dir: Path,
        *,
        command: Sequence[str] = ("true",),
        job_name: str = "contract",
        resources: JobResources | None = None,
        scheduling: JobScheduling | None = None,
        dependency: str | None = None,
        env: dict[str, str] | None = None,
    ) -> AnyRequest:
        """Return a request as molq makes it."""
        job_id = str(uuid.uuid4())
        job_dir = jobs_dir / job_id
        scheduling = scheduling or JobScheduling()
        layout = JobLayout(
            job_id=job_id,
            job_dir=job_dir,
            cwd=jobs_dir,
            has_environment=bool(env),
            is_array=scheduling.array_spec is not None,
        )
        return SubmitRequest(
            job_id=job_id,
            job_name=job_name,
            job_dir=job_dir,
            body=render_body(layout, command, backend.description),
            cwd=jobs_dir,
            stdout_path=job_dir / "stdout.log",
            stderr_path=job_dir / "stderr.log",
            resources=resources or JobResources(),
            scheduling=scheduling,
            dependency=dependency or scheduling.dependency,
            options=cluster.options,
        )

    def submit(
        self,
        backend: Backend,
        cluster: Cluster,
        jobs_dir: Path,
        *,
        variables: Mapping[str, str] | None = None,
        env: dict[str, str] | None = None,
        **fields: Any,
    ) -> Submitted:
        """Submit a job as molq does.

        Args:
            backend: the backend.
            cluster: where to.
            jobs_dir: where its folder is made.
            variables: variables of the submitting process, beside those of the tests.
            env: variables for the job.
            fields: further arguments of ``request``.
        """
        request = self.request(backend, cluster, jobs_dir, env=env, **fields)
        receipt = self.send(backend, request, variables=variables, env=env)
        return self.submitted(request, receipt)

    def submitted(self, request: AnyRequest, receipt: SubmitReceipt) -> Submitted:
        """Return a job as polls ask for it."""
        job = SubmittedJob(
            job_id=request.job_id,
            scheduler_job_id=receipt.scheduler_job_id,
            job_dir=request.job_dir,
            submitted_at=time.time(),
            is_array=request.scheduling.array_spec is not None,
            array_spec=request.scheduling.array_spec,
        )
        return Submitted(request=request, job=job)

    def send(
        self,
        backend: Backend,
        request: AnyRequest,
        *,
        variables: Mapping[str, str] | None = None,
        env: dict[str, str] | None = None,
    ) -> SubmitReceipt:
        """Write the job's folder and submit it."""
        folder = JobFolder.create(JobPlace(request.job_dir.parent), request.job_id, time.time())
        if env:
            folder.write(ENVIRONMENT, os.fsencode(render_environment(env)))
        folder.write(SCRIPT, os.fsencode(backend.render_script(request)), mode=0o700)
        environment = {**os.environ, **(variables or {})}
        with folder.submit_lock() as lock:
            commands = SystemCommands(backend.description, environment, folder=folder, lock=lock)
            return backend.submit_job(folder.path / SCRIPT, request, commands)

    def poll(self, backend: Backend, cluster: Cluster, *jobs: Submitted, **variables: str) -> PollAnswer:
        """Ask about jobs."""
        commands = self.commands(backend, **variables)
        answer = backend.poll_jobs(tuple(one.job for one in jobs), cluster.options, commands)
        judged = [report for report in answer.reports if report.state in MOLQS_OWN]
        assert not judged, f"only molq may say so of a job, from all evidence: {judged}"
        return answer

    def report(self, backend: Backend, cluster: Cluster, job: Submitted) -> JobReport:
        """Ask about one job, which must be known."""
        answer = self.poll(backend, cluster, job)
        assert len(answer.reports) == 1, f"the job is not reported: {answer}"
        return answer.reports[0]

    def drive(self, cluster: Cluster, what: str, *arguments: object, **options: object) -> None:
        """Let something happen on the cluster, or skip the test if this cluster cannot be driven so."""
        method = getattr(cluster, what, None)
        if method is None:
            pytest.skip(f"{type(cluster).__name__} has no {what}()")
        method(*arguments, **options)

    def requires(self, cluster: Cluster, *happenings: str) -> None:
        """Skip the test, before it does anything, if this cluster cannot be driven so."""
        for what in happenings:
            if not hasattr(cluster, what):
                pytest.skip(f"{type(cluster).__name__} has no {what}()")

    def counted(self, cluster: Cluster) -> int:
        """Return how many programs the cluster has been asked by so far; skip if it does not count them."""
        if not hasattr(cluster, "commands_run"):
            pytest.skip(f"{type(cluster).__name__} does not count commands")
        return len(cluster.commands_run)

    def needs(self, backend: Backend, *fields: str) -> None:
        """Skip the test if the scheduler cannot express a field."""
        for field in fields:
            if field in backend.description.unsupported:
                pytest.skip(f"{backend.description.label} has no {field}")

    def no_end_is_claimed(self, answer: PollAnswer) -> None:
        """Check that no job is said to be over."""
        ended = [report for report in answer.reports if report.state is not None and report.state.is_terminal]
        assert not ended, f"jobs are said to be over without evidence: {ended}"

    def wait_for(
        self, backend: Backend, cluster: Cluster, job: Submitted, *states: JobState, timeout: float = 30.0
    ) -> JobReport:
        """Ask until a job has one of ``states``: a fake cluster says so at once, a real one in its time."""
        until = time.monotonic() + getattr(cluster, "patience", timeout)
        while True:
            report = self.report(backend, cluster, job)
            if report.state in states:
                return report
            assert report.state is None or not report.state.is_terminal, f"the job never was {states}: {report}"
            assert time.monotonic() < until, f"the job was not {states} in time: {report}"
            time.sleep(0.1)
