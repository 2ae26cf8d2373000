"""What the tests of the engine share: one cluster in memory, a clock that the test turns, and nothing that sleeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from molq.backend import Commands, SchedulerOptions
from molq.cancellation import cancel
from molq.commands import SystemCommands
from molq.events import EventBus, EventTail
from molq.job_script import EXIT, START
from molq.job_spec import JobExecution, JobResources, JobScheduling, JobSpec, Script
from molq.job_state import JobState
from molq.loaded_backend import Backend
from molq.policies import RetryPolicy
from molq.polling import Poller
from molq.records import JobRecord
from molq.store import JobStore
from molq.submission import Submitter
from molq.submission_plan import Target
from molq.testing.memory import MemoryOptions, MemoryScheduler
from molq.tracking import TrackedJob
from molq.upkeep import Upkeep
from molq.waiting import Waiter

NOON = 1_750_000_000.0


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
        return bus, EventTail(self.store, "c", bus)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster(tmp_path: Path, clock: Clock) -> Iterator[Cluster]:
    scheduler = MemoryScheduler()
    folder = tmp_path / "work"
    folder.mkdir()
    store = JobStore(tmp_path / "home" / "jobs.db")
    yield Cluster(scheduler, scheduler.backend(), store, clock, folder)
    store.close()
