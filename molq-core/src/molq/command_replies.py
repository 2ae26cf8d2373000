"""What a scheduler's program answered, and how that is told to people."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from molq.errors import CommandFailedError

_LONGEST_SHOWN = 120
_LONGEST_WORDS = 500


@attrs.frozen(kw_only=True)
class CommandReply:
    """How a program ended and what it wrote.

    Attributes:
        exit_code: the exit code, minus the signal's number if one ended it; None in a reply that was found on
            disk after the process that waited for the program had died.
        stdout: what it wrote on standard output.
        stderr: what it wrote on standard error.
    """

    exit_code: int | None
    stdout: str
    stderr: str


def words_of(reply: CommandReply) -> str:
    """Return what a program said about its failure, on one line."""
    said = " ".join(reply.stderr.split()) or " ".join(reply.stdout.split())
    return said[:_LONGEST_WORDS] or "it said nothing"


def command_failed(argv: Sequence[str], reply: CommandReply, *, shown: str | None = None) -> CommandFailedError:
    """Return the error for a program that failed.

    Args:
        argv: the command.
        reply: how it ended.
        shown: the command for people, if not as it is.
    """
    text = " ".join(argv) if shown is None else shown
    text = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return CommandFailedError(
        f"{text!r} ended with exit code {reply.exit_code}: {words_of(reply)}",
        argv=tuple(argv),
        exit_code=reply.exit_code,
        stderr=reply.stderr,
    )
