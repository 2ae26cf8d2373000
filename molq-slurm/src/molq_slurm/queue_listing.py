"""Ask squeue, which knows every job that is not over and, for some minutes, those that are."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

import attrs

from molq.backend import Commands, SchedulerError
from molq_slurm.options import SlurmSchedulerOptions
from molq_slurm.programs import SEPARATOR, TIMEOUT, cluster_flags, failure, listing, read_time

# The only texts of other people's making stand last. Source of the names: squeue(1) of 22.05.8, --Format.
_COLUMNS = (
    "JobID",
    "ArrayJobID",
    "ArrayTaskID",
    "State",
    "exit_code",
    "RestartCnt",
    "StartTime",
    "EndTime",
    "NodeList",
    "Reason",
    "Comment",
    "Command",
)
_FORMAT = ",".join(f"{name}:{SEPARATOR}" for name in _COLUMNS[:-1]) + f",{_COLUMNS[-1]}:"
_FREE_TEXT = _COLUMNS.index("Comment")
_UNKNOWN_ID = "Invalid job id specified"
_WORD = re.compile(r"[A-Z_]{1,32}", re.ASCII)


class QueueRow(NamedTuple):
    """One line of squeue: a job, or one or several elements of an array. A tuple, since a poll makes thousands.

    Attributes:
        job_id: the id by which jobs are asked for; that of the array for its elements.
        indices: the element or elements, as squeue writes them; ``"N/A"`` if this is no array.
        state: the state word.
        exit_status: the wait status (exit code * 256 + signal), if it was printed.
        restarts: how often Slurm started it again.
        started_at: when it started, or may start.
        ended_at: when it ended, or will at the latest.
        nodes: the nodes that it has or had; empty if it has had none.
        reason: why it waits or ended, in Slurm's word; empty if there is no reason.
        free_text: its comment and command.
    """

    job_id: str
    indices: str
    state: str
    exit_status: int | None
    restarts: int
    started_at: float | None
    ended_at: float | None
    nodes: str
    reason: str
    free_text: str


@attrs.frozen
class QueueListing:
    """What squeue said.

    Attributes:
        rows: the lines about each job that was asked for and is there.
        garbled: jobs of which a line begins with the id and cannot be read.
    """

    rows: Mapping[str, tuple[QueueRow, ...]]
    garbled: frozenset[str]


def ask_queue(job_ids: Collection[str], options: SlurmSchedulerOptions, commands: Commands) -> QueueListing:
    """Return what squeue knows of jobs, asked by one command.

    Raises:
        SchedulerError: it could not be asked, or its answer cannot be an answer.
    """
    argv = _argv(job_ids, options)
    reply = commands.run(argv, timeout=TIMEOUT)
    if reply.exit_code != 0:
        if len(job_ids) == 1 and _UNKNOWN_ID in reply.stderr:
            return QueueListing(rows={}, garbled=frozenset())
        raise failure(argv, reply)
    if not reply.stdout and "error" in reply.stderr:
        raise failure(argv, reply)
    return parse_listing(reply.stdout, job_ids)


def ask_all(options: SlurmSchedulerOptions, commands: Commands) -> str:
    """Return squeue's lines about all jobs of this user, unread.

    Raises:
        SchedulerError: as ``ask_queue``.
    """
    argv = _argv((), options)
    reply = commands.run(argv, timeout=TIMEOUT)
    if reply.exit_code != 0 or (not reply.stdout and "error" in reply.stderr):
        raise failure(argv, reply)
    return reply.stdout


def _argv(job_ids: Collection[str], options: SlurmSchedulerOptions) -> list[str]:
    # With several ids, the controller would send every user's jobs and look for each id in turn; a single id is cheap.
    whose = f"--jobs={next(iter(job_ids))}" if len(job_ids) == 1 else "--me"
    what = ("--noheader", "--all", "--states=all", whose, f"--Format={_FORMAT}")
    return listing(options.squeue_path, *cluster_flags(options), *what)


def parse_listing(text: str, job_ids: Collection[str]) -> QueueListing:
    """Return the rows of ``job_ids``; other jobs' lines and continued comments are passed over.

    Raises:
        SchedulerError: the text is cut off, or is no listing at all.
    """
    if text and not text.endswith("\n"):
        raise SchedulerError("squeue's answer is cut off: its last line has no end")
    wanted = frozenset(job_ids)
    rows: dict[str, list[QueueRow]] = {}
    garbled: set[str] = set()
    is_listing = not text.strip()
    for line in text.split("\n"):
        fields = line.split(SEPARATOR, _FREE_TEXT)
        if len(fields) >= _FREE_TEXT and fields[0].isdigit():
            is_listing = True
            if fields[1] in wanted:
                row = _row(fields)
                if row is not None:
                    rows.setdefault(row.job_id, []).append(row)
                    continue
        else:
            fields = re.split(r"\D", line, maxsplit=1)
        garbled.update(wanted.intersection(fields[:2]))
    if not is_listing:
        raise SchedulerError(f"squeue's answer is no list of jobs: {' '.join(text.split())[:200]!r}")
    return QueueListing(
        rows={job_id: tuple(found) for job_id, found in rows.items()}, garbled=frozenset(garbled - rows.keys())
    )


def _row(fields: list[str]) -> QueueRow | None:
    raw_id, array_id, indices, state, status, restarts, start, end, nodes, reason = fields[:_FREE_TEXT]
    if not (_WORD.fullmatch(state) and raw_id and array_id):
        return None
    return QueueRow(
        array_id,
        indices,
        state,
        int(status) if status.isdecimal() else None,
        int(restarts) if restarts.isdecimal() else 0,
        read_time(start),
        read_time(end),
        nodes,
        "" if reason in ("None", "(null)") else reason,
        fields[_FREE_TEXT] if len(fields) > _FREE_TEXT else "",
    )
