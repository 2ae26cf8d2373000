"""Compile dependencies into LSF's expression."""

from __future__ import annotations

from molq.backend import CompiledDependencies, DependencyCondition, SchedulerError, UpstreamJob
from molq_lsf.programs import is_job_id

# Source: bsub(1) of OpenLava 2.2 and IBM Spectrum LSF 10.1, -w.
CONDITIONS: dict[DependencyCondition, str] = {
    "after": "ended",
    "after_failure": "exit",
    "after_started": "started",
    "after_success": "done",
}


def compile_dependencies(upstreams: tuple[UpstreamJob, ...]) -> CompiledDependencies:
    """Return ``done(12) && ended(15)``: all conditions must hold."""
    for upstream in upstreams:
        if not is_job_id(upstream.scheduler_job_id):
            raise SchedulerError(f"{upstream.scheduler_job_id!r} is no id of an LSF job, so nothing can wait for it")
    edges = tuple(f"{CONDITIONS[upstream.condition]}({upstream.scheduler_job_id})" for upstream in upstreams)
    return CompiledDependencies(expression=" && ".join(edges), edges=edges)
