"""Cancel jobs: only those that are still ours, and judged by Slurm's words."""

from __future__ import annotations

import re

from molq.backend import CancelReceipt, Commands, SchedulerError, SubmittedJob
from molq_slurm.array_ids import parse_indices
from molq_slurm.options import SlurmSchedulerOptions
from molq_slurm.programs import TIMEOUT, chunks, cluster_flags, failure, is_job_id, tag_in
from molq_slurm.queue_listing import QueueRow, ask_queue
from molq_slurm.states import MEANINGS

_REFUSAL = re.compile(r"^scancel: error: Kill job error on job id ([1-9]\d*(?:_\d+)?)\S*: (.+)$", re.MULTILINE)
_OVER = "Job/step already completing or completed"
# What scancel says of a job when it could not ask. Source: recorded from 22.05.8.
_NOT_ASKED = re.compile(
    r"Unable to contact slurm controller|timed out|authentication error|communication", re.IGNORECASE
)


def cancel_jobs(
    jobs: tuple[SubmittedJob, ...], options: SlurmSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Ask Slurm to end jobs, and tell for each whether it will.

    squeue is asked first: an id may belong to a stranger by now, and scancel is silent about jobs that it does not
    know or that are over.

    Raises:
        SchedulerError: an id is none, or Slurm could not be asked.
    """
    bad = [job.scheduler_job_id for job in jobs if not is_job_id(job.scheduler_job_id)]
    if bad:
        raise SchedulerError(f"{bad[0]!r} is no id of a Slurm job; nothing was cancelled")
    if not jobs:
        return ()
    rows = ask_queue({job.scheduler_job_id for job in jobs}, options, commands).rows
    refusals = {job.scheduler_job_id: _why_not(job, rows.get(job.scheduler_job_id)) for job in jobs}
    wanted = [job_id for job_id, refusal in refusals.items() if refusal is None]
    for part in chunks(wanted):
        refusals.update(_scancel(part, options, commands))
    return tuple(
        CancelReceipt(
            scheduler_job_id=job.scheduler_job_id,
            accepted=refusals[job.scheduler_job_id] is None,
            reason=refusals[job.scheduler_job_id],
        )
        for job in jobs
    )


def cancel_elements(
    job: SubmittedJob, indices: tuple[int, ...], options: SlurmSchedulerOptions, commands: Commands
) -> tuple[CancelReceipt, ...]:
    """Ask Slurm to end some elements of an array, and tell for each whether it will.

    Raises:
        SchedulerError: the id is none, or Slurm could not be asked.
    """
    if not is_job_id(job.scheduler_job_id):
        raise SchedulerError(f"{job.scheduler_job_id!r} is no id of a Slurm job; nothing was cancelled")
    rows = ask_queue({job.scheduler_job_id}, options, commands).rows.get(job.scheduler_job_id)
    refusal = _why_not(job, rows)
    active = set() if refusal or not rows else _active_indices(rows)
    words = {f"{job.scheduler_job_id}_{index}": index for index in indices if index in active}
    refusals = dict.fromkeys(set(indices) - active, refusal or "the element is already over, or never was")
    for part in chunks(words):
        refused = _scancel(part, options, commands)
        refusals.update({words[native_id]: said for native_id, said in refused.items()})
    return tuple(
        CancelReceipt(
            scheduler_job_id=job.scheduler_job_id,
            accepted=index not in refusals,
            reason=refusals.get(index),
            index=index,
        )
        for index in indices
    )


def _active_indices(rows: tuple[QueueRow, ...]) -> set[int]:
    active: set[int] = set()
    for row in rows:
        meaning = MEANINGS.get(row.state)
        if meaning is None or not meaning.state.is_terminal:
            active.update(parse_indices(row.indices) or ())
    return active


def _why_not(job: SubmittedJob, rows: tuple[QueueRow, ...] | None) -> str | None:
    if not rows:
        return "Slurm's controller does not know the job (any more)"
    if tag_in(rows[0].free_text, job) != job.job_id:
        return "the id belongs to another job by now"
    meanings = [MEANINGS.get(row.state) for row in rows]
    if all(meaning is not None and meaning.state.is_terminal for meaning in meanings):
        return f"the job is already over ({rows[0].state})"
    return None


def _scancel(job_ids: list[str], options: SlurmSchedulerOptions, commands: Commands) -> dict[str, str]:
    """Run scancel; return why it refused, by id."""
    # Only with --verbose does it tell of jobs that it could not cancel; its exit code is 0 then.
    argv = [options.scancel_path, *cluster_flags(options), "--verbose", *job_ids]
    reply = commands.run(argv, timeout=TIMEOUT + len(job_ids) / 100)
    said = [(match[1], match[2].strip()) for match in _REFUSAL.finditer(reply.stderr)]
    refusals = {native if native in job_ids else native.partition("_")[0]: words for native, words in said}
    if any(_NOT_ASKED.search(words) for words in refusals.values()):
        raise failure(argv, reply)
    if reply.exit_code != 0 and not refusals.keys() & set(job_ids):
        raise failure(argv, reply)
    # Such a job was active a moment ago, so it is just ending: what the caller wants.
    return {job_id: words for job_id, words in refusals.items() if job_id in set(job_ids) and words != _OVER}
