"""Find jobs by the tag that was planted at their submission."""

from __future__ import annotations

import os
import pwd
import time

from molq.backend import Commands, FoundJob, SchedulerError, command_failed
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.programs import ask, is_job_id
from molq_pbs.queue_listing import ask_queue

_NO_HISTORY = "not configured to maintain job history"
_NO_OPTION = "invalid option"
_FIRST_DAYS = 172_800.0  # so early, a date may be none in some time zone


def find_jobs(
    tags: tuple[str, ...], since: float, options: PBSSchedulerOptions, commands: Commands
) -> tuple[FoundJob, ...]:
    """Return the jobs that carry one of ``tags``: qselect lists those of this user since then, and qstat shows them.

    qselect alone would find a tag only in the name of a job, its account or its project, which are the user's.

    Raises:
        SchedulerError: PBS could not be asked, or did not answer about a job.
    """
    if not tags:
        return ()
    candidates = select_jobs(since, options, commands)
    listing = ask_queue(candidates, options, commands)
    wanted = frozenset(tags)
    found: dict[str, str] = {}
    for job_id, record in listing.records.items():
        tag = record.tag
        if tag in wanted:
            found.setdefault(tag, job_id)
    # Such a job may be one of those that are looked for.
    if listing.unanswered and len(found) < len(wanted):
        raise SchedulerError(f"PBS did not answer about {len(listing.unanswered)} of {len(candidates)} jobs")
    return tuple(FoundJob(tag=tag, scheduler_job_id=found[tag]) for tag in dict.fromkeys(tags) if tag in found)


def select_jobs(since: float | None, options: PBSSchedulerOptions, commands: Commands) -> tuple[str, ...]:
    """Return the ids of this user's jobs that were submitted after ``since``, also of those that are over.

    Raises:
        SchedulerError: PBS could not be asked.
    """
    mine = [options.qselect_path, "-u", _user()]
    recent = mine
    if since is not None and since > _FIRST_DAYS:
        recent = [*mine, "-tc.gt." + time.strftime("%Y%m%d%H%M.%S", time.localtime(since))]
    forms = [mine] if options.is_torque else [[*recent, "-x"], recent]
    if options.dialect == "auto":
        forms.append(mine)
    for argv in forms:
        reply = ask(argv, options, commands)
        if reply.exit_code == 0 and _NO_HISTORY not in reply.stderr:
            return _ids(reply.stdout)
        if argv is forms[-1] or not any(words in reply.stderr for words in (_NO_HISTORY, _NO_OPTION)):
            raise command_failed(argv, reply)
    return ()


def _ids(text: str) -> tuple[str, ...]:
    lines = (line.strip() for line in text.split("\n"))
    return tuple(dict.fromkeys(line for line in lines if is_job_id(line)))


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise SchedulerError(f"the user with the number {os.getuid()} has no name, so qselect cannot search") from None
