"""The hooks that a scheduler's backend implements.

A backend is a module of functions marked with ``molq.backend.hookimpl``, registered by an entry point of the group
``molq.backends`` whose name is the word that users type. An implementation may take fewer arguments than its
specification has. Every hook is ``firstresult``: the first answer that is not None counts. Required hooks must
answer; leaving an optional hook out says that the scheduler cannot do it.
"""

from __future__ import annotations

from pathlib import Path

import pluggy

from molq.backend import (
    AnyRequest,
    BackendDescription,
    CancelReceipt,
    CommandReply,
    Commands,
    CompiledDependencies,
    Finding,
    FoundJob,
    PollAnswer,
    SchedulerOptions,
    SubmitReceipt,
    SubmittedJob,
    UpstreamJob,
)

hookspec = pluggy.HookspecMarker("molq")

REQUIRED_HOOKS = (
    "molq_describe_backend",
    "molq_render_script",
    "molq_submit_job",
    "molq_poll_jobs",
    "molq_cancel_jobs",
)


@hookspec(firstresult=True)
def molq_describe_backend() -> BackendDescription:
    """Return what the backend says of itself. Required; pure."""
    raise NotImplementedError


@hookspec(firstresult=True)
def molq_render_script(request: AnyRequest) -> str:
    """Return the whole script: an interpreter line, the directives, then ``request.body``. Required; pure.

    Every field of the request that the description does not declare unsupported must show here or on the command
    line of the submission. ``--dry-run`` prints the answer.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def molq_submit_job(script: Path, request: AnyRequest, commands: Commands) -> SubmitReceipt:
    """Return the receipt of the job that ``script`` describes. Required; the only step that can't be undone.

    Raises:
        SubmitRejected: the scheduler surely did not take it.
        SubmitDeferred: the scheduler surely did not take it now.
        SubmitUnconfirmed: anything else that is not a clear acceptance.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def molq_read_submit_reply(reply: CommandReply) -> SubmitReceipt:
    """Return the receipt that a submit command's reply amounts to. Optional; pure.

    ``molq_submit_job`` ends in it, and recovery calls it on the reply that a dead process left in the job folder.

    Raises:
        SubmitRejected, SubmitDeferred, SubmitUnconfirmed: as ``molq_submit_job``.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def molq_poll_jobs(jobs: tuple[SubmittedJob, ...], options: SchedulerOptions, commands: Commands) -> PollAnswer:
    """Return what the scheduler says of ``jobs``. Required.

    The number of commands must not grow with the number of jobs.

    Raises:
        SchedulerError: the scheduler could not be asked.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def molq_cancel_jobs(
    jobs: tuple[SubmittedJob, ...], options: SchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Return one receipt for each job that was asked to end. Required.

    A job that is already over is ``accepted=False``, not an error.

    Raises:
        SchedulerError: the scheduler could not be asked.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def molq_cancel_elements(
    job: SubmittedJob, indices: tuple[int, ...], options: SchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Return one receipt for each element of the array ``job`` that was asked to end. Optional.

    An element that is already over is ``accepted=False``, not an error. Without it only whole arrays are cancelled.

    Raises:
        SchedulerError: the scheduler could not be asked.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def molq_compile_dependencies(upstreams: tuple[UpstreamJob, ...]) -> CompiledDependencies:
    """Return the scheduler's expression for waiting on ``upstreams``. Optional; pure.

    Without it the scheduler has no dependencies.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def molq_find_jobs(
    tags: tuple[str, ...], since: float, options: SchedulerOptions, commands: Commands
) -> tuple[FoundJob, ...]:
    """Return the scheduler's jobs that carry one of ``tags`` and were submitted after ``since``. Optional.

    Recovery after a crash asks it; without it only the files of a job that started tell its id.

    Raises:
        SchedulerError: the scheduler could not be asked.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def molq_update_dependencies(job: SubmittedJob, expression: str, options: SchedulerOptions, commands: Commands) -> bool:
    """Return whether the waiting ``job`` now waits for ``expression`` instead. Optional.

    An empty expression means that it waits for nothing any more. Without this hook molq holds back what waits for a
    job that may be tried again, until it is known how that ends.

    Raises:
        SchedulerError: the scheduler could not be asked.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def molq_probe_site(options: SchedulerOptions, commands: Commands) -> tuple[Finding, ...]:
    """Return what ``molq doctor`` should tell of this site. Optional."""
    raise NotImplementedError
