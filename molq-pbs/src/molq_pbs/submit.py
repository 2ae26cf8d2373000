"""Submit a script with qsub."""

from __future__ import annotations

import re
from pathlib import Path

from molq.backend import CommandFailedError, Commands, SubmitReceipt, SubmitRejected
from molq_pbs.directives import dependency_attribute, fits_a_directive
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.prelude import PBSRequest
from molq_pbs.programs import ask, tag_argument
from molq_pbs.submit_environment import write_environment
from molq_pbs.submit_replies import read_submit_reply

_OPENPBS_VERSION = re.compile(r"^pbs_version = ", re.MULTILINE)
_TORQUE_VERSION = re.compile(r"^version: ", re.MULTILINE | re.IGNORECASE)


def submit_job(script: Path, request: PBSRequest, commands: Commands) -> SubmitReceipt:
    """Return the receipt of the job that ``script`` describes.

    Raises:
        SubmitRejected, SubmitDeferred, SubmitUnconfirmed: as ``read_submit_reply``.
    """
    options = request.options
    if options.dialect == "auto":
        _refuse_torque(options, commands)
    write_environment(script.parent, commands.environment)
    argv = [options.qsub_path, *options.extra_qsub_flags, "-v", tag_argument(request.job_id)]
    if not options.is_torque:
        # Else a process stays behind that holds the lock of this submission, and answers the next ones.
        argv.append("-f")
    depend = dependency_attribute(request)
    if depend is not None and not fits_a_directive(depend):
        argv += ["-W", depend]
    return read_submit_reply(commands.submit([*argv, str(script)], timeout=2 * options.command_timeout.seconds))


def is_torques(version: str) -> bool:
    """Tell whether a program that prints this when asked for its version is Torque's."""
    return _TORQUE_VERSION.search(version) is not None and not _OPENPBS_VERSION.search(version)


def _refuse_torque(options: PBSSchedulerOptions, commands: Commands) -> None:
    """Refuse a script for OpenPBS that Torque would get: it may pass over requests that it does not know."""
    try:
        reply = ask([options.qsub_path, "--version"], options, commands)
    except CommandFailedError:
        return
    if is_torques(f"{reply.stdout}\n{reply.stderr}"):
        raise SubmitRejected(f"{options.qsub_path!r} is Torque's; set the option dialect='torque'")
