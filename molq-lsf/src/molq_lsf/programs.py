"""Word the calls of LSF's programs and their failures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from molq.backend import CommandReply, chunked

_MOST_LETTERS = 100_000  # Linux takes 2 MiB of arguments
_JOB_ID = re.compile(r"[1-9]\d{0,9}", re.ASCII)

# What a program says, on either stream and before an answer or instead of it, while it cannot reach its daemons.
# Source: recorded from OpenLava 2.2; LSB_MBD_BUSY_MSG and its siblings of LSF 10.1.
_WAITING = re.compile(r"still trying|Please wait|not responding", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"still trying|not responding|Please wait|Failed in an LSF library call|LIM is down|lsb_init|"
    r"Batch library internal error|System call failed|daemon internal error|Communication timeout|"
    r"Timeout on connect|Connection refused|Unable to contact|Batch protocol error|ls_getclustername",
    re.IGNORECASE,
)
_USAGE = re.compile(
    r"(?:invalid|illegal|unknown|unrecognized) option|^Usage:|(?:invalid|illegal|unknown|bad) field",
    re.IGNORECASE | re.MULTILINE,
)


def is_job_id(text: str) -> bool:
    """Tell whether this is the id of a whole job: a number, and nothing that a program could take for an option."""
    return _JOB_ID.fullmatch(text) is not None


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    """Split ids so that each part fits into one command."""
    return chunked(ids, _MOST_LETTERS)


def meaningful_lines(text: str) -> Iterator[str]:
    """Yield the lines of an answer without those that say that a daemon lets the program wait."""
    return (line for line in text.split("\n") if not _WAITING.search(line) or line[:1].isdigit())


def could_not_ask(reply: CommandReply) -> bool:
    """Tell whether a program complained that it could not reach its daemons, though it may have in the end."""
    return _UNREACHABLE.search(reply.stderr) is not None or _UNREACHABLE.search(reply.stdout) is not None


def knows_not_the_options(reply: CommandReply) -> bool:
    """Tell whether a program is too old for what it was called with."""
    return _USAGE.search(reply.stderr) is not None
