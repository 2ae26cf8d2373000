"""Find out whose LSF this is: OpenLava takes the long options of IBM's for something else."""

from __future__ import annotations

import re
from typing import Literal

from molq.backend import Commands, SchedulerError, command_failed, words_of
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.programs import could_not_ask

Dialect = Literal["spectrum", "openlava"]

# "IBM Spectrum LSF Standard 10.1.0.9", "Platform LSF HPC 7"; but not what OpenLava says of "an LSF library call".
_SPECTRUM = re.compile(r"\bLSF (?:\w+ ){0,6}\d")


def find_dialect(program: str, options: LSFSchedulerOptions, commands: Commands) -> Dialect:
    """Return the dialect that the options name, or else that ``program`` shows by its version.

    Raises:
        SchedulerError: the program does not run, or its version is neither's.
    """
    if options.dialect != "auto":
        return options.dialect
    argv = [program, "-V"]
    reply = commands.run(argv, timeout=options.command_timeout.seconds)
    dialect = dialect_in(reply.stderr + reply.stdout)
    if dialect is None and could_not_ask(reply):
        raise command_failed(argv, reply)
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
