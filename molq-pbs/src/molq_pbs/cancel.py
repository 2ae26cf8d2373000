"""Cancel jobs: only those that are still ours, one by one, and judged by PBS's words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from molq.backend import CancelReceipt, Commands, SchedulerError, SubmittedJob, command_failed
from molq_pbs.endings import ending_of
from molq_pbs.job_records import JobRecord
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.programs import ask, element_id, is_job_id
from molq_pbs.queue_listing import Listing, ask_queue

# What qdel says of a job that it did not end -> what that means. Source: recorded from OpenPBS 23.06.06, and Torque.
_REFUSALS = {
    "Unknown Job Id": "PBS does not know the job (any more)",
    "Job has finished": "the job is already over",
    "Request invalid for state of job": "the job is already ending",
    "Unauthorized Request": "PBS does not let this user cancel the job",
    "Server could not connect to MOM": "the node does not answer, so that PBS did not cancel the job; it may run again",
}
_REFUSAL = re.compile(rf"^qdel: ({'|'.join(map(re.escape, _REFUSALS))})", re.MULTILINE)


def cancel_jobs(
    jobs: tuple[SubmittedJob, ...], options: PBSSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Ask PBS to end jobs, and tell for each whether it will.

    qstat is asked first: an id may belong to a stranger by now. Then each job has a qdel of its own: with several ids,
    of which one has left the server meanwhile, OpenPBS's server crashes.

    Raises:
        SchedulerError: an id is none, or PBS could not be asked.
    """
    bad = [job.scheduler_job_id for job in jobs if not is_job_id(job.scheduler_job_id)]
    if bad:
        raise SchedulerError(f"{bad[0]!r} is no id of a PBS job; nothing was cancelled")
    if not jobs:
        return ()
    listing = ask_queue({job.scheduler_job_id: None for job in jobs}, options, commands)
    receipts = []
    for job in jobs:
        refusal = _why_not(job, listing)
        if refusal is None:
            refusal = _qdel(job.scheduler_job_id, options, commands)
        receipts.append(CancelReceipt(scheduler_job_id=job.scheduler_job_id, accepted=refusal is None, reason=refusal))
    return tuple(receipts)


def cancel_elements(
    job: SubmittedJob, indices: tuple[int, ...], options: PBSSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Ask PBS to end elements of an array, and tell for each whether it will.

    Raises:
        SchedulerError: the id is none of an array, or PBS could not be asked.
    """
    array_id = job.scheduler_job_id
    if not is_job_id(array_id) or "[]" not in array_id:
        raise SchedulerError(f"{array_id!r} is no id of an array of PBS; nothing was cancelled")
    listing = ask_queue((array_id,), options, commands, with_elements=True)
    refusal = _why_not(job, listing)
    elements = {record.job_id.partition(".")[0]: record for record in listing.elements.get(array_id, ())}
    receipts = []
    for index in indices:
        why = refusal or _why_not_element(element_id(array_id, index), elements)
        if why is None:
            why = _qdel(element_id(array_id, index), options, commands)
        receipts.append(CancelReceipt(scheduler_job_id=array_id, accepted=why is None, reason=why, index=index))
    return tuple(receipts)


def _why_not(job: SubmittedJob, listing: Listing) -> str | None:
    record = listing.records.get(job.scheduler_job_id)
    if record is None:
        if job.scheduler_job_id in listing.unanswered:
            return "PBS did not answer about the job, so it was left alone"
        return _REFUSALS["Unknown Job Id"]
    if record.tag_for(job.job_id) not in (job.job_id, None):
        return "the id belongs to another job by now"
    return _over(record)


def _why_not_element(shown_id: str, elements: Mapping[str, JobRecord]) -> str | None:
    record = elements.get(shown_id.partition(".")[0])
    if record is None:
        return "PBS does not show this element"
    return "the element is already over" if record.text("job_state") == "X" else _over(record)


def _over(record: JobRecord) -> str | None:
    return f"the job is already over ({record.text('job_state')})" if ending_of(record).is_over else None


def _qdel(job_id: str, options: PBSSchedulerOptions, commands: Commands) -> str | None:
    """Run qdel for one job; return why it refused. Its exit code alone says too little."""
    argv = [options.qdel_path, job_id]
    reply = ask(argv, options, commands)
    refusal = _REFUSAL.search(reply.stderr)
    if refusal is not None:
        return _REFUSALS[refusal[1]]
    if reply.exit_code != 0 or reply.stderr.strip():
        raise command_failed(argv, reply)
    return None
