"""Compile dependencies into Slurm's expression."""

from __future__ import annotations

from molq.backend import CompiledDependencies, DependencyCondition, SchedulerError, UpstreamJob
from molq_slurm.programs import is_job_id

# Source: https://slurm.schedmd.com/sbatch.html, --dependency
CONDITIONS: dict[DependencyCondition, str] = {
    "after": "afterany",
    "after_failure": "afternotok",
    "after_started": "after",
    "after_success": "afterok",
}


def compile_dependencies(upstreams: tuple[UpstreamJob, ...]) -> CompiledDependencies:
    """Return ``afterok:12,afterany:15``: all conditions must hold. An array's id stands for all of its elements."""
    for upstream in upstreams:
        if not is_job_id(upstream.scheduler_job_id):
            raise SchedulerError(f"{upstream.scheduler_job_id!r} is no id of a Slurm job, so nothing can wait for it")
    edges = tuple(f"{CONDITIONS[upstream.condition]}:{upstream.scheduler_job_id}" for upstream in upstreams)
    return CompiledDependencies(expression=",".join(edges), edges=edges)
