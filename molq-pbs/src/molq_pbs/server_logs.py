"""Ask tracejob, which reads the server's logs, how jobs ended that the server does not know any more."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from molq.backend import Commands, JobReport, SchedulerError, SubmittedJob
from molq_pbs.job_records import JobRecord
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.programs import ask, names_same_job
from molq_pbs.reports import report_job
from molq_pbs.states import COMPLETED, FAILED, FINISHED, SUCCEEDED, TERMINATED

_MOST_JOBS = 20  # each is looked for in all of the logs anew
_DAYS = 3
_SKEW_SECONDS = 3600.0
_SECTION = re.compile(r"^Job: (\S+)$", re.MULTILINE)
_LINE = re.compile(r"^(\d{2})/(\d{2})/(\d{4}) (\d{2}):(\d{2}):(\d{2})(?:\.\d+)? +S +(.*)$", re.MULTILINE)
_EXIT_STATUS = re.compile(r"Exit_status=(-?\d{1,9})(?: |$)")
_DELETED_BY = re.compile(r"Job (?:to be )?[Dd]eleted at request of (\S+)")
_QUEUED = "Job Queued at request of "
_RUN = "Job Run at request of "
_RUN_AGAIN = ("Job Rerun at request of ", "Job requeued")
_DROPPED = "Job deleted as result of dependency on job "


def ask_logs(jobs: Sequence[SubmittedJob], options: PBSSchedulerOptions, commands: Commands) -> tuple[JobReport, ...]:
    """Return what the server's logs say of the end of jobs; nothing of those whose own exit file tells.

    Most machines have no such logs, so that finding nothing, or no tracejob, says nothing.
    """
    asked = [job for job in jobs if "[]" not in job.scheduler_job_id and not (job.job_dir / "exit").exists()]
    asked = asked[:_MOST_JOBS]
    if not asked:
        return ()
    # The logs of the server only: those of the nodes and of the scheduler repeat it or tell less.
    flags = ("-a", "-l", "-m", "-n", str(_DAYS))
    argv = [options.tracejob_path, *flags, *(job.scheduler_job_id for job in asked)]
    try:
        reply = ask(argv, options, commands, len(asked))
    except SchedulerError:
        return ()
    records = read_logs(reply.stdout, asked, is_torque=options.is_torque)
    return tuple(report_job(job, records[job.scheduler_job_id]) for job in asked if job.scheduler_job_id in records)


def read_logs(text: str, jobs: Sequence[SubmittedJob], *, is_torque: bool = False) -> dict[str, JobRecord]:
    """Return a record of each job whose end is in the output of tracejob, as qstat would have shown it."""
    records = {}
    parts = _SECTION.split(text)
    for shown, section in zip(parts[1::2], parts[2::2], strict=True):
        job = next((job for job in jobs if names_same_job(job.scheduler_job_id, shown)), None)
        attributes = None if job is None else _end(section, job.submitted_at, is_torque=is_torque)
        if job is not None and attributes is not None:
            records[job.scheduler_job_id] = JobRecord(job.scheduler_job_id, attributes)
    return records


def _end(section: str, submitted_at: float, *, is_torque: bool) -> dict[str, str] | None:
    """Return the attributes of a job that ended; None if that is not in its lines, or they are of an older job."""
    queued_at, ended_at = None, 0.0
    status = deleted_by = None
    was_dropped = False
    for at, said in _lines(section):
        if said.startswith(_QUEUED):
            queued_at, status, deleted_by, was_dropped = at, None, None, False
        elif said.startswith((_RUN, *_RUN_AGAIN)):
            status = None
        elif found := _EXIT_STATUS.match(said):
            status, ended_at = found[1], at
        elif found := _DELETED_BY.match(said):
            deleted_by, ended_at = found[1], at
        elif said.startswith(_DROPPED):
            was_dropped, ended_at = True, at
    is_ours = queued_at is not None and queued_at >= submitted_at - _SKEW_SECONDS
    if not is_ours or (status is None and deleted_by is None and not was_dropped):
        return None
    attributes = {"obittime": time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(ended_at))}
    if status is not None:
        attributes["exit_status"] = status
    if is_torque:
        return {**attributes, "job_state": COMPLETED, **({"exit_status": "271"} if deleted_by else {})}
    substate = FAILED if status not in ("0", None) else SUCCEEDED
    if deleted_by:
        substate = TERMINATED
        attributes["comment"] = f"ran and terminated by {deleted_by}"
    return {**attributes, "job_state": FINISHED, "substate": str(substate)}


def _lines(section: str) -> list[tuple[float, str]]:
    """Return the lines with their times. Those of one second stand in no order: a job is queued first, then run."""
    lines = []
    for match in _LINE.finditer(section):
        month, day, year, hour, minute, second = map(int, match.groups()[:6])
        lines.append((_seconds(year, month, day, hour, minute, second), match[7]))
    return sorted(lines, key=lambda line: (line[0], not line[1].startswith(_QUEUED), not line[1].startswith(_RUN)))


def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> float:
    try:
        return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
    except (OverflowError, ValueError):
        return 0.0
