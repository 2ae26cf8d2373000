"""Submit a script with bsub."""

from __future__ import annotations

from pathlib import Path

from molq.backend import (
    CommandFailedError,
    CommandNotStartedError,
    Commands,
    SchedulerError,
    SubmitDeferred,
    SubmitReceipt,
    SubmitRejected,
)
from molq_lsf.dialects import Dialect, find_dialect
from molq_lsf.directives import LSFRequest, dependency_arguments, needs_spectrum, refuse_on_openlava, submitted_text
from molq_lsf.openlava_options import first_misread
from molq_lsf.submit_replies import read_submit_reply
from molq_lsf.tags import tag_arguments


def submit_job(script: Path, request: LSFRequest, commands: Commands) -> SubmitReceipt:
    """Return the receipt of the job that ``script`` describes.

    Raises:
        SubmitRejected, SubmitDeferred, SubmitUnconfirmed: as the hook's.
    """
    options = request.options
    dialect = _dialect(request, commands)
    if dialect == "openlava":
        _refuse_what_openlava_lacks(request)
    try:
        text = submitted_text(script.read_bytes().decode(errors="surrogateescape"), str(script))
    except OSError as error:
        raise SubmitRejected(f"cannot read the script {str(script)!r}: {error.strerror}") from error
    argv = [options.bsub_path, *tag_arguments(request, dialect), *dependency_arguments(request)]
    argv += options.extra_bsub_flags
    return read_submit_reply(commands.submit(argv, stdin=text, timeout=2.0 * options.command_timeout.seconds))


def _refuse_what_openlava_lacks(request: LSFRequest) -> None:
    field, word = needs_spectrum(request), first_misread(request.options.extra_bsub_flags)
    if field is not None:
        raise refuse_on_openlava(field)
    if word is not None:
        raise SubmitRejected(
            f"OpenLava's bsub would not take {word!r} of extra_bsub_flags for the option that is meant; "
            "drop it, and give each option and each value as a word of its own"
        )


def _dialect(request: LSFRequest, commands: Commands) -> Dialect:
    """Return the dialect; that it cannot be told is no doubt about the job, for which nothing was done yet."""
    try:
        return find_dialect(request.options.bsub_path, request.options, commands)
    except CommandNotStartedError:
        raise
    except CommandFailedError as error:
        raise SubmitDeferred(str(error)) from error
    except SchedulerError as error:
        raise SubmitRejected(str(error)) from error
