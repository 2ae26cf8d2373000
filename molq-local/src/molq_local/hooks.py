"""Answer molq's hooks for the queue of this machine."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from molq.backend import (
    BackendDescription,
    CancelReceipt,
    Commands,
    Finding,
    FoundJob,
    PollAnswer,
    SchedulerError,
    SubmitDeferred,
    SubmitReceipt,
    SubmitRejected,
    SubmitRequest,
    SubmittedJob,
    hookimpl,
)
from molq_local import admission, job_files, reports, site
from molq_local.admission import Load
from molq_local.options import LocalSchedulerOptions
from molq_local.place import Place, PlaceError
from molq_local.queue_file import QueueError, QueueFile
from molq_local.queue_requests import Requests
from molq_local.wake import AgentError, ensure_agent

LocalRequest = SubmitRequest[LocalSchedulerOptions]

_UNSUPPORTED = frozenset(
    {
        "account",
        "array_spec",
        "dependencies",
        "dependency",
        "email",
        "gpu_count",
        "gpu_type",
        "qos",
        "queue",
        "reservation",
    }
)
_PRIORITY = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_NUMBER = re.compile(r"[1-9]\d{0,17}", re.ASCII)


@hookimpl
def molq_describe_backend() -> BackendDescription:
    """Describe the local queue."""
    return BackendDescription(
        label="Local",
        options_class=LocalSchedulerOptions,
        unsupported=_UNSUPPORTED,
        most_nodes=1,
        job_id_variable="MOLQ_LOCAL_ID",
        # What a job sees of itself must not reach the jobs that it submits.
        dropped_variables=("MOLQ_LOCAL_ID", "MOLQ_CLAIMED", "MOLQ_JOB_ID"),
        shortest_poll=0.05,
        longest_poll=1.0,
    )


@hookimpl
def molq_render_script(request: LocalRequest) -> str:
    """Render the script; the line about the demand is for its readers, the queue keeps its own record."""
    _check(request)
    resources, scheduling = request.resources, request.scheduling
    demand = {
        "cpu_count": resources.cpu_count,
        "memory": resources.memory,
        "time_limit": resources.time_limit,
        "priority": None if scheduling.priority is None else int(scheduling.priority),
        "node_count": scheduling.node_count,
        "exclusive_node": "yes" if scheduling.exclusive_node else None,
    }
    told = " ".join(f"{name}={value}" for name, value in demand.items() if value is not None)
    return f"#!/bin/sh\n# local: {told}\n{request.body}" if told else f"#!/bin/sh\n{request.body}"


@hookimpl
def molq_submit_job(script: Path, request: LocalRequest, commands: Commands) -> SubmitReceipt:
    """Put the job into the queue, and wake or start the agent."""
    if not sys.platform.startswith("linux"):
        raise SubmitRejected("the local queue needs Linux; submit to slurm, pbs or lsf from here")
    _check(request)
    options = request.options
    place = Place(options.folder())
    with _rejecting(), QueueFile(place, create=True) as queue:
        requests = Requests(queue)
        number = requests.number_of(request.job_id)
        if number is None:
            environment = job_files.pack_environment(dict(commands.environment))
            job_files.write_environment(os.fsencode(request.job_dir), environment)
            number = requests.add(_columns(script, request))
        try:
            ensure_agent(place, options.idle_seconds, commands.environment)
        except AgentError as error:
            # An agent that came meanwhile may have started it.
            if requests.withdraw(number):
                raise SubmitRejected(str(error)) from error
    return SubmitReceipt(scheduler_job_id=str(number))


@hookimpl
def molq_poll_jobs(jobs: tuple[SubmittedJob, ...], options: LocalSchedulerOptions, commands: Commands) -> PollAnswer:
    """Report on the jobs, and see to it that there is an agent while there is work."""
    place = Place(options.folder())
    numbers = [int(job.scheduler_job_id) for job in jobs if _NUMBER.fullmatch(job.scheduler_job_id)]
    if not numbers:
        return PollAnswer(reports=())
    with _asking():
        with QueueFile(place) as queue:
            requests = Requests(queue)
            known = requests.known(numbers)
            head, load = requests.head_and_load() if any(j.state == "queued" for j in known) else (None, Load())
        if any(job.state != "ended" and job.is_here for job in known):
            ensure_agent(place, options.idle_seconds, commands.environment)
    return PollAnswer(reports=reports.report_all(known, head, load))


@hookimpl
def molq_cancel_jobs(
    jobs: tuple[SubmittedJob, ...], options: LocalSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Take the jobs out of the queue, or have the agent end them."""
    place = Place(options.folder())
    # The tag as well: after the queue was made anew, a number may be a stranger's.
    wanted = [(int(j.scheduler_job_id), j.job_id) for j in jobs if _NUMBER.fullmatch(j.scheduler_job_id)]
    with _asking():
        with QueueFile(place) as queue:
            states = Requests(queue).request_cancel(wanted)
        if any(state != "ended" for state in states.values()):
            ensure_agent(place, options.idle_seconds, commands.environment)
    return tuple(_cancel_receipt(job.scheduler_job_id, states) for job in jobs)


