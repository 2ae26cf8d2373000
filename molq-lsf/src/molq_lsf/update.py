"""Make a waiting job wait for something else."""

from __future__ import annotations

import re

from molq.backend import Commands, SchedulerError, SubmittedJob, command_failed
from molq_lsf.dialects import find_dialect
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.programs import could_not_ask, is_job_id
from molq_lsf.queue_listing import ask_queue

_CHANGED = re.compile(r"^Parameters of job <([1-9]\d*)> are being changed", re.MULTILINE)
_NOT_MODIFIED = "Job not modified"


def update_dependencies(job: SubmittedJob, expression: str, options: LSFSchedulerOptions, commands: Commands) -> bool:
    """Return whether the job now waits for ``expression``; an empty one means for nothing.

    Raises:
        SchedulerError: LSF could not be asked.
    """
    job_id = job.scheduler_job_id
    if not is_job_id(job_id):
        raise SchedulerError(f"{job_id!r} is no id of an LSF job")
    dialect = find_dialect(options.bjobs_path, options, commands)
    rows = ask_queue((job_id,), dialect, options, commands).rows.get(job_id, ())
    # bmod would change a job that runs too, which then waits for nothing all the same.
    if not rows or any(row.tag not in (None, job.job_id) for row in rows):
        return False
    if not all(row.state in ("PEND", "PSUSP") for row in rows):
        return False
    argv = [options.bmod_path, *(("-w", expression) if expression else ("-wn",)), job_id]
    reply = commands.run(argv, timeout=options.command_timeout.seconds)
    if job_id in _CHANGED.findall(reply.stdout):
        return True
    if _NOT_MODIFIED in reply.stderr and not could_not_ask(reply):
        return False
    raise command_failed(argv, reply)
