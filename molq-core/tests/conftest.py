"""What the tests of the engine share: one cluster in memory, a clock that the test turns, and nothing that sleeps."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

import attrs
import pytest
from hypothesis import HealthCheck, settings

from molq.backend import Commands, SchedulerOptions
from molq.cancellation import cancel
from molq.commands import SystemCommands
from molq.events import EventBus, EventTail
from molq.job_folder import JobFolder, JobPlace
from molq.job_script import EXIT, START
from molq.job_spec import JobExecution, JobResources, JobScheduling, JobSpec, Script
from molq.job_state import JobState
from molq.loaded_backend import Backend
from molq.policies import RetryPolicy
from molq.polling import Poller
from molq.records import JobDependency, JobRecord
from molq.store import JobStore
from molq.submission import Submitter
from molq.submission_plan import Target
from molq.testing.memory import MemoryOptions, MemoryScheduler
from molq.tracking import Change, TrackedJob
from molq.upkeep import Upkeep
from molq.waiting import Waiter

# A busy machine takes its time for each example.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

NOON = 1_750_000_000.0


@pytest.fixture(autouse=True, scope="session")
def signals_as_in_a_terminal() -> None:
    """Ignore no signal, as what is started in the background does: programs under test would inherit that."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


class Clock:
    """A clock that stands still until the test turns it, or somebody sleeps."""

    def __init__(self) -> None:
        self.now = NOON
        self.on_sleep: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def turn(self, seconds: float) -> None:
        """Let time pass, or go back."""
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        """Pass the time that somebody sleeps, in which other things happen."""
        self.now += max(seconds, 0.001)
        self.on_sleep()


@attrs.define
class Cluster:
    """One scheduler in memory, and one process of molq that uses it."""

    scheduler: MemoryScheduler
    backend: Backend
    store: JobStore
    clock: Clock
    folder: Path
    options: SchedulerOptions = attrs.field(factory=MemoryOptions)

    @property
    def submitter(self) -> Submitter:
        return Submitter(
            store=self.store,
            target=Target(backend=self.backend, options=self.options, cluster_name="c", jobs_dir=None),
            profile_name=None, environment={"PATH": "/usr/bin:/bin"}, clock=self.clock,
        )  # fmt: skip

    @property
    def commands(self) -> Commands:
        return SystemCommands(self.backend.description, {"PATH": "/usr/bin:/bin"})

    @property
    def poller(self) -> Poller:
        return self.poller_with(self.store)

    def poller_with(self, store: JobStore) -> Poller:
        return Poller(
            store=store, backend=self.backend, options=self.options, commands=self.commands,
            cluster_name="c", clock=self.clock, sleep=self.clock.sleep,
        )  # fmt: skip

    def waiter(self, on_step: Callable[[], None] = lambda: None, poller: Poller | None = None) -> Waiter:
        return Waiter(poller=poller or self.poller, on_step=on_step, monotonic=self.clock)

    def another_process(self) -> Cluster:
        """Return the same cluster as another process sees it, with its own connection."""
        return attrs.evolve(self, store=JobStore(self.store.path))

    def spec(self, *argv: str, **parts: Any) -> JobSpec:
        """Return a request; ``parts`` are fields of the request's parts, or a command or a script."""
        kinds = (JobResources, JobScheduling, JobExecution)
        names = [{field.name for field in attrs.fields(kind)} for kind in kinds]
        built = [
            kind(**{k: v for k, v in parts.items() if k in wanted}) for kind, wanted in zip(kinds, names, strict=True)
        ]
        execution = built[2] if built[2].cwd else attrs.evolve(built[2], cwd=self.folder)
        command, script = parts.get("command"), parts.get("script")
        assert script is None or isinstance(script, Script)
        return JobSpec(
            argv=None if command or script else argv or ("true",), command=command, script=script,
            resources=built[0], scheduling=built[1], execution=execution, metadata=parts.get("metadata", {}),
            retry=parts.get("retry", RetryPolicy()),
        )  # fmt: skip

    def submit(self, *argv: str, **parts: Any) -> TrackedJob:
        return self.submitter.submit(self.spec(*argv, **parts))

    def cancel(self, job_id: str) -> None:
        cancel(self.poller, job_id)
        self.keep_up()

    def refresh(self) -> None:
        self.poller.refresh()
        self.keep_up()

    def keep_up(self) -> None:
        """Do what follows from what was learned, as a process does that has seen none of it yet."""
        Upkeep(poller=self.poller, submitter=self.submitter).run()

    def look(self) -> bool:
        return self.poller.look(self.store.open_jobs("c", "memory", self.clock()))

    def state(self, job: TrackedJob) -> JobState:
        return self.store.tracked_job(job.job_id).state

    def record(self, job: TrackedJob) -> JobRecord:
        return self.store.job(job.job_id)

    def steps(self, job: TrackedJob) -> list[str]:
        """Return the names of the states that the job went through."""
        return [transition.new_state.name for transition in self.store.transitions(job.job_id)]

    def start(self, job: TrackedJob, *, restarts: int = 0, at: float | None = None) -> None:
        """Have the job's script start now, though the scheduler's listing may not say so yet."""
        when = self.clock() if at is None else at
        self.scheduler.write_start(self._id(job), restarts=restarts, at=when)

    def end(
        self, job: TrackedJob, code: int, *, at: float | None = None, reason: str = "", element: int | None = None
    ) -> None:
        """Have the job's command end now, though the scheduler's listing may not say so yet."""
        when = self.clock() if at is None else at
        self.scheduler.write_exit(self._id(job), code, reason, at=when, element=element)

    def elements(self, job: TrackedJob) -> dict[int, JobState | None]:
        """Return the states of an array's elements as they are recorded."""
        return {e.index: e.state for e in self.store.elements([job.job_id]).get(job.job_id, ())}

    def latest(self, job: TrackedJob) -> TrackedJob:
        """Return the latest attempt of a job."""
        return self.store.tracked_job(self.store.latest_attempt(job.job_id).job_id)

    def say(self, job: TrackedJob, state: JobState | None, **facts: Any) -> None:
        self.scheduler.say(self._id(job), state, **facts)

    def forget(self, job: TrackedJob) -> None:
        self.scheduler.forget(self._id(job))

    def fail_polls(self, *, down: bool = True) -> None:
        self.scheduler.is_down = down

    def files(self, job: TrackedJob) -> set[str]:
        return {path.name for path in Path(job.job_dir).iterdir()} & {EXIT, START}

    def _id(self, job: TrackedJob) -> str:
        scheduler_job_id = self.store.tracked_job(job.job_id).scheduler_job_id or job.scheduler_job_id
        if scheduler_job_id is None:
            (scheduler_job_id,) = (i for i in self.scheduler.ids if self.scheduler.request(i).job_id == job.job_id)
        return scheduler_job_id

    def listen(self) -> tuple[EventBus, EventTail]:
        bus = EventBus()
        return bus, EventTail(self.store, "c", "memory", bus)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def new_cluster(folder: Path, clock: Clock) -> Cluster:
    """Return a cluster whose store and work are in ``folder``."""
    scheduler = MemoryScheduler()
    (folder / "work").mkdir()
    return Cluster(scheduler, scheduler.backend(), JobStore(folder / "home" / "jobs.db"), clock, folder / "work")


