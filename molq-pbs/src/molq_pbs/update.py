"""Make a waiting job wait for something else."""

from __future__ import annotations

from molq.backend import Commands, JobState, SchedulerError, SubmittedJob, command_failed
from molq_pbs.dependencies import read_dependencies
from molq_pbs.endings import ending_of
from molq_pbs.job_records import JobRecord
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.programs import ask, is_job_id
from molq_pbs.queue_listing import ask_queue
from molq_pbs.search import select_jobs

_MOST_CANDIDATES = 100

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
    """Let a job go on that waits in vain for others, which were deleted before they started.

    The server never lets such a job go by itself (recorded from OpenPBS 23.06.06), but it judges anew what it
    is told anew: a job that waits for any end of theirs goes on. A job that waits for their failure would be
    dropped, so that it is given another failed job to wait for.
    """
    awaited = _awaited(record)
    upstreams = ask_queue({job_id: None for _, job_id in awaited}, options, commands).records
    if not all(job_id in upstreams and _is_in_vain(upstreams[job_id]) for _, job_id in awaited):
        return False
    parts = []
    for kind in sorted(_kinds(awaited)):
        ids = [upstreams[job_id].job_id for waits_for, job_id in sorted(awaited) if waits_for == kind]
        if kind == "afternotok":
            ids = _a_failed_job(options, commands)
        if not ids or kind not in ("afterany", "afternotok"):
            return False
        parts.append(":".join([kind, *ids]))
    return _alter(job, ",".join(parts), options, commands) and _waits_within(job, frozenset(), options, commands)


def _is_in_vain(upstream: JobRecord) -> bool:
    return ending_of(upstream).is_over and upstream.number("exit_status") is None


def _a_failed_job(options: PBSSchedulerOptions, commands: Commands) -> list[str]:
    """Return the id of one of this user's newest jobs that have failed, if there is one."""
    newest = select_jobs(None, options, commands)[-_MOST_CANDIDATES:]
    records = ask_queue(newest, options, commands).records
    failed = (job_id for job_id in reversed(newest) if job_id in records and _has_failed(records[job_id]))
    return [job_id for job_id in (next(failed, None),) if job_id is not None]


def _has_failed(record: JobRecord) -> bool:
    return ending_of(record).state is JobState.FAILED and (record.number("exit_status") or 0) > 0


def _alter(job: SubmittedJob, expression: str, options: PBSSchedulerOptions, commands: Commands) -> bool:
    argv = [options.qalter_path, "-W", f"depend={expression}", job.scheduler_job_id]
    reply = ask(argv, options, commands)
    if any(refusal in reply.stderr for refusal in _REFUSALS):
        return False
    if reply.exit_code != 0:
        raise command_failed(argv, reply)
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
