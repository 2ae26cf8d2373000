"""Look after jobs that wait for others: end those that never can run, point the others to the latest attempts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import attrs

from molq.backend import SchedulerError
from molq.dependencies import PENDING, SATISFIED, compile_pending, reason_to_hold, relation_of, why_stranded
from molq.errors import BackendError
from molq.job_spec import DependencyRef
from molq.job_state import JobState
from molq.loaded_backend import Backend
from molq.polling import Poller, as_submitted
from molq.records import JobDependency
from molq.tracking import Family, TrackedJob

_log = logging.getLogger("molq")

_ENDS_WITHOUT_A_START = (JobState.CANCELLED, JobState.FAILED, JobState.LOST)


@attrs.frozen(kw_only=True)
class LookedAfter:
    """What came of it.

    Attributes:
        are_cancelled: whether the end of some jobs was asked for, which the next poll carries out.
        held: the jobs that have to go on waiting in molq, each with the reason.
    """

    are_cancelled: bool
    held: Mapping[str, str]


def look_after_dependants(poller: Poller, refused: set[tuple[str, str]]) -> LookedAfter:
    """Judge the edges of all jobs of the cluster that wait.

    Args:
        poller: asks the scheduler.
        refused: the jobs and expressions that the scheduler has refused to this process, which is not asked again.
    """
    store = poller.store
    by_job: dict[str, list[JobDependency]] = {}
    for edge in store.waiting_edges(poller.cluster_name, poller.scheduler):
        by_job.setdefault(edge.job_id, []).append(edge)
    if not by_job:
        return LookedAfter(are_cancelled=False, held={})
    families = store.families({edge.dependency_job_id for edges in by_job.values() for edge in edges})
    stranded = {job_id: reason for job_id, edges in by_job.items() if (reason := _stranded(edges, families))}
    for job_id, reason in stranded.items():
        store.request_cancel(job_id, poller.clock(), reason)
    held = {}
    for job in store.tracked_jobs(job_id for job_id in by_job if job_id not in stranded):
        edges = [edge for edge in by_job[job.job_id] if edge.dependency_job_id in families]
        if job.scheduler_job_id is not None:
            _bring_up_to_date(poller, job, edges, families, refused)
        elif (reason := _reason_to_hold(edges, families, poller.backend)) is not None:
            held[job.job_id] = reason
    return LookedAfter(are_cancelled=bool(stranded), held=held)


def _stranded(edges: Iterable[JobDependency], families: Mapping[str, Family]) -> str | None:
    reasons = (
        why_stranded(edge, families[edge.dependency_job_id]) for edge in edges if edge.dependency_job_id in families
    )
    return next((reason for reason in reasons if reason is not None), None)


def _pending(edges: Iterable[JobDependency], families: Mapping[str, Family]) -> list[JobDependency]:
    return [e for e in edges if relation_of(e.dependency_type, families[e.dependency_job_id]) == PENDING]


def _reason_to_hold(edges: Iterable[JobDependency], families: Mapping[str, Family], backend: Backend) -> str | None:
    reasons = (
        reason_to_hold(DependencyRef(e.dependency_job_id, e.dependency_type), families[e.dependency_job_id], backend)
        for e in _pending(edges, families)
    )
    return next((reason for reason in reasons if reason is not None), None)


def _bring_up_to_date(
    poller: Poller,
    job: TrackedJob,
    edges: Sequence[JobDependency],
    families: Mapping[str, Family],
    refused: set[tuple[str, str]],
) -> None:
    """Have the scheduler wait for the right attempts; if it cannot be told, the next round tries again."""
    pending = _pending(edges, families)
    if _reason_to_hold(edges, families, poller.backend) is not None:
        # The next attempt is not there yet, or the scheduler has the edge already and judges it as it can.
        return
    refs = [DependencyRef(e.dependency_job_id, e.dependency_type) for e in pending]
    try:
        compiled = compile_pending([(ref, families[ref.job_id]) for ref in refs], poller.backend)
        words = dict(zip(pending, compiled.edges, strict=True))
        outdated = [e for e in pending if e.scheduler_dependency != words[e]]
        moot = [e for e in edges if _is_moot(e, families[e.dependency_job_id], poller.backend)]
        if (not outdated and not moot) or (job.job_id, compiled.expression) in refused:
            return
        if not _update(poller, job, compiled.expression):
            refused.add((job.job_id, compiled.expression))
            return
    except (SchedulerError, BackendError) as error:
        _log.warning("job %s could not be pointed to what it waits for, which is tried again: %s", job.job_id, error)
        return
    now_known = [attrs.evolve(e, scheduler_dependency=words[e]) for e in outdated]
    poller.store.set_edges([*now_known, *(attrs.evolve(e, scheduler_dependency=None) for e in moot)])


def _update(poller: Poller, job: TrackedJob, expression: str) -> bool:
    """Have a job wait for something else; tell whether the scheduler has accepted that."""
    backend = poller.backend
    if not backend.implements("molq_update_dependencies"):
        return False
    return backend.update_dependencies(as_submitted(job), expression, poller.options, poller.commands)


def _is_moot(edge: JobDependency, upstream: Family, backend: Backend) -> bool:
    """Tell whether an edge is satisfied by what the scheduler does not see, so that it would wait for ever.

    It may know an earlier attempt only; and some never release what waits for a job that was cancelled before it
    started.
    """
    if edge.scheduler_dependency is None or relation_of(edge.dependency_type, upstream) != SATISFIED:
        return False
    never_started = upstream.started_at is None and upstream.latest.state in _ENDS_WITHOUT_A_START
    if never_started or upstream.latest.scheduler_job_id is None:
        return True
    ref = DependencyRef(edge.dependency_job_id, edge.dependency_type)
    (words,) = compile_pending([(ref, upstream)], backend).edges
    return words != edge.scheduler_dependency
