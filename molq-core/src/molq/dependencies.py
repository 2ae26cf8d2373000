"""Judge the edges between jobs, by what molq's own store knows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from molq.backend import CompiledDependencies, UpstreamJob
from molq.conditions import DEPENDENCY_CONDITIONS, DependencyCondition
from molq.errors import ConfigError, SubmitError
from molq.job_spec import DependencyRef
from molq.job_state import JobState
from molq.loaded_backend import Backend
from molq.records import DependencyPreview, DependencyPreviewItem, JobDependency, JobRecord

SATISFIED = "satisfied"
PENDING = "pending"
IMPOSSIBLE = "impossible"

_ENDS_THAT_SATISFY: dict[DependencyCondition, frozenset[JobState]] = {
    "after_success": frozenset({JobState.SUCCEEDED}),
    "after_failure": frozenset({JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT, JobState.LOST}),
    "after": frozenset(state for state in JobState if state.is_terminal),
}

_NEEDS: dict[DependencyCondition, str] = {
    "after_success": "it to succeed",
    "after_failure": "it to fail",
    "after_started": "it to have started",
    "after": "it to end",
}


@attrs.frozen(kw_only=True)
class ResolvedDependencies:
    """What a new job waits for.

    Attributes:
        expression: in the scheduler's words; None if nothing is left to wait for.
        edges: each upstream job's id and condition, and its part of the expression if it is still awaited.
    """

    expression: str | None
    edges: tuple[tuple[DependencyRef, str | None], ...]


def dependency_relation_state(
    dependency_type: str, related_state: JobState, related_started_at: float | None = None
) -> str:
    """Return ``"satisfied"``, ``"pending"`` or ``"impossible"`` for one edge.

    Args:
        dependency_type: what the edge demands of the upstream job.
        related_state: the upstream job's state.
        related_started_at: when it started, in seconds since the epoch; None if it has not.

    Raises:
        ValueError: ``dependency_type`` is none of the four conditions.
    """
    if dependency_type not in DEPENDENCY_CONDITIONS:
        known = ", ".join(DEPENDENCY_CONDITIONS)
        raise ValueError(f"{dependency_type!r} is no dependency condition; use one of {known}")
    if dependency_type == "after_started":
        has_started = related_started_at is not None or related_state in (JobState.RUNNING, JobState.SUCCEEDED)
        satisfied = has_started
    else:
        satisfied = related_state in _ENDS_THAT_SATISFY[dependency_type]
    if satisfied:
        return SATISFIED
    return IMPOSSIBLE if related_state.is_terminal else PENDING


def why_stranded(edge: JobDependency, state: JobState, started_at: float | None) -> str | None:
    """Return why a waiting job can never run any more, by one of its edges; None if it still can.

    Args:
        edge: the edge.
        state: the upstream job's state.
        started_at: when the upstream job started.
    """
    if dependency_relation_state(edge.dependency_type, state, started_at) != IMPOSSIBLE:
        return None
    needs = _NEEDS[edge.dependency_type]
    return f"can never run: {edge.dependency_type} needs {needs}, and job {edge.dependency_job_id} is {state.value}"


def resolve(
    refs: Sequence[DependencyRef], upstreams: Mapping[str, JobRecord], backend: Backend, cluster_name: str
) -> ResolvedDependencies:
    """Return what is left to wait for: satisfied edges are not told to the scheduler, which may judge them wrongly.

    Args:
        refs: what the user asked for.
        upstreams: the latest record of each upstream job.
        backend: compiles what is left.
        cluster_name: the cluster of the new job.

    Raises:
        ConfigError: an upstream job is on another cluster.
        SubmitError: an edge can never be satisfied, or its upstream job has no scheduler id yet.
    """
    unique = tuple(dict.fromkeys(refs))
    pending = []
    for ref in unique:
        upstream = upstreams[ref.job_id]
        _check_is_on(upstream, cluster_name, backend.scheduler)
        relation = dependency_relation_state(ref.condition, upstream.state, upstream.started_at)
        if relation == IMPOSSIBLE:
            raise SubmitError(
                f"the job could never run: {ref.condition} needs {_NEEDS[ref.condition]}, "
                f"and job {ref.job_id} is {upstream.state.value} already",
                scheduler=backend.scheduler,
            )
        if relation == PENDING:
            pending.append((ref, upstream))
    compiled = _compile(pending, backend)
    words = dict(zip((ref for ref, _ in pending), compiled.edges, strict=True))
    return ResolvedDependencies(
        expression=compiled.expression or None, edges=tuple((ref, words.get(ref)) for ref in unique)
    )


def preview(
    job: JobRecord,
    upstream: Sequence[tuple[JobDependency, JobRecord]],
    downstream: Sequence[tuple[JobDependency, JobRecord]],
) -> DependencyPreview:
    """Return a job's direct neighbours.

    Args:
        job: the job.
        upstream: its edges, each with the job that it waits for.
        downstream: the edges of those that wait for it, each with that job.
    """
    above = tuple(_item(edge, neighbour, judged=neighbour) for edge, neighbour in upstream)
    below = tuple(_item(edge, neighbour, judged=job) for edge, neighbour in downstream)
    return DependencyPreview(
        job_id=job.job_id,
        upstream_total=len(above),
        upstream_satisfied=sum(item.relation_state == SATISFIED for item in above),
        upstream=above,
        downstream_total=len(below),
        downstream=below,
    )


def _item(edge: JobDependency, neighbour: JobRecord, judged: JobRecord) -> DependencyPreviewItem:
    return DependencyPreviewItem(
        job_id=neighbour.job_id,
        dependency_type=edge.dependency_type,
        relation_state=dependency_relation_state(edge.dependency_type, judged.state, judged.started_at),
        job_state=neighbour.state,
        command_display=neighbour.command_display,
        scheduler_dependency=edge.scheduler_dependency,
    )


def _check_is_on(upstream: JobRecord, cluster_name: str, scheduler: str) -> None:
    if (upstream.cluster_name, upstream.scheduler) != (cluster_name, scheduler):
        raise ConfigError(
            f"job {upstream.job_id} is on {upstream.cluster_name!r} ({upstream.scheduler}); "
            f"a job on {cluster_name!r} ({scheduler}) cannot wait for it"
        )


def _compile(pending: Sequence[tuple[DependencyRef, JobRecord]], backend: Backend) -> CompiledDependencies:
    if not pending:
        return CompiledDependencies(expression="", edges=())
    upstreams = []
    for ref, record in pending:
        if record.scheduler_job_id is None:
            raise SubmitError(
                f"job {ref.job_id} is not confirmed by the scheduler yet, so nothing can wait for it; try again later",
                scheduler=backend.scheduler,
            )
        upstreams.append(UpstreamJob(scheduler_job_id=record.scheduler_job_id, condition=ref.condition))
    return backend.compile_dependencies(tuple(upstreams))
