"""Make a waiting job wait for something else."""

from __future__ import annotations

from molq.backend import Commands, SchedulerError, SubmittedJob
from molq_pbs.dependencies import read_dependencies
from molq_pbs.job_records import JobRecord
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.programs import ask, failure, is_job_id
from molq_pbs.queue_listing import ask_queue

# What qalter says when the job cannot wait (any more) or the expression is wrong. Recorded from OpenPBS 23.06.06.
_REFUSALS = (
    "Job has finished",
    "Request invalid for state of job",
    "Unauthorized Request",
    "Unknown Job Id",
    "Cannot modify attribute while job running",
    "illegal -W value",
    "Illegal attribute or resource value",
)


def update_dependencies(job: SubmittedJob, expression: str, options: PBSSchedulerOptions, commands: Commands) -> bool:
    """Return whether the job now waits for ``expression`` and for nothing else.

    PBS can't make a job wait for nothing, replaces only what it waits for in the same way, and drops a job at once that
    is to wait for one that it does not know. So the job is looked at afterwards.

    Raises:
        SchedulerError: PBS could not be asked.
    """
    if not is_job_id(job.scheduler_job_id):
        raise SchedulerError(f"{job.scheduler_job_id!r} is no id of a PBS job")
    record = _waiting(job, options, commands)
    if record is None or not expression:
        return record is not None and not expression and not _awaited(record)
    wanted = read_dependencies(expression)
    if not _kinds(_awaited(record)) <= _kinds(wanted):
        return False  # what qalter leaves in place would hold the job
    argv = [options.qalter_path, "-W", f"depend={expression}", job.scheduler_job_id]
    reply = ask(argv, options, commands)
    if any(refusal in reply.stderr for refusal in _REFUSALS):
        return False
    if reply.exit_code != 0:
        raise failure(argv, reply)
    record = _waiting(job, options, commands)
    # What has come true already is not listed any more.
    return record is not None and _awaited(record) <= wanted


def _waiting(job: SubmittedJob, options: PBSSchedulerOptions, commands: Commands) -> JobRecord | None:
    """Return the record of the job if it is ours and waits."""
    record = ask_queue((job.scheduler_job_id,), options, commands).records.get(job.scheduler_job_id)
    if record is None or record.tag_for(job.job_id) not in (job.job_id, None):
        return None
    return record if record.text("job_state") in ("H", "Q", "W") else None


def _awaited(record: JobRecord) -> frozenset[tuple[str, str]]:
    return read_dependencies(record.text("depend"))


def _kinds(dependencies: frozenset[tuple[str, str]]) -> frozenset[str]:
    return frozenset(kind for kind, _ in dependencies)
