"""Plant molq's id where LSF lists it, and read it again.

IBM's LSF has a description for each job (``-Jd``), so the name is the user's alone. OpenLava lists nothing of a job
that is free but its name, so there the tag stands before the name: bjobs shows the end of a long name.
"""

from __future__ import annotations

import re

from molq.backend import SubmitRequest
from molq_lsf.dialects import Dialect
from molq_lsf.options import LSFSchedulerOptions

_LONGEST_NAME = 128  # OpenLava 2.2 took 200 characters and refused 600; the tag and an array's indices come on top
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_IN_NAME = re.compile(r"molq-([0-9A-Za-z_-]{1,64})\.", re.ASCII)
_IN_DESCRIPTION = re.compile(r"molq:([0-9A-Za-z_-]{1,64})", re.ASCII)
_INDEX = re.compile(r"\[(\d{1,9})\]$", re.ASCII)


def safe_name(name: str) -> str:
    """Return a job name in the letters that LSF takes for arrays too. The true name stays in molq's store."""
    return _UNSAFE.sub("_", name).strip("_.-")[:_LONGEST_NAME] or "molq"


def name_argument(request: SubmitRequest[LSFSchedulerOptions]) -> str:
    """Return the value of ``-J`` without a tag: ``name`` or ``name[1-5]%2``."""
    name, spec = safe_name(request.job_name), request.scheduling.array_spec
    if spec is None:
        return name
    indices, percent, limit = spec.partition("%")
    return f"{name}[{indices}]{percent}{limit}"


def tag_arguments(request: SubmitRequest[LSFSchedulerOptions], dialect: Dialect) -> list[str]:
    """Return the arguments of bsub that plant the tag."""
    if dialect == "spectrum":
        return ["-Jd", f"molq:{request.job_id}"]
    return ["-J", f"molq-{request.job_id}.{name_argument(request)}"]


def tag_in_name(name: str) -> str:
    """Return whose job it is by its name, on OpenLava; ``""`` for a job that is not molq's."""
    match = _IN_NAME.match(name)
    return match[1] if match else ""


def tag_in_description(text: str) -> str:
    """Return whose job it is by its description, on IBM's LSF; ``""`` for a job that is not molq's."""
    match = _IN_DESCRIPTION.fullmatch(text)
    return match[1] if match else ""


def tag_in_history(head: str, name: str | None, job_id: str, dialect: Dialect) -> str | None:
    """Return whose job it is by the first line that bhist has of it; None if that does not show it.

    Args:
        head: the line, which ends in the command: a line that runs the script in the job's folder.
        name: the name in it.
        job_id: molq's id of the job that was asked for.
        dialect: OpenLava always shows the name; of IBM's LSF nobody has recorded what it shows.
    """
    described = re.search(r"Job Description <molq:([0-9A-Za-z_-]{1,64})>", head)
    if described is not None:
        return described[1]
    if dialect == "openlava":
        return tag_in_name(name or "")
    return job_id if f"/{job_id}/" in head else None


def index_in_name(name: str) -> int | None:
    """Return the index of an array's element by its name; None if it is none."""
    match = _INDEX.search(name)
    return int(match[1]) if match else None
