"""Answer molq's hooks for LSF."""

from __future__ import annotations

import time
from pathlib import Path

from molq.backend import (
    BackendDescription,
    CancelReceipt,
    CommandReply,
    Commands,
    CompiledDependencies,
    Finding,
    FoundJob,
    PollAnswer,
    SubmitReceipt,
    SubmittedJob,
    UpstreamJob,
    hookimpl,
)
from molq_lsf import cancel, dependencies, directives, poll, probe, search, submit, submit_replies, update
from molq_lsf.directives import LSFRequest
from molq_lsf.options import LSFSchedulerOptions


@hookimpl
def molq_describe_backend() -> BackendDescription:
    """Describe LSF."""
    return BackendDescription(
        label="LSF",
        options_class=LSFSchedulerOptions,
        unsupported=frozenset({"qos"}),
        job_id_variable="LSB_JOBID",
        array_index_variable="LSB_JOBINDEX",
        # What an outer job sees of itself, and what changes the meaning or the output of the programs.
        dropped_variables=("LSB_*", "LS_*", "BSUB_*", "MOLQ_JOB_ID", "MOLQ_CLAIMED"),
        kept_variables=("LS_COLORS",),  # of ls
        # LSF's exit(ARRAY) waits for all elements to fail.
        judges_arrays=False,
    )


@hookimpl
def molq_render_script(request: LSFRequest) -> str:
    """Render the script."""
    return directives.render_script(request)


@hookimpl
def molq_submit_job(script: Path, request: LSFRequest, commands: Commands) -> SubmitReceipt:
    """Submit the script with bsub."""
    return submit.submit_job(script, request, commands)


@hookimpl
def molq_read_submit_reply(reply: CommandReply) -> SubmitReceipt:
    """Read bsub's reply."""
    return submit_replies.read_submit_reply(reply)


@hookimpl
def molq_poll_jobs(jobs: tuple[SubmittedJob, ...], options: LSFSchedulerOptions, commands: Commands) -> PollAnswer:
    """Ask bjobs, and the history about jobs that have ended or are forgotten."""
    return poll.poll_jobs(jobs, options, commands, time.time())


@hookimpl
def molq_cancel_jobs(
    jobs: tuple[SubmittedJob, ...], options: LSFSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Cancel jobs with bkill."""
    return cancel.cancel_jobs(jobs, options, commands)


@hookimpl
def molq_cancel_elements(
    job: SubmittedJob, indices: tuple[int, ...], options: LSFSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Cancel elements of an array with bkill."""
    return cancel.cancel_elements(job, indices, options, commands)


@hookimpl
def molq_compile_dependencies(upstreams: tuple[UpstreamJob, ...]) -> CompiledDependencies:
    """Compile dependencies for bsub."""
    return dependencies.compile_dependencies(upstreams)


@hookimpl
def molq_find_jobs(tags: tuple[str, ...], options: LSFSchedulerOptions, commands: Commands) -> tuple[FoundJob, ...]:
    """Find jobs by their tags."""
    return search.find_jobs(tags, options, commands)


@hookimpl
def molq_update_dependencies(
    job: SubmittedJob, expression: str, options: LSFSchedulerOptions, commands: Commands
) -> bool:
    """Change what a job waits for with bmod."""
    return update.update_dependencies(job, expression, options, commands)


@hookimpl
def molq_probe_site(options: LSFSchedulerOptions, commands: Commands) -> tuple[Finding, ...]:
    """Look at the programs, the daemon, the history and the units of the site."""
    return probe.probe_site(options, commands)
