"""Find jobs by the tag that was planted at their submission."""

from __future__ import annotations

import re
import time

from molq.backend import Commands, FoundJob, SchedulerError
from molq_lsf.dialects import Dialect, find_dialect
from molq_lsf.history import Source, parse_history, run_bhist
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.queue_listing import ask_all
from molq_lsf.tags import tag_in_name

_WIDE_HISTORY = re.compile(r"^([1-9]\d{0,9})(?:\[\d+\])? +\S+ +(molq-\S+)", re.MULTILINE | re.ASCII)
_TAG = re.compile(r"Job Description <molq:([0-9A-Za-z_-]{1,64})>", re.ASCII)


def find_jobs(tags: tuple[str, ...], options: LSFSchedulerOptions, commands: Commands) -> tuple[FoundJob, ...]:
    """Return the jobs that carry one of ``tags``, from bjobs, and from the history for those that bjobs lacks.

    All of the user's jobs are listed, and none is asked for by its name: OpenLava takes a name that begins with ``*``
    for all names, and a name without an index may or may not mean an array.

    Raises:
        SchedulerError: bjobs, or bhist when it was needed, could not be asked.
    """
    dialect = find_dialect(options.bjobs_path, options, commands)
    found: dict[str, str] = {}
    for row in ask_all(dialect, options, commands):
        if row.tag in tags:
            found.setdefault(row.tag, row.job_id)
    missing = set(tags) - found.keys()
    if missing:
        for tag, job_id in _in_history(dialect, options, commands):
            if tag in missing:
                found.setdefault(tag, job_id)
    return tuple(FoundJob(tag=tag, scheduler_job_id=found[tag]) for tag in dict.fromkeys(tags) if tag in found)


def _in_history(dialect: Dialect, options: LSFSchedulerOptions, commands: Commands) -> list[tuple[str, str]]:
    """Return the tags and ids of all jobs of this user that the history has."""
    # Only the long form has descriptions.
    source, text = run_bhist(["-a", "-w" if dialect == "openlava" else "-l"], options, commands)
    if source is Source.FAILED:
        raise SchedulerError(f"LSF's history could not be searched for jobs: {text}")
    if dialect == "openlava":
        return [(tag_in_name(name), job_id) for job_id, name in _WIDE_HISTORY.findall(text)]
    described = ((_TAG.search(one.head), one.job_id) for one in parse_history(text, dialect, time.time()))
    return [(match[1], job_id) for match, job_id in described if match is not None]