@hookimpl
def molq_find_jobs(tags: tuple[str, ...], options: LocalSchedulerOptions) -> tuple[FoundJob, ...]:
    """Find jobs by their tag."""
    place = Place(options.folder())
    with _asking(), QueueFile(place, create=True) as queue:
        return tuple(FoundJob(tag=tag, scheduler_job_id=str(n)) for tag, n in Requests(queue).with_tags(tags))


@hookimpl
def molq_probe_site(options: LocalSchedulerOptions) -> tuple[Finding, ...]:
    """Tell where the queue is, what it may hand out and who works on it."""
    return site.probe(options)


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except (QueueError, PlaceError, AgentError) as error:
        raise SchedulerError(str(error)) from error


@contextlib.contextmanager
def _rejecting() -> Iterator[None]:
    # Nothing of this happens after the job is in the queue: SQLite undoes a transaction that it cannot commit.
    try:
        yield
    except QueueError as error:
        raise (SubmitDeferred if error.is_busy else SubmitRejected)(str(error)) from error
    except PlaceError as error:
        raise SubmitRejected(str(error)) from error
    except OSError as error:
        raise SubmitRejected(f"the job's folder cannot be used: {error}") from error


def _check(request: LocalRequest) -> None:
    problems = [*_problems(request)]
    if problems:
        raise SubmitRejected("; ".join(problems))


def _problems(request: LocalRequest) -> Iterator[str]:
    scheduling, resources, options = request.scheduling, request.resources, request.options
    if scheduling.priority is not None and not _PRIORITY.fullmatch(scheduling.priority):
        yield (
            f"the local queue orders its jobs by whole numbers, higher first; {scheduling.priority!r} is no priority"
        )
    if resources.cpu_count is not None and resources.cpu_count > options.cpu_capacity():
        yield (
            f"the job asks for {resources.cpu_count} CPUs, and the local queue has {options.cpu_capacity()}; ask for "
            "fewer, or set LocalSchedulerOptions.cpu_count"
        )
    if resources.memory is not None and resources.memory.bytes > options.memory_capacity():
        have = admission.readable_bytes(options.memory_capacity())
        yield (
            f"the job asks for {resources.memory} of memory, and the local queue has {have}; ask for less, or set "
            "LocalSchedulerOptions.memory"
        )


def _columns(script: Path, request: LocalRequest) -> dict[str, object]:
    resources, scheduling, options = request.resources, request.scheduling, request.options
    return {
        "tag": request.job_id,
        "priority": int(scheduling.priority or 0),
        "cpu_count": resources.cpu_count or 1,
        "memory": resources.memory.bytes if resources.memory else 0,
        "is_exclusive": scheduling.exclusive_node,
        "max_concurrent": options.max_concurrent,
        "cpu_capacity": options.cpu_capacity(),
        "memory_capacity": options.memory_capacity(),
        "time_limit": resources.time_limit.seconds if resources.time_limit else None,
        "kill_grace": options.kill_grace.seconds,
        "umask": site.current_umask(),
        "script": os.fsencode(script),
        "job_dir": os.fsencode(request.job_dir),
        "stdout_path": os.fsencode(request.stdout_path),
        "stderr_path": os.fsencode(request.stderr_path),
    }


def _cancel_receipt(scheduler_job_id: str, states: dict[int, str]) -> CancelReceipt:
    state = states.get(int(scheduler_job_id)) if _NUMBER.fullmatch(scheduler_job_id) else None
    reason = {None: "the local queue has no such job", "ended": "the job is already over"}.get(state)
    return CancelReceipt(scheduler_job_id=scheduler_job_id, accepted=reason is None, reason=reason)