@pytest.fixture
def cluster(tmp_path: Path, clock: Clock) -> Iterator[Cluster]:
    cluster = new_cluster(tmp_path, clock)
    yield cluster
    cluster.store.close()


@pytest.fixture
def clusters(tmp_path: Path) -> Callable[[], Cluster]:
    """Return what makes clusters, each in a folder and a time of its own."""
    return lambda: new_cluster(Path(mkdtemp(dir=tmp_path)), Clock())


@attrs.define
class History:
    """Jobs of the past, with their folders, as a store has them. Ages are days before noon."""

    store: JobStore
    cwd: Path

    def job(self, state: JobState = JobState.SUCCEEDED, *, age: float = 100, **facts: Any) -> JobRecord:
        """Record a job that ended ``age`` days ago, or is active if ``state`` says so."""
        job_id = facts.pop("job_id", str(uuid4()))
        edges = [JobDependency(job_id, upstream, "after", None) for upstream in facts.pop("after", ())]
        ended_at = facts.pop("finished_at", NOON - age * 86_400)
        place = JobPlace.choose(facts.pop("jobs_dir", None), self.cwd)
        if facts.pop("with_folder", True):
            JobFolder.create(place, job_id, ended_at - 60).write("stdout.log", b"hello")
        defaults = {
            "job_id": job_id, "root_job_id": job_id, "cluster_name": "c", "scheduler": "memory",
            "state": JobState.CREATED, "cwd": str(self.cwd), "command_type": "argv", "command_display": "true",
            "metadata": {}, "created_at": ended_at - 60, "job_dir": str(place.path / job_id),
            "stdout_path": "/dev/null", "stderr_path": "/dev/null",
        }  # fmt: skip
        record = JobRecord(**(defaults | facts))
        job = self.store.add_job(record, request={}, dependencies=edges, reason="recorded")
        if state is not JobState.CREATED:
            self.become(job, state, ended_at if state.is_terminal else None)
        return self.store.job(job_id)

    def retry(self, of: JobRecord, state: JobState = JobState.SUCCEEDED, **facts: Any) -> JobRecord:
        """Record a further attempt of a job."""
        attempt = facts.pop("attempt", 2)
        return self.job(state, root_job_id=of.root_job_id, attempt=attempt, **facts)

    def become(self, job: TrackedJob, state: JobState, ended_at: float | None = None) -> None:
        """Bring a job into another state."""
        new = attrs.evolve(job, state=state, finished_at=ended_at)
        assert self.store.apply([Change(old=job, new=new, reason="seen")], ended_at or NOON)

    def folders(self) -> set[str]:
        """Return the ids of the jobs whose folders are there."""
        place = self.cwd / ".molq" / "jobs"
        return set(os.listdir(place)) if place.exists() else set()

    def ids(self) -> set[str]:
        """Return the ids of the jobs that are recorded."""
        return {record.job_id for record in self.store.jobs(include_terminal=True)}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    folder = tmp_path / "project"
    folder.mkdir()
    store = JobStore(tmp_path / "home" / "jobs.db")
    yield History(store, folder)
    store.close()
