"""Answer molq's hooks for Slurm."""

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
from molq_slurm import cancel, dependencies, directives, poll, probe, search, submit_replies, update
from molq_slurm.directives import SlurmRequest
from molq_slurm.options import SlurmSchedulerOptions
from molq_slurm.programs import cluster_flags, tag_argument


@hookimpl
def molq_describe_backend() -> BackendDescription:
    """Describe Slurm."""
    return BackendDescription(
        label="Slurm",
        options_class=SlurmSchedulerOptions,
        job_id_variable="SLURM_JOB_ID",
        array_index_variable="SLURM_ARRAY_TASK_ID",
        restart_count_variable="SLURM_RESTART_COUNT",
        # What an outer job sees of itself, and what changes the meaning or the output of the programs.
        dropped_variables=(
            "SLURM_*",
            "SLURMD_*",
            "SBATCH_*",
            "SQUEUE_*",
            "SACCT_*",
            "SCANCEL_*",
            "SCONTROL_*",
            "SRUN_*",
            "SALLOC_*",
            "MOLQ_JOB_ID",
            "MOLQ_CLAIMED",
        ),
        # Where the configuration is, and who one is.
        kept_variables=("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"),
    )


@hookimpl
def molq_render_script(request: SlurmRequest) -> str:
    """Render the script."""
    return directives.render_script(request)


@hookimpl
def molq_submit_job(script: Path, request: SlurmRequest, commands: Commands) -> SubmitReceipt:
    """Submit the script with sbatch."""
    options = request.options
    argv = [
        options.sbatch_path,
        *options.extra_sbatch_flags,
        *cluster_flags(options),
        "--parsable",
        tag_argument(request.job_id),
        str(script),
    ]
    return submit_replies.read_submit_reply(commands.submit(argv))


@hookimpl
def molq_read_submit_reply(reply: CommandReply) -> SubmitReceipt:
    """Read sbatch's reply."""
    return submit_replies.read_submit_reply(reply)


@hookimpl
def molq_poll_jobs(jobs: tuple[SubmittedJob, ...], options: SlurmSchedulerOptions, commands: Commands) -> PollAnswer:
    """Ask squeue, and accounting about jobs that have left it."""
    return poll.poll_jobs(jobs, options, commands, time.time())


@hookimpl
def molq_cancel_jobs(
    jobs: tuple[SubmittedJob, ...], options: SlurmSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Cancel jobs with scancel."""
    return cancel.cancel_jobs(jobs, options, commands)


@hookimpl
def molq_cancel_elements(
    job: SubmittedJob, indices: tuple[int, ...], options: SlurmSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Cancel elements of an array with scancel."""
    return cancel.cancel_elements(job, indices, options, commands)


@hookimpl
def molq_compile_dependencies(upstreams: tuple[UpstreamJob, ...]) -> CompiledDependencies:
    """Compile dependencies for sbatch."""
    return dependencies.compile_dependencies(upstreams)


@hookimpl
def molq_find_jobs(
    tags: tuple[str, ...], since: float, options: SlurmSchedulerOptions, commands: Commands
) -> tuple[FoundJob, ...]:
    """Find jobs by their tags."""
    return search.find_jobs(tags, since, options, commands)


@hookimpl
def molq_update_dependencies(
    job: SubmittedJob, expression: str, options: SlurmSchedulerOptions, commands: Commands
) -> bool:
    """Change what a job waits for with scontrol."""
    return update.update_dependencies(job, expression, options, commands)


@hookimpl
def molq_probe_site(options: SlurmSchedulerOptions, commands: Commands) -> tuple[Finding, ...]:
    """Look at the programs, the daemons and the limits of the site."""
    return probe.probe_site(options, commands)
