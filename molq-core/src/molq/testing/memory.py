"""A scheduler in memory, driven by the test: no job runs, and nothing happens by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import SimpleNamespace

import attrs
import pluggy

from molq import hookspecs
from molq.backend import (
    AnyRequest,
    BackendDescription,
    CancelReceipt,
    CompiledDependencies,
    ElementReport,
    FoundJob,
    JobReport,
    JobState,
    PollAnswer,
    SchedulerError,
    SchedulerOptions,
    SubmitReceipt,
    SubmitRejected,
    SubmittedJob,
    SubmitUnconfirmed,
    UpstreamJob,
    hookimpl,
    roll_up,
)
from molq.job_script import CLAIM, EXIT, START
from molq.loaded_backend import Backend


@attrs.frozen(kw_only=True)
class MemoryOptions(SchedulerOptions):
    """Options of the scheduler in memory; it has none that matter."""

    label: str | None = None


@attrs.define(kw_only=True)
class _Job:
    request: AnyRequest
    report: JobReport


class MemoryScheduler:
    """A scheduler that knows what the test tells it.

    Attributes:
        polls: how many times it was asked about jobs.
        updates: the jobs that it was told to wait for something else, each with the expression, in order.
        cancels: the ids that it was asked to cancel, in order.
        is_down: whether every question fails.
        fault: what every question raises, as a faulty backend would.
        loses_replies: whether submissions are taken but not acknowledged.
        rejects: the words with which submissions are refused, if they are.
        refuses_cancels: the words with which cancels are refused, if they are.
        cancels_slowly: whether a job goes on for a while after its cancel was accepted.
        on_submit: is called with each request before it is answered.
        on_question: is called before each question is answered.
    """

    def __init__(self) -> None:
        self.polls = 0
        self.updates: list[tuple[str, str]] = []
        self.cancels: list[str] = []
        self.is_down = False
        self.fault: Exception | None = None
        self.loses_replies = False
        self.rejects: str | None = None
        self.refuses_cancels: str | None = None
        self.cancels_slowly = False
        self.on_submit: Callable[[AnyRequest], None] = lambda _: None
        self.on_question: Callable[[], None] = lambda: None
        self._jobs: dict[str, _Job] = {}
        self._unanswered: set[str] = set()
        self._next_id = 100

    def backend(self, *, without: Collection[str] = (), **more: Callable[..., object]) -> Backend:
        """Return the backend through which molq talks to this scheduler.

        Args:
            without: hooks that it does not implement.
            more: hooks that it implements otherwise.
        """
        plugins = pluggy.PluginManager("molq")
        plugins.add_hookspecs(hookspecs)
        hooks = {**self._hooks(), **{name: hookimpl(hook) for name, hook in more.items()}}
        plugins.register(SimpleNamespace(**{name: hook for name, hook in hooks.items() if name not in without}))
        return Backend("memory", "molq-core (in memory)", plugins)

    @property
    def ids(self) -> list[str]:
        """The ids of the jobs that the scheduler knows."""
        return list(self._jobs)

    def request(self, scheduler_job_id: str) -> AnyRequest:
        """Return the request that a job was submitted with."""
        return self._jobs[scheduler_job_id].request

    def say(self, scheduler_job_id: str, state: JobState | None, **facts: object) -> None:
        """From now on report a job so; ``facts`` are fields of ``JobReport``."""
        job = self._jobs[scheduler_job_id]
        word = facts.pop("native_state", state.name if state is not None else "ODD")
        job.report = JobReport(
            scheduler_job_id=scheduler_job_id,
            tag=facts.pop("tag", job.request.job_id),  # type: ignore[arg-type]  # facts are the fields of JobReport
            native_state=word,  # type: ignore[arg-type]
            state=state,
            **facts,  # type: ignore[arg-type]
        )

    def list_elements(self, scheduler_job_id: str, states: Mapping[int, JobState], **facts: object) -> None:
        """From now on list an array's elements so; ``facts`` are fields of ``ElementReport`` for each of them."""
        elements = tuple(
            ElementReport(index=index, native_state=state.name, state=state, **facts)  # type: ignore[arg-type]  # as below
            for index, state in states.items()
        )
        whole = attrs.asdict(roll_up(elements), filter=lambda field, _: field.name not in ("state", "native_state"))
        self.say(scheduler_job_id, roll_up(elements).state, elements=elements, **whole)

    def forget(self, scheduler_job_id: str) -> None:
        """Know a job no more."""
        del self._jobs[scheduler_job_id]

    def leave_unanswered(self, scheduler_job_id: str) -> None:
        """From now on be unable to say anything about a job."""
        self._unanswered.add(scheduler_job_id)

    def write_start(self, scheduler_job_id: str, *, restarts: int = 0, at: float | None = None) -> None:
        """Leave the files that a job's script leaves when it starts; a new run deletes the exit file of the last."""
        folder = self._jobs[scheduler_job_id].request.job_dir
        if not (folder / CLAIM).is_symlink():
            (folder / CLAIM).symlink_to(scheduler_job_id)
        (folder / EXIT).unlink(missing_ok=True)
        _write(folder / START, f"{scheduler_job_id} 4242 node1 {restarts}\n", at)

    def write_exit(
        self, scheduler_job_id: str, code: int, reason: str = "", *, at: float | None = None, element: int | None = None
    ) -> None:
        """Leave the file that the script of a job, or of an array's element, leaves when its command ends."""
        folder = self._jobs[scheduler_job_id].request.job_dir
        _write(folder / (EXIT if element is None else f"{EXIT}.{element}"), f"{code} {reason}".strip() + "\n", at)

    def take(self, request: AnyRequest) -> str:
        """Have a new job in the queue, and return its id."""
        self._next_id += 1
        scheduler_job_id = str(self._next_id)
        report = JobReport(
            scheduler_job_id=scheduler_job_id, tag=request.job_id, native_state="QUEUED", state=JobState.QUEUED
        )
        self._jobs[scheduler_job_id] = _Job(request=request, report=report)
        return scheduler_job_id

    def _submit(self, request: AnyRequest) -> SubmitReceipt:
        self.on_submit(request)
        if self.rejects is not None:
            raise SubmitRejected(self.rejects)
        if self.is_down:
            raise SubmitUnconfirmed("socket timed out")
        scheduler_job_id = self.take(request)
        if self.loses_replies:
            raise SubmitUnconfirmed("socket timed out")
        return SubmitReceipt(scheduler_job_id=scheduler_job_id)

    def _poll(self, jobs: tuple[SubmittedJob, ...]) -> PollAnswer:
        self.polls += 1
        self._check_up()
        asked = [job.scheduler_job_id for job in jobs]
        known = [self._jobs[i].report for i in asked if i in self._jobs and i not in self._unanswered]
        return PollAnswer(reports=tuple(known), unanswered=frozenset(self._unanswered & set(asked)))

    def _cancel(self, jobs: tuple[SubmittedJob, ...]) -> tuple[CancelReceipt, ...]:
        self._check_up()
        self.cancels += [job.scheduler_job_id for job in jobs]
        return tuple(self._cancel_one(job.scheduler_job_id) for job in jobs)

    def _cancel_one(self, scheduler_job_id: str) -> CancelReceipt:
        job = self._jobs.get(scheduler_job_id)
        if self.refuses_cancels is not None:
            return CancelReceipt(scheduler_job_id=scheduler_job_id, accepted=False, reason=self.refuses_cancels)
        if job is None or (job.report.state is not None and job.report.state.is_terminal):
            return CancelReceipt(scheduler_job_id=scheduler_job_id, accepted=False, reason="is over")
        if not self.cancels_slowly:
            self.say(scheduler_job_id, JobState.CANCELLED)
        return CancelReceipt(scheduler_job_id=scheduler_job_id, accepted=True)

    def _find(self, tags: tuple[str, ...]) -> tuple[FoundJob, ...]:
        self._check_up()
        return tuple(
            FoundJob(tag=job.request.job_id, scheduler_job_id=scheduler_job_id)
            for scheduler_job_id, job in self._jobs.items()
            if job.request.job_id in tags
        )

    def _check_up(self) -> None:
        self.on_question()
        if self.fault is not None:
            raise self.fault
        if self.is_down:
            raise SchedulerError("unable to contact the controller")

    def _hooks(self) -> dict[str, Callable[..., object]]:
        scheduler = self

        @hookimpl
        def molq_describe_backend() -> BackendDescription:
            return BackendDescription(
                label="Memory",
                options_class=MemoryOptions,
                unsupported=frozenset({"qos"}),
                job_id_variable="MEMORY_ID",
                array_index_variable="MEMORY_INDEX",
                restart_count_variable="MEMORY_RESTARTS",
            )

        @hookimpl
        def molq_render_script(request: AnyRequest) -> str:
            return f"#!/bin/sh\n{request.body}"

        @hookimpl
        def molq_submit_job(request: AnyRequest) -> SubmitReceipt:
            return scheduler._submit(request)

        @hookimpl
        def molq_poll_jobs(jobs: tuple[SubmittedJob, ...]) -> PollAnswer:
            return scheduler._poll(jobs)

        @hookimpl
        def molq_cancel_jobs(jobs: tuple[SubmittedJob, ...]) -> tuple[CancelReceipt, ...]:
            return scheduler._cancel(jobs)

        @hookimpl
        def molq_find_jobs(tags: tuple[str, ...]) -> tuple[FoundJob, ...]:
            return scheduler._find(tags)

        @hookimpl
        def molq_compile_dependencies(upstreams: tuple[UpstreamJob, ...]) -> CompiledDependencies:
            edges = tuple(f"{upstream.condition}:{upstream.scheduler_job_id}" for upstream in upstreams)
            return CompiledDependencies(expression=",".join(edges), edges=edges)

        @hookimpl
        def molq_update_dependencies(job: SubmittedJob, expression: str) -> bool:
            scheduler._check_up()
            scheduler.updates.append((job.scheduler_job_id, expression))
            return True

        return {name: value for name, value in locals().items() if name.startswith("molq_")}


def _write(path: Path, text: str, at: float | None) -> None:
    path.write_text(text)
    if at is not None:
        os.utime(path, (at, at))
