"""Word the calls of PBS's programs and their failures."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence

from molq.backend import CommandReply, Commands, chunked
from molq_pbs.options import PBSSchedulerOptions

TAG_VARIABLE = "MOLQ_TAG"
"""The variable in a job's list that carries molq's id; the script takes it out of its own environment."""

_LONGEST_ARGUMENTS = 500_000  # Linux takes 2 MiB of arguments and environment together
_SECONDS_PER_JOB = 0.02  # a server answers 275 to 370 questions about single jobs in a second (measured on OpenPBS)
_LONGEST_ID = 255
_JOB_ID = re.compile(r"[1-9]\d{0,17}(?:\[\])?(?:\.[A-Za-z0-9][A-Za-z0-9._-]*)?", re.ASCII)
_TIME = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d{2}):(\d{2}):(\d{2}) (\d{4})", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def is_job_id(text: str) -> bool:
    """Tell whether this is the id of a whole job, such as ``12.server`` or ``12[].server``, and no option."""
    return len(text) <= _LONGEST_ID and _JOB_ID.fullmatch(text) is not None


def split_id(job_id: str) -> tuple[str, str]:
    """Return the number of an id with its brackets, and the server; that is empty if the id does not name it."""
    number, _, server = job_id.partition(".")
    return number, server


def element_id(array_id: str, index: int) -> str:
    """Return the id of an array's element: ``12[3].server`` of ``12[].server``."""
    return array_id.replace("[]", f"[{index}]", 1)


def names_same_job(one: str, other: str) -> bool:
    """Tell whether two ids mean the same job; the name of the server may be missing, or shortened, in one of them."""
    (number, server), (other_number, other_server) = split_id(one), split_id(other)
    if number != other_number:
        return False
    shorter, longer = sorted((server, other_server), key=len)
    return not shorter or longer == shorter or longer.startswith(f"{shorter}.")


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    """Split ids so that each part fits into one command line: each has an end, and a pointer to it."""
    return chunked(ids, _LONGEST_ARGUMENTS, overhead=9)


def ask(argv: Sequence[str], options: PBSSchedulerOptions, commands: Commands, jobs: int = 1) -> CommandReply:
    """Run a program that asks about, or changes, some jobs: PBS's own never give up, so each call has a limit.

    Raises:
        SchedulerError: it could not be started, or did not end in time.
    """
    return commands.run(argv, timeout=options.command_timeout.seconds + jobs * _SECONDS_PER_JOB)


def tag_argument(job_id: str) -> str:
    """Return the value of qsub's ``-v`` that plants molq's id in the job's list of variables."""
    return f"{TAG_VARIABLE}={job_id}"


def read_time(text: str | None) -> float | None:
    """Return the time that ``Sun Nov 22 17:10:43 2026`` means here, in seconds since the epoch; None for all else."""
    match = _TIME.fullmatch(text or "")
    if match is None or match[1] not in _MONTHS:
        return None
    month, (day, hour, minute, second, year) = _MONTHS.index(match[1]) + 1, map(int, match.groups()[1:])
    try:
        return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
    except (OverflowError, ValueError):
        return None
