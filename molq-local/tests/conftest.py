"""A queue in a folder of its own, driven through the real hooks with real processes."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import HealthCheck, settings

from molq.backend import (
    CancelReceipt,
    Duration,
    JobReport,
    JobResources,
    JobScheduling,
    JobState,
    SubmitRequest,
    SubmittedJob,
)
from molq_local import LocalSchedulerOptions, hooks, processes

# A busy machine takes its time for each example.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

T = TypeVar("T")

BODY = """\
cd / || exit 1
if [ "${{MOLQ_CLAIMED-}}" != {tag} ]; then ln -s "$MOLQ_LOCAL_ID" {folder}/claim || exit 0; fi
echo "$MOLQ_LOCAL_ID $$ here 0" > {folder}/start
{command}
code=$?
echo $code > {folder}/exit
exit $code
"""


@attrs.frozen
class PlainCommands:
    """What hooks get of core, as far as the local queue uses it."""

    environment: Mapping[str, str] = attrs.field(factory=lambda: dict(os.environ))


def until(question: Callable[[], T], seconds: float = 60.0) -> T:
    """Return the first answer that is true; fail if there is none in time."""
    give_up_at = time.monotonic() + seconds
    while True:
        if answer := question():
            return answer
        if time.monotonic() > give_up_at:
            pytest.fail(f"not true within {seconds} seconds; the last answer was {answer!r}")
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process, zombies left out."""
    process = processes.read_process(pid)
    return process is not None and not process.is_over


class LocalQueue:
    """A queue and the jobs that were submitted to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.commands = PlainCommands()
        self.options = LocalSchedulerOptions(
            state_dir=self.state_dir, max_concurrent=2, cpu_count=4, kill_grace=Duration(5), idle_seconds=0.3
        )
        self.jobs: dict[str, SubmittedJob] = {}
        self.requests: list[SubmitRequest[LocalSchedulerOptions]] = []

    until = staticmethod(until)
    is_alive = staticmethod(is_alive)

    def set_environment(self, variables: dict[str, str]) -> None:
        """Submit from now on with this environment."""
        self.commands = PlainCommands(variables)

    def request(self, command: str = "true", **changes: Any) -> SubmitRequest[LocalSchedulerOptions]:
        """Return a request whose script runs ``command``; resources and scheduling go by their fields' names."""
        tag = str(uuid.uuid4())
        folder = self.folder / "jobs" / tag
        folder.mkdir(parents=True, mode=0o700)
        resources = {f.name: changes.pop(f.name) for f in attrs.fields(JobResources) if f.name in changes}
        scheduling = {f.name: changes.pop(f.name) for f in attrs.fields(JobScheduling) if f.name in changes}
        fields: dict[str, Any] = {
            "job_id": tag,
            "job_name": "a job",
            "job_dir": folder,
            "body": BODY.format(tag=tag, folder=shlex.quote(str(folder)), command=command),
            "cwd": Path("/"),
            "stdout_path": folder / "stdout.log",
            "stderr_path": folder / "stderr.log",
            "resources": JobResources(**resources),
            "scheduling": JobScheduling(**scheduling),
            "dependency": None,
            "options": self.options,
        }
        request = SubmitRequest(**(fields | changes))
        (folder / "script").write_text(hooks.molq_render_script(request))
        self.requests.append(request)
        return request

    def submit(self, command: str = "true", **changes: Any) -> SubmittedJob:
        """Submit a job that runs ``command``."""
        return self.submit_request(self.request(command, **changes))

    def submit_request(self, request: SubmitRequest[LocalSchedulerOptions]) -> SubmittedJob:
        """Submit this request."""
        receipt = hooks.molq_submit_job(request.job_dir / "script", request, self.commands)
        return self.submitted(request, receipt.scheduler_job_id)

    def submitted(self, request: SubmitRequest[LocalSchedulerOptions], number: str) -> SubmittedJob:
        """Return the job that the request became."""
        job = SubmittedJob(
            job_id=request.job_id, scheduler_job_id=number, job_dir=request.job_dir, submitted_at=time.time()
        )
        self.jobs[number] = job
        return job

    def poll(self, *jobs: SubmittedJob) -> tuple[JobReport, ...]:
        """Poll for the jobs."""
        return hooks.molq_poll_jobs(jobs, self.options, self.commands).reports

    def report(self, job: SubmittedJob) -> JobReport:
        """Return the report of one job."""
        (report,) = self.poll(job)
        return report

    def state(self, job: SubmittedJob) -> JobState | None:
        """Return the state of one job."""
        return self.report(job).state

    def wait_for_start(self, job: SubmittedJob) -> int:
        """Wait until the job's own command is about to run, and return the pid of its script."""
        start = job.job_dir / "start"
        until(lambda: start.exists() and start.read_text().endswith("\n"))
        until(lambda: self.state(job) is not JobState.QUEUED)
        return int(start.read_text().split()[1])

    def wait_for_end(self, job: SubmittedJob) -> JobReport:
        """Wait until the job is over."""

        def ended() -> JobReport | None:
            report = self.report(job)
            return report if report.state is not None and report.state.is_terminal else None

        return until(ended)  # type: ignore[return-value]

    def cancel(self, *jobs: SubmittedJob) -> tuple[CancelReceipt, ...]:
        """Cancel the jobs."""
        return hooks.molq_cancel_jobs(jobs, self.options, self.commands)

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Run a statement on the queue's file."""
        with contextlib.closing(sqlite3.connect(self.state_dir / "queue.db", timeout=60)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def agent(self) -> int:
        """Return the pid of the agent; 0 if there is none."""
        try:
            pid = int((self.state_dir / "agent.lock").read_text())
        except (OSError, ValueError):
            return 0
        return pid if is_alive(pid) else 0

    def kill_agent(self) -> None:
        """End the agent the hard way, and wait until it is gone."""
        pid = until(self.agent)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid))

    def log(self) -> str:
        """Return the agent's log."""
        return (self.state_dir / "agent.log").read_text()

    def processes(self) -> list[int]:
        """Return the living processes of all jobs that were ever requested here."""
        tags = {request.job_id.encode() for request in self.requests}
        table = processes.ProcessTable()
        return [pid for tag in tags for pid in table.family(tag, None, {})]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[LocalQueue]:
    queue = LocalQueue(tmp_path)
    yield queue

    if pid := queue.agent():
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid))
    left = queue.processes()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "processes of jobs were left behind"
