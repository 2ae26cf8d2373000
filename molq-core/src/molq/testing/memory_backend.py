"""The sound backend of the scheduler in memory, and what the kit's own tests make mistakes in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType

import attrs
import pluggy

from molq import hookspecs
from molq.backend import (
    AnyRequest,
    BackendDescription,
    CancelReceipt,
    CommandReply,
    Commands,
    CompiledDependencies,
    ElementReport,
    FoundJob,
    JobReport,
    JobState,
    PollAnswer,
    SchedulerError,
    SubmitReceipt,
    SubmitRejected,
    SubmittedJob,
    SubmitUnconfirmed,
    UpstreamJob,
    hookimpl,
)
from molq.loaded_backend import Backend
from molq.testing.memory import MemoryOptions
from molq.testing.memory_cluster import MemoryCluster

_ID = re.compile(r"[1-9]\d{0,17}", re.ASCII)
_ACCEPTED = re.compile(r"accepted ([1-9]\d{0,17})\n", re.ASCII)
_LINE = re.compile(
    r"(?P<id>[1-9]\d*)(_(?P<index>\d+)|_\[(?P<indices>\d+(,\d+)*)\])?\|(?P<tag>[^|]*)\|(?P<word>[A-Z]*)"
    r"\|((?P<code>\d+)(:(?P<signal>\d+))?)?\|(?P<restarts>\d+)\|(?P<reason>[^|]*)",
    re.ASCII,
)


@attrs.frozen(kw_only=True)
class Line:
    """One line of ``mstat`` or ``macct``.

    Attributes:
        indices: the elements of an array that it is about; empty for a job that is none.
        tag, word, restarts, reason: as printed.
        code: the exit code; None before the end.
        signal: what ended it, or 0.
    """

    indices: tuple[int, ...]
    tag: str
    word: str
    code: int | None
    signal: int
    restarts: int
    reason: str


@attrs.frozen(kw_only=True)
class Listing:
    """What a program printed: the lines of each job, and whether there were others."""

    lines: dict[str, list[Line]]
    has_odd_lines: bool


class MemoryBackend:
    """The backend's hooks; a test may override some, to see whether the contract notices.

    Attributes:
        words: the scheduler's words -> the state and, of an end that has one, the cause.
        options: how a field of ``JobResources`` or ``JobScheduling`` is called in a script.
    """

    words: MappingProxyType[str, tuple[JobState, str | None]] = MappingProxyType(
        {
            "QUEUED": (JobState.QUEUED, None),
            "STAGING": (JobState.QUEUED, None),
            "RUNNING": (JobState.RUNNING, None),
            "STOPPED": (JobState.RUNNING, None),
            "ENDING": (JobState.RUNNING, None),
            "DONE": (JobState.SUCCEEDED, None),
            "ERROR": (JobState.FAILED, "exit"),
            "TIMEOUT": (JobState.TIMED_OUT, "timeout"),
            "MEMORY": (JobState.FAILED, "out_of_memory"),
            "NODE": (JobState.FAILED, "node_fail"),
            "PREEMPTED": (JobState.FAILED, "preempted"),
            "KILLED": (JobState.CANCELLED, "cancelled"),
        }
    )
    options: MappingProxyType[str, str] = MappingProxyType(
        {
            "cpu_count": "cpus",
            "memory": "memory",
            "gpu_count": "gpus",
            "gpu_type": "gpu-type",
            "time_limit": "time",
            "queue": "queue",
            "account": "account",
            "priority": "priority",
            "node_count": "nodes",
            "exclusive_node": "exclusive",
            "array_spec": "array",
            "email": "mail",
            "qos": "qos",
            "reservation": "reservation",
        }
    )

    def __init__(self, cluster: MemoryCluster) -> None:
        self.cluster = cluster

    def load(self) -> Backend:
        """Return the backend as molq calls it."""
        plugins = pluggy.PluginManager("molq")
        plugins.add_hookspecs(hookspecs)
        plugins.register(self)
        return Backend("memory", "molq-core (in memory)", plugins)

    @hookimpl
    def molq_describe_backend(self) -> BackendDescription:
        """Describe the scheduler."""
        return BackendDescription(
            label="Memory",
            options_class=MemoryOptions,
            job_id_variable="MEMORY_ID",
            array_index_variable="MEMORY_INDEX",
            restart_count_variable="MEMORY_RESTARTS",
            dropped_variables=("MEMORY_*", "MSUB_*"),
        )

    @hookimpl
    def molq_render_script(self, request: AnyRequest) -> str:
        """Render the script."""
        wanted = {
            "name": self.safe_name(request.job_name),
            "chdir": request.cwd,
            "output": request.stdout_path,
            "error": request.stderr_path,
            "dependency": request.dependency,
        }
        for part in (request.resources, request.scheduling):
            wanted.update({self.options[name]: getattr(part, name) for name in self.options if hasattr(part, name)})
        lines = [self.directive(name, str(value)) for name, value in wanted.items() if value not in (None, False)]
        return "".join(f"{line}\n" for line in ("#!/bin/sh", *lines)) + request.body

    @hookimpl
    def molq_submit_job(self, script: Path, request: AnyRequest, commands: Commands) -> SubmitReceipt:
        """Submit the script with msub."""
        argv = ["msub", f"--tag={request.job_id}", str(script)]
        return self.molq_read_submit_reply(self.cluster.call(argv, environment=commands.environment))

    @hookimpl
    def molq_read_submit_reply(self, reply: CommandReply) -> SubmitReceipt:
        """Read the reply of msub."""
        if reply.exit_code == 0 and (accepted := _ACCEPTED.fullmatch(reply.stdout)):
            return SubmitReceipt(scheduler_job_id=accepted[1])
        if reply.exit_code == 1 and reply.stderr.startswith("msub: refused: "):
            raise SubmitRejected(reply.stderr.strip())
        raise SubmitUnconfirmed(f"msub was unclear: {reply}")

    @hookimpl
    def molq_poll_jobs(self, jobs: tuple[SubmittedJob, ...]) -> PollAnswer:
        """Ask the queue, and the accounts about jobs that it does not know."""
        ids = [job.scheduler_job_id for job in jobs if _ID.fullmatch(job.scheduler_job_id)]
        queue = self.ask("mstat", ids)
        reports = [self.report(job_id, queue.lines[job_id]) for job_id in ids if job_id in queue.lines]
        missing = [job_id for job_id in ids if job_id not in queue.lines]
        if queue.has_odd_lines or not missing:
            return PollAnswer(reports=tuple(reports), unanswered=frozenset(missing))
        try:
            accounts = self.ask("macct", missing)
        except SchedulerError as error:
            is_off = "accounting is off" in str(error)
            return PollAnswer(reports=tuple(reports), unanswered=frozenset(() if is_off else missing))
        known = {job_id: lines for job_id, lines in accounts.lines.items() if all(line.word for line in lines)}
        # A word without a status is accounting that has not heard the end yet.
        ended = {job_id: lines for job_id, lines in known.items() if all(line.code is not None for line in lines)}
        reports += [self.report(job_id, lines) for job_id, lines in ended.items()]
        open_ids = missing if accounts.has_odd_lines else accounts.lines.keys()
        return PollAnswer(reports=tuple(reports), unanswered=frozenset(open_ids) - ended.keys())

    @hookimpl
    def molq_cancel_jobs(self, jobs: tuple[SubmittedJob, ...]) -> tuple[CancelReceipt, ...]:
        """End with mdel the jobs that are active and ours."""
        for job in jobs:
            _check_id(job.scheduler_job_id)
        listed = self.ask("mstat", [job.scheduler_job_id for job in jobs]).lines
        active = [job.scheduler_job_id for job in jobs if self.is_ours(job, listed.get(job.scheduler_job_id, []))]
        refusal = self.end(active) if active else None
        return tuple(
            CancelReceipt(
                scheduler_job_id=job.scheduler_job_id,
                accepted=job.scheduler_job_id in active and refusal is None,
                reason=refusal if job.scheduler_job_id in active else "it is over, or not ours",
            )
            for job in jobs
        )

    @hookimpl
    def molq_find_jobs(self, tags: tuple[str, ...]) -> tuple[FoundJob, ...]:
        """Find jobs by their tags."""
        rows = [line.partition("|") for line in self.told("mfind", tags).splitlines()]
        return tuple(FoundJob(tag=tag, scheduler_job_id=number) for tag, _, number in rows)

    @hookimpl
    def molq_compile_dependencies(self, upstreams: tuple[UpstreamJob, ...]) -> CompiledDependencies:
        """Compile dependencies."""
        for upstream in upstreams:
            _check_id(upstream.scheduler_job_id)
        edges = tuple(f"{upstream.condition}:{upstream.scheduler_job_id}" for upstream in upstreams)
        return CompiledDependencies(expression=",".join(edges), edges=edges)

    @hookimpl
    def molq_update_dependencies(self, job: SubmittedJob, expression: str) -> bool:
        """Change what a job waits for."""
        return self.cluster.call(["mmod", job.scheduler_job_id, f"--dependency={expression}"]).exit_code == 0

    def directive(self, name: str, value: str) -> str:
        """Return the line of the script that sets an option."""
        return f"#MEM {shlex.quote(f'--{name}={value}')}"

    def safe_name(self, name: str) -> str:
        """Return what can stand in a line; the true name stays in molq's store."""
        return "".join(char if char.isprintable() else "_" for char in name)[:200]

    def ask(self, program: str, ids: Sequence[str]) -> Listing:
        """Return what a program says of jobs; lines that are none are left out and noted."""
        lines: dict[str, list[Line]] = {}
        has_odd_lines = False
        for text in self.told(program, ids).splitlines():
            fields = _LINE.fullmatch(text)
            if fields is None or fields["id"] not in ids:
                has_odd_lines = True
            else:
                lines.setdefault(fields["id"], []).append(_line(fields))
        return Listing(lines=lines, has_odd_lines=has_odd_lines)

    def told(self, program: str, words: Iterable[str]) -> str:
        """Return what a program prints that reads ``words``."""
        reply = self.cluster.call([program], stdin="\n".join(words))
        if reply.exit_code != 0:
            raise SchedulerError(reply.stderr.strip() or f"{program} failed")
        return reply.stdout

    def end(self, ids: Sequence[str]) -> str | None:
        """End jobs; return the words of a refusal."""
        reply = self.cluster.call(["mdel", *ids])
        return None if reply.exit_code == 0 else reply.stderr.strip()

    def is_ours(self, job: SubmittedJob, lines: Sequence[Line]) -> bool:
        """Tell whether the lines show an active job that molq submitted."""
        report = self.report(job.scheduler_job_id, lines) if lines else None
        is_over = report is None or (report.state is not None and report.state.is_terminal)
        return report is not None and not is_over and report.tag == job.job_id

    def report(self, job_id: str, lines: Sequence[Line]) -> JobReport:
        """Return the report that a job's lines amount to."""
        if lines[0].indices:
            return self.array_report(job_id, lines)
        (line,) = lines
        state, cause, code, signal = self.outcome(line)
        return JobReport(
            scheduler_job_id=job_id, tag=line.tag, native_state=line.word, state=state, exit_code=code, signal=signal,
            cause=cause, restarts=line.restarts, reason=line.reason or None,
        )  # fmt: skip

    def array_report(self, job_id: str, lines: Sequence[Line]) -> JobReport:
        """Return the report on an array."""
        elements = []
        for index, line in sorted((index, one) for one in lines for index in one.indices):
            state, cause, code, signal = self.outcome(line)
            elements.append(
                ElementReport(
                    index=index, native_state=line.word, state=state, exit_code=code, signal=signal, cause=cause
                )
            )
        state = self.state_of_array({element.state for element in elements})
        failed = [str(element.index) for element in elements if element.state is JobState.FAILED]
        reason = f"failed: {', '.join(failed)}" if state is JobState.FAILED else lines[0].reason
        return JobReport(
            scheduler_job_id=job_id, tag=lines[0].tag, native_state=lines[0].word, state=state, reason=reason or None,
            elements=tuple(elements),
        )  # fmt: skip

    def state_of_array(self, states: set[JobState | None]) -> JobState | None:
        """Return what the states of its elements make of an array."""
        if None in states or len(states) == 1:
            return next(iter(states)) if len(states) == 1 else None
        if states & {JobState.QUEUED, JobState.RUNNING}:
            return JobState.RUNNING
        return next(s for s in (JobState.FAILED, JobState.TIMED_OUT, JobState.CANCELLED) if s in states)

    def outcome(self, line: Line) -> tuple[JobState | None, str | None, int | None, int | None]:
        """Return the state, the cause, the exit code and the signal that a line tells."""
        state, cause = self.words.get(line.word, (None, None))
        if line.signal:
            return state, "signal", None, line.signal
        has_code = line.word in ("DONE", "ERROR")
        return state, cause, line.code if has_code else None, None


def _line(fields: re.Match[str]) -> Line:
    return Line(
        indices=tuple(int(index) for index in (fields["index"] or fields["indices"] or "").split(",") if index),
        tag=fields["tag"],
        word=fields["word"],
        code=None if fields["code"] is None else int(fields["code"]),
        signal=int(fields["signal"] or 0),
        restarts=int(fields["restarts"]),
        reason=fields["reason"],
    )


def _check_id(scheduler_job_id: str) -> None:
    if not _ID.fullmatch(scheduler_job_id):
        raise SchedulerError(f"{scheduler_job_id!r} is no id of a job")
