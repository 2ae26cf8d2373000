"""Keep the variables of the process that submits a job, for attempts that another process submits later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from molq.job_files import check_is_missing
from molq.job_folder import JobFolder

SUBMITTER_ENVIRONMENT = "submitter.environ"
"""The file in the folder of a job's first attempt, in the form of ``/proc/PID/environ``."""


def keep(folder: JobFolder, environment: Mapping[str, str], *, sync: bool) -> None:
    """Write the variables into a job's folder, for its user alone; on disk when this returns if ``sync``.

    Raises:
        OSError: they cannot be written.
    """
    content = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in environment.items())
    folder.write(SUBMITTER_ENVIRONMENT, content, sync=sync)


def kept_in(job_dir: Path) -> dict[str, str] | None:
    """Return the variables that were kept in a job's folder; None if none were.

    Raises:
        UnreadableFilesError: that cannot be told.
    """
    try:
        content = (job_dir / SUBMITTER_ENVIRONMENT).read_bytes()
    except OSError as error:
        check_is_missing(error)
        return None
    pairs = (os.fsdecode(pair).partition("=") for pair in content.split(b"\0") if pair)
    return {name: value for name, _, value in pairs}
