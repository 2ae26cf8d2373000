"""Find out whose LSF this is: OpenLava takes the long options of IBM's for something else."""

from __future__ import annotations

import re
from typing import Literal

from molq.backend import Commands, SchedulerError
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.programs import words_of

Dialect = Literal["spectrum", "openlava"]

_SPECTRUM = re.compile(r"\bLSF\b")


def find_dialect(program: str, options: LSFSchedulerOptions, commands: Commands) -> Dialect:
    """Return the dialect that the options name, or else that ``program`` shows by its version.

    Raises:
        SchedulerError: the program does not run, or its version is neither's.
    """
    if options.dialect != "auto":
        return options.dialect
    reply = commands.run([program, "-V"], timeout=options.command_timeout.seconds)
    dialect = dialect_in(reply.stderr + reply.stdout)
    if dialect is None:
        raise SchedulerError(
            f"{program!r} -V tells neither OpenLava nor IBM's LSF ({words_of(reply)}); "
            "set the option dialect to 'openlava' or 'spectrum'"
        )
    return dialect


def dialect_in(version: str) -> Dialect | None:
    """Return the dialect of a version's text."""
    if "openlava" in version.lower():
        return "openlava"
    return "spectrum" if _SPECTRUM.search(version) else None
