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
from molq.tracking import Family, TrackedJob

SATISFIED = "satisfied"
PENDING = "pending"
IMPOSSIBLE = "impossible"

_ENDS_THAT_SATISFY: dict[DependencyCondition, frozenset[JobState]] = {
    "after_success": frozenset({JobState.SUCCEEDED}),
    "after_failure": frozenset({JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT, JobState.LOST}),
    "after": frozenset(state for state in JobState if state.is_terminal),
}

_ENDS: tuple[DependencyCondition, ...] = ("after", "after_failure")
"""The conditions that a cancelled or a failed upstream job satisfies."""

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
        held: why the job cannot be left to the scheduler yet; None if it can.
    """

    expression: str | None
    edges: tuple[tuple[DependencyRef, str | None], ...]
    held: str | None = None


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


def relation_of(condition: str, upstream: Family) -> str:
    """Return how it stands with an edge to a job, all attempts of which count as one.

    One whose condition somebody has edited, so that nobody knows what it demands, stays pending.
    """
    if condition not in DEPENDENCY_CONDITIONS:
        return PENDING
    return dependency_relation_state(condition, upstream.latest.state, upstream.started_at)


def why_stranded(edge: JobDependency, upstream: Family) -> str | None:
    """Return why a waiting job can never run any more, by one of its edges; None if it still can."""
    if relation_of(edge.dependency_type, upstream) != IMPOSSIBLE:
        return None
    needs, state = _NEEDS[edge.dependency_type], upstream.latest.state.value
    return f"can never run: {edge.dependency_type} needs {needs}, and job {edge.dependency_job_id} is {state}"


def why_held(condition: str, upstream: Family, backend: Backend) -> str | None:
    """Return why the scheduler cannot be left to judge a pending edge; None if it can.

    It sees one attempt where the user means all of them, and an array where some schedulers look at one element.
    """
    job, description = upstream.latest, backend.description
    if condition not in DEPENDENCY_CONDITIONS:
        return "the recorded condition cannot be read"
    if job.waits_in_molq:
        return (
            f"attempt {job.attempt} of it has not been submitted yet" if job.attempt > 1 else "it waits in molq itself"
        )
    if job.scheduler_job_id is None:
        return "the scheduler has not confirmed it yet"
    if job.missing_since is not None:
        return "the scheduler does not show it any more, and how it ended is not known yet"
    if upstream.carries_failures:
        return f"attempt {job.attempt} of it does not run all elements that did not succeed"
    if job.is_array and not description.judges_arrays:
        return f"{description.label} does not judge arrays by all of their elements"
    if condition in _ENDS and upstream.started_at is None and not description.releases_unstarted:
        return f"{description.label} would forget to start it should the other be cancelled before it starts"
    if upstream.may_go_on:
        can_be_pointed_anew = description.keeps_stranded and backend.implements("molq_update_dependencies")
        if condition in _ENDS or not can_be_pointed_anew:
            return "it may be tried again"
    return None


def reason_to_hold(job_id: str, condition: str, upstream: Family, backend: Backend) -> str | None:
    """Return why a job has to wait in molq, by one of its edges that is pending; None if it has not."""
    why = why_held(condition, upstream, backend)
    return None if why is None else f"waits in molq for job {job_id} ({condition}), since {why}"


def resolve(
    refs: Sequence[DependencyRef], upstreams: Mapping[str, Family], backend: Backend, cluster_name: str
) -> ResolvedDependencies:
    """Return what is left to wait for: satisfied edges are not told to the scheduler, which may judge them wrongly.

    Args:
        refs: what the user asked for.
        upstreams: each upstream job with all of its attempts, by the id that the user gave.
        backend: compiles what is left.
        cluster_name: the cluster of the new job.

    Raises:
        ConfigError: an upstream job is on another cluster.
        SubmitError: the job could never run.
    """
    unique = tuple(dict.fromkeys(attrs.evolve(ref, job_id=upstreams[ref.job_id].latest.root_job_id) for ref in refs))
    families = {family.latest.root_job_id: family for family in upstreams.values()}
    _check_are_compatible(unique, backend)
    pending, held = [], None
    for ref in unique:
        upstream = families[ref.job_id]
        check_is_on(upstream.latest, cluster_name, backend.scheduler)
        relation = relation_of(ref.condition, upstream)
        if relation == IMPOSSIBLE:
            raise SubmitError(
                f"the job could never run: {ref.condition} needs {_NEEDS[ref.condition]}, "
                f"and job {ref.job_id} is {upstream.latest.state.value} already",
                scheduler=backend.scheduler,
            )
        if relation == PENDING:
            pending.append((ref, upstream))
            held = held or reason_to_hold(ref.job_id, ref.condition, upstream, backend)
    if held is not None:
        return ResolvedDependencies(expression=None, edges=tuple((ref, None) for ref in unique), held=held)
    compiled = compile_pending(pending, backend)
    words = dict(zip((ref for ref, _ in pending), compiled.edges, strict=True))
    return ResolvedDependencies(
        expression=compiled.expression or None, edges=tuple((ref, words.get(ref)) for ref in unique)
    )


def compile_pending(pending: Sequence[tuple[DependencyRef, Family]], backend: Backend) -> CompiledDependencies:
    """Return the scheduler's words for pending edges, none of which is held; empty ones if there are none."""
    if not pending:
        return CompiledDependencies(expression="", edges=())
    upstreams = []
    for ref, upstream in pending:
        job = upstream.latest
        assert job.scheduler_job_id is not None
        upstreams.append(
            UpstreamJob(scheduler_job_id=job.scheduler_job_id, condition=ref.condition, is_array=job.is_array)
        )
    return backend.compile_dependencies(tuple(upstreams))


