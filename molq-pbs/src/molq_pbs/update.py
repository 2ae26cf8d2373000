"""Make a waiting job wait for something else."""

from __future__ import annotations

from molq.backend import Commands, SchedulerError, SubmittedJob
from molq_pbs.dependencies import read_dependencies
from molq_pbs.endings import ending_of
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
    """Return whether the job now waits for ``expression`` and for nothing else; an empty one means for nothing.

    qalter replaces what has the same type, takes nothing away, and a job is dropped at once that is to wait for one
    that the server does not know. So each type that is there must be asked for, and the job is looked at afterwards.

    Raises:
        SchedulerError: PBS could not be asked.
    """
    if not is_job_id(job.scheduler_job_id):
        raise SchedulerError(f"{job.scheduler_job_id!r} is no id of a PBS job")
    record = _waiting(job, options, commands)
    if record is None:
        return False
    awaited, wanted = _awaited(record), read_dependencies(expression)
    if not wanted:
        return not awaited or _release(job, record, options, commands)
    if not _kinds(awaited) <= _kinds(wanted):
        return False
    return _alter(job, expression, options, commands) and _waits_within(job, wanted, options, commands)


def _release(job: SubmittedJob, record: JobRecord, options: PBSSchedulerOptions, commands: Commands) -> bool:
    """Let a job go on that waits for others in vain, which were deleted before they started.

    Of those the server never lets go by itself (recorded from OpenPBS 23.06.06). But it judges what is new, and then
    takes them for over. It would drop what is to wait for the failure of one.
    """
    awaited = _awaited(record)
    if not _kinds(awaited) <= {"afterany"}:
        return False
    upstreams = ask_queue({job_id: None for _, job_id in awaited}, options, commands).records
    if not all(job_id in upstreams and ending_of(upstreams[job_id]).is_over for _, job_id in awaited):
        return False
    expression = ":".join(["afterany", *sorted(upstream.job_id for upstream in upstreams.values())])
    return _alter(job, expression, options, commands) and _waits_within(job, frozenset(), options, commands)


def _alter(job: SubmittedJob, expression: str, options: PBSSchedulerOptions, commands: Commands) -> bool:
    argv = [options.qalter_path, "-W", f"depend={expression}", job.scheduler_job_id]
    reply = ask(argv, options, commands)
    if any(refusal in reply.stderr for refusal in _REFUSALS):
        return False
    if reply.exit_code != 0:
        raise failure(argv, reply)
    return True


def _waits_within(
    job: SubmittedJob, wanted: frozenset[tuple[str, str]], options: PBSSchedulerOptions, commands: Commands
) -> bool:
    """Tell whether the job is there and waits for nothing else; what has come true already is not listed any more."""
    record = _look(job, options, commands)
    return record is not None and not ending_of(record).is_over and _awaited(record) <= wanted


def _waiting(job: SubmittedJob, options: PBSSchedulerOptions, commands: Commands) -> JobRecord | None:
    """Return the record of the job if it is ours and waits."""
    record = _look(job, options, commands)
    return record if record is not None and record.text("job_state") in ("H", "Q", "W") else None


def _look(job: SubmittedJob, options: PBSSchedulerOptions, commands: Commands) -> JobRecord | None:
    """Return the record of the job if it is ours."""
    record = ask_queue((job.scheduler_job_id,), options, commands).records.get(job.scheduler_job_id)
    return record if record is not None and record.tag_for(job.job_id) in (job.job_id, None) else None


def _awaited(record: JobRecord) -> frozenset[tuple[str, str]]:
    return read_dependencies(record.text("depend"))


def _kinds(dependencies: frozenset[tuple[str, str]]) -> frozenset[str]:
    return frozenset(kind for kind, _ in dependencies)
