"""Find jobs by the tag that was planted at their submission."""

from __future__ import annotations

import os
import time

from molq.backend import Commands, FoundJob, SchedulerError
from molq_slurm.accounting import Source, parse_line, run_sacct
from molq_slurm.options import SlurmSchedulerOptions
from molq_slurm.programs import SEPARATOR, is_job_id, tags_in
from molq_slurm.queue_listing import ask_all


def find_jobs(
    tags: tuple[str, ...], since: float, options: SlurmSchedulerOptions, commands: Commands
) -> tuple[FoundJob, ...]:
    """Return the jobs that carry one of ``tags``, from squeue, and from accounting for those that squeue lacks.

    Without a search by id, accounting leaves out jobs that never were eligible to run; those are in squeue.

    Raises:
        SchedulerError: squeue, or accounting when it was needed, could not be asked.
    """
    found: dict[str, str] = {}
    missing = set(tags)
    for line in ask_all(options, commands).split("\n"):
        fields = line.split(SEPARATOR)
        tag = tags_in(line)
        if tag in missing and len(fields) > 2 and is_job_id(fields[1]):
            found.setdefault(tag, fields[1])
    missing -= found.keys()
    if missing:
        found.update(_in_accounts(missing, since, options, commands))
    return tuple(FoundJob(tag=tag, scheduler_job_id=found[tag]) for tag in dict.fromkeys(tags) if tag in found)


def _in_accounts(tags: set[str], since: float, options: SlurmSchedulerOptions, commands: Commands) -> dict[str, str]:
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since))
    source, text = run_sacct([f"--starttime={start}", f"--user={os.getuid()}"], options, commands)
    if source is Source.FAILED:
        raise SchedulerError(f"Slurm's accounting could not be searched for jobs: {text}")
    if source is Source.DISABLED:
        return {}
    rows = [row for row in map(parse_line, text.split("\n")) if row is not None]
    tagged = ((tags_in(row.submit_line), row.job_id) for row in rows)
    return {tag: job_id for tag, job_id in tagged if tag in tags}
