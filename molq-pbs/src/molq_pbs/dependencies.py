"""Compile dependencies into PBS's expression, and read it back."""

from __future__ import annotations

import re

from molq.backend import CompiledDependencies, DependencyCondition, SchedulerError, UpstreamJob
from molq_pbs.programs import is_job_id

# Source: qsub(1B) of OpenPBS 23.06, -W depend
CONDITIONS: dict[DependencyCondition, str] = {
    "after": "afterany",
    "after_failure": "afternotok",
    "after_started": "after",
    "after_success": "afterok",
}

_LISTED = re.compile(r"([a-z]+):(.+)", re.ASCII)


def compile_dependencies(upstreams: tuple[UpstreamJob, ...]) -> CompiledDependencies:
    """Return ``afterok:12.s:13.s,afterany:15.s``: all conditions must hold.

    An edge is ``afterok:13.s``, though within the expression jobs of one type share its name.
    """
    groups: dict[str, list[str]] = {}
    for upstream in upstreams:
        if not is_job_id(upstream.scheduler_job_id):
            raise SchedulerError(f"{upstream.scheduler_job_id!r} is no id of a PBS job, so nothing can wait for it")
        groups.setdefault(CONDITIONS[upstream.condition], []).append(upstream.scheduler_job_id)
    return CompiledDependencies(
        expression=",".join(":".join([kind, *ids]) for kind, ids in groups.items()),
        edges=tuple(f"{CONDITIONS[upstream.condition]}:{upstream.scheduler_job_id}" for upstream in upstreams),
    )


def read_dependencies(expression: str) -> frozenset[tuple[str, str]]:
    """Return the types and ids in an expression, or in the attribute ``depend`` of a job, without servers.

    There, ``before…`` names those that wait for the job itself, and each id is followed by the server that has it.
    """
    found: set[tuple[str, str]] = set()
    for part in expression.split(","):
        match = _LISTED.fullmatch(part.strip())
        if match and not match[1].startswith("before"):
            found.update((match[1], job_id.partition("@")[0].partition(".")[0]) for job_id in match[2].split(":"))
    return frozenset(found)