def preview(
    job: JobRecord,
    upstream: Sequence[tuple[JobDependency, JobRecord, Family]],
    downstream: Sequence[tuple[JobDependency, JobRecord, Family]],
) -> DependencyPreview:
    """Return a job's direct neighbours.

    Args:
        job: the job.
        upstream: its edges, each with the latest attempt of the job that it waits for, and the family to judge it by.
        downstream: the edges of those that wait for it, each with that job, and the family of ``job``.
    """
    above = tuple(_item(edge, edge.dependency_job_id, neighbour, family) for edge, neighbour, family in upstream)
    below = tuple(_item(edge, edge.job_id, neighbour, family) for edge, neighbour, family in downstream)
    return DependencyPreview(
        job_id=job.job_id,
        upstream_total=len(above),
        upstream_satisfied=sum(item.relation_state == SATISFIED for item in above),
        upstream=above,
        downstream_total=len(below),
        downstream=below,
    )


def _item(edge: JobDependency, job_id: str, neighbour: JobRecord, upstream: Family) -> DependencyPreviewItem:
    return DependencyPreviewItem(
        job_id=job_id,
        dependency_type=edge.dependency_type,
        relation_state=relation_of(edge.dependency_type, upstream),
        job_state=neighbour.state,
        command_display=neighbour.command_display,
        scheduler_dependency=edge.scheduler_dependency,
    )


def _check_are_compatible(refs: Sequence[DependencyRef], backend: Backend) -> None:
    wanted = {(ref.job_id, ref.condition) for ref in refs}
    for ref in refs:
        if ref.condition == "after_success" and (ref.job_id, "after_failure") in wanted:
            raise SubmitError(
                f"the job could never run: it is to wait until job {ref.job_id} has succeeded and until it has failed",
                scheduler=backend.scheduler,
            )


def check_is_on(upstream: TrackedJob, cluster_name: str, scheduler: str) -> None:
    """Check that a job on this cluster may wait for ``upstream``.

    Raises:
        ConfigError: that one is on another cluster.
    """
    if (upstream.cluster_name, upstream.scheduler) != (cluster_name, scheduler):
        raise ConfigError(
            f"job {upstream.job_id} is on {upstream.cluster_name!r} ({upstream.scheduler}); "
            f"a job on {cluster_name!r} ({scheduler}) cannot wait for it"
        )
