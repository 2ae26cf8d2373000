"""Answer molq's hooks for PBS."""

from __future__ import annotations

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
from molq_pbs import cancel, dependencies, directives, poll, probe, search, submit, submit_replies, update
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.prelude import PBSRequest
from molq_pbs.programs import TAG_VARIABLE

# Where the configuration is, which server to talk to, and how. Source: pbs_loadconf.c of OpenPBS, and Torque.
_SITE_VARIABLES = (
    "PBS_CONF_FILE",
    "PBS_DEFAULT",
    "PBS_SERVER",
    "PBS_SERVER_HOST_NAME",
    "PBS_PRIMARY",
    "PBS_SECONDARY",
    "PBS_BATCH_SERVICE_PORT",
    "PBS_AUTH_METHOD",
    "PBS_ENCRYPT_METHOD",
    "PBS_EXEC",
)


@hookimpl
def molq_describe_backend() -> BackendDescription:
    """Describe PBS."""
    return BackendDescription(
        label="PBS",
        options_class=PBSSchedulerOptions,
        unsupported=frozenset({"qos"}),
        job_id_variable="PBS_JOBID",
        array_index_variable="PBS_ARRAY_INDEX",
        # What an outer job sees of itself, and what changes what the programs do.
        dropped_variables=("PBS_*", "MOLQ_JOB_ID", "MOLQ_CLAIMED", TAG_VARIABLE),
        kept_variables=_SITE_VARIABLES,
        # An array is judged by its element that ends last, a job is deleted that waits for what can't happen, and one
        # that waits for the end of a job which is deleted before it starts waits for ever.
        judges_arrays=False,
        keeps_stranded=False,
        releases_unstarted=False,
    )


@hookimpl
def molq_render_script(request: PBSRequest) -> str:
    """Render the script."""
    return directives.render_script(request)


@hookimpl
def molq_submit_job(script: Path, request: PBSRequest, commands: Commands) -> SubmitReceipt:
    """Submit the script with qsub."""
    return submit.submit_job(script, request, commands)


@hookimpl
def molq_read_submit_reply(reply: CommandReply) -> SubmitReceipt:
    """Read qsub's reply."""
    return submit_replies.read_submit_reply(reply)


@hookimpl
def molq_poll_jobs(jobs: tuple[SubmittedJob, ...], options: PBSSchedulerOptions, commands: Commands) -> PollAnswer:
    """Ask qstat, and the server's logs about jobs that it does not know any more."""
    return poll.poll_jobs(jobs, options, commands)


@hookimpl
def molq_cancel_jobs(
    jobs: tuple[SubmittedJob, ...], options: PBSSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Cancel jobs with qdel."""
    return cancel.cancel_jobs(jobs, options, commands)


@hookimpl
def molq_cancel_elements(
    job: SubmittedJob, indices: tuple[int, ...], options: PBSSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Cancel elements of an array with qdel."""
    return cancel.cancel_elements(job, indices, options, commands)


@hookimpl
def molq_compile_dependencies(upstreams: tuple[UpstreamJob, ...]) -> CompiledDependencies:
    """Compile dependencies for qsub."""
    return dependencies.compile_dependencies(upstreams)


@hookimpl
def molq_find_jobs(
    tags: tuple[str, ...], since: float, options: PBSSchedulerOptions, commands: Commands
) -> tuple[FoundJob, ...]:
    """Find jobs by their tags."""
    return search.find_jobs(tags, since, options, commands)


@hookimpl
def molq_update_dependencies(
    job: SubmittedJob, expression: str, options: PBSSchedulerOptions, commands: Commands
) -> bool:
    """Change what a job waits for with qalter."""
    return update.update_dependencies(job, expression, options, commands)


@hookimpl
def molq_probe_site(options: PBSSchedulerOptions, commands: Commands) -> tuple[Finding, ...]:
    """Look at the programs, the server and the limits of the site."""
    return probe.probe_site(options, commands)
