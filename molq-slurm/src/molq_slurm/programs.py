"""Word the calls of Slurm's programs and their failures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from molq.backend import CommandFailedError, CommandReply, SubmittedJob, chunked, command_failed
from molq_slurm.options import SlurmSchedulerOptions

TIMEOUT = 90.0
"""Seconds for a query: without its configuration squeue 22.05.8 gives up after 59 s, hung or down after 10 to 20 s."""

SEPARATOR = "\x1f"
"""Stands between the columns that are asked for: no word, number, time or list of nodes of Slurm's holds it."""

_LONGEST_ARGUMENT = 100_000  # Linux takes 128 KiB in one argument
_JOB_ID = re.compile(r"[1-9]\d{0,9}", re.ASCII)
_TAG = re.compile(r"\bmolq:([0-9A-Za-z_.-]{1,64})")


def is_job_id(text: str) -> bool:
    """Tell whether this is the id of a whole job: a number, and nothing that a program could take for an option."""
    return _JOB_ID.fullmatch(text) is not None


def cluster_flags(options: SlurmSchedulerOptions) -> tuple[str, ...]:
    """Return the flag that names the cluster, if the options do."""
    return () if options.cluster is None else (f"--clusters={options.cluster}",)


def listing(program: str, *arguments: str) -> list[str]:
    """Return the call of a program that lists jobs, with lists of indices uncut and times in seconds.

    Both can only be had by variables: by default an array's indices end after 64 characters, and times depend on the
    time zone.
    """
    return ["env", "SLURM_BITSTR_LEN=0", "SLURM_TIME_FORMAT=%s", program, *arguments]


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    """Split ids so that each part, joined by commas, fits into one argument."""
    return chunked(ids, _LONGEST_ARGUMENT)


def tag_argument(job_id: str) -> str:
    """Return the flag that plants molq's id where squeue shows it, and in the command line that sacct keeps."""
    return f"--comment=molq:{job_id}"


def tag_in(text: str, job: SubmittedJob) -> str:
    """Return whose job it is by its comment and command; ``""`` for a job that is not molq's.

    The path of the script stands beside the comment as a second witness, since sites may rewrite comments.
    """
    if job.job_id in text:
        return job.job_id
    match = _TAG.search(text)
    return match[1] if match else ""


def tags_in(text: str) -> str | None:
    """Return the tag in a comment or a command line, if there is one."""
    match = _TAG.search(text)
    return match[1] if match else None


def failure(argv: Sequence[str], reply: CommandReply) -> CommandFailedError:
    """Return the error for a program that failed."""
    shown = " ".join(argv[3:] if argv[0] == "env" else argv)
    return command_failed(argv, reply, shown=shown.replace(SEPARATOR, "|"))


def read_time(text: str) -> float | None:
    """Return a time in seconds since the epoch; None for ``N/A``, ``Unknown`` and the like."""
    return float(text) if text.isascii() and text.isdigit() and text != "0" else None
