"""Make a waiting job wait for something else."""

from __future__ import annotations

from molq.backend import Commands, SchedulerError, SubmittedJob
from molq_slurm.options import SlurmSchedulerOptions
from molq_slurm.programs import TIMEOUT, cluster_flags, failure, is_job_id, tag_in
from molq_slurm.queue_listing import ask_queue

# What scontrol says when the job cannot wait (any more) or the expression is wrong. Source: recorded from 22.05.8.
_REFUSALS = (
    "Access/permission denied",
    "Circular job dependency",
    "Invalid job id specified",
    "Job dependency problem",
    "Job has already finished",
    "Job is no longer pending execution",
)


def update_dependencies(job: SubmittedJob, expression: str, options: SlurmSchedulerOptions, commands: Commands) -> bool:
    """Return whether the job now waits for ``expression``; an empty one means for nothing.

    Raises:
        SchedulerError: Slurm could not be asked.
    """
    if not is_job_id(job.scheduler_job_id):
        raise SchedulerError(f"{job.scheduler_job_id!r} is no id of a Slurm job")
    rows = ask_queue((job.scheduler_job_id,), options, commands).rows.get(job.scheduler_job_id)
    if not rows or tag_in(rows[0].free_text, job) != job.job_id:
        return False
    argv = [
        options.scontrol_path,
        *cluster_flags(options),
        "update",
        f"JobId={job.scheduler_job_id}",
        f"Dependency={expression}",
    ]
    reply = commands.run(argv, timeout=TIMEOUT)
    if reply.exit_code == 0 and "error" not in reply.stderr:
        return True
    if any(refusal in reply.stderr for refusal in _REFUSALS):
        return False
    raise failure(argv, reply)
