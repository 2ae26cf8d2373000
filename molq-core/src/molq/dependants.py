"""Look after jobs that wait for others: end those that never can run, point the others to the latest attempts."""

from __future__ import annotations

import logging
import math
import time
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


_REFUSAL_SECONDS = 600.0


class Refusals:
    """What the scheduler has refused to this process of late, which it is not asked again for some minutes."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], float] = {}

    def add(self, job_id: str, expression: str) -> None:
        """Remember that a job cannot be made to wait for this."""
        now = time.monotonic()
        self._times = {what: at for what, at in self._times.items() if now - at < _REFUSAL_SECONDS}
        self._times[job_id, expression] = now

    def has(self, job_id: str, expression: str) -> bool:
        """Tell whether that was refused in the last minutes."""
        return time.monotonic() - self._times.get((job_id, expression), -math.inf) < _REFUSAL_SECONDS


@attrs.frozen(kw_only=True)
class LookedAfter:
    """What came of it.

    Attributes:
        are_cancelled: whether the end of some jobs was asked for, which the next poll carries out.
        held: the jobs that have to go on waiting in molq, each with the reason.
        is_another_at_it: whether another process has to tell the scheduler something first.
    """

    are_cancelled: bool = False
    held: Mapping[str, str] = attrs.field(factory=dict)
    is_another_at_it: bool = False


@attrs.frozen(kw_only=True)
class _Pointer:
    """What a job in the scheduler should wait for.

    Attributes:
        job: the job.
        expression: what it should wait for, in the scheduler's words.
        before: its edges, as they were found.
        after: those of them that change, with the words by which the scheduler then knows them.
    """

    job: TrackedJob
    expression: str
    before: tuple[JobDependency, ...]
    after: tuple[JobDependency, ...]


def look_after_dependants(poller: Poller, refusals: Refusals) -> LookedAfter:
    """Judge the edges of all jobs of the cluster that wait.

    Args:
        poller: asks the scheduler.
        refusals: what the scheduler has refused of late.
    """
    store = poller.store
    by_job: dict[str, list[JobDependency]] = {}
    for edge in store.waiting_edges(poller.cluster_name, poller.scheduler):
        by_job.setdefault(edge.job_id, []).append(edge)
    if not by_job:
        return LookedAfter()
    families = store.families({edge.dependency_job_id for edges in by_job.values() for edge in edges})
    stranded = {job_id: reason for job_id, edges in by_job.items() if (reason := _stranded(edges, families))}
    for job_id, reason in stranded.items():
        store.request_cancel(job_id, poller.clock(), reason)
    held, pointers = {}, []
    for job in store.tracked_jobs(job_id for job_id in by_job if job_id not in stranded):
        edges = [edge for edge in by_job[job.job_id] if edge.dependency_job_id in families]
        if job.scheduler_job_id is not None:
            pointers.append(_pointer(job, edges, families, poller.backend))
        elif (reason := _reason_to_hold(edges, families, poller.backend)) is not None:
            held[job.job_id] = reason
    wanted = [one for one in pointers if one is not None and not refusals.has(one.job.job_id, one.expression)]
    is_done = not wanted or _set_pointers(poller, wanted, refusals)
    return LookedAfter(are_cancelled=bool(stranded), held=held, is_another_at_it=not is_done)


def _stranded(edges: Iterable[JobDependency], families: Mapping[str, Family]) -> str | None:
    reasons = (
        why_stranded(edge, families[edge.dependency_job_id]) for edge in edges if edge.dependency_job_id in families
    )
    return next((reason for reason in reasons if reason is not None), None)


def _pending(edges: Iterable[JobDependency], families: Mapping[str, Family]) -> list[JobDependency]:
    return [e for e in edges if relation_of(e.dependency_type, families[e.dependency_job_id]) == PENDING]


def _reason_to_hold(edges: Iterable[JobDependency], families: Mapping[str, Family], backend: Backend) -> str | None:
    reasons = (
        reason_to_hold(e.dependency_job_id, e.dependency_type, families[e.dependency_job_id], backend)
        for e in _pending(edges, families)
    )
    return next((reason for reason in reasons if reason is not None), None)


def _pointer(
    job: TrackedJob, edges: Sequence[JobDependency], families: Mapping[str, Family], backend: Backend
) -> _Pointer | None:
    """Return what a job in the scheduler should wait for instead; None if it waits for the right attempts."""
    pending = _pending(edges, families)
    if _reason_to_hold(edges, families, backend) is not None:
        # The next attempt is not there yet, or the scheduler has the edge already and judges it as it can.
        return None
    refs = [DependencyRef(e.dependency_job_id, e.dependency_type) for e in pending]
    compiled = compile_pending([(ref, families[ref.job_id]) for ref in refs], backend)
    words = dict(zip(pending, compiled.edges, strict=True))
    outdated = [attrs.evolve(e, scheduler_dependency=words[e]) for e in pending if e.scheduler_dependency != words[e]]
    moot = [e for e in edges if _is_moot(e, families[e.dependency_job_id], backend)]
    after = (*outdated, *(attrs.evolve(e, scheduler_dependency=None) for e in moot))
    return _Pointer(job=job, expression=compiled.expression, before=tuple(edges), after=after) if after else None


def _set_pointers(poller: Poller, pointers: Iterable[_Pointer], refusals: Refusals) -> bool:
    """Have the scheduler wait for the right attempts, and try again in the next round if it cannot be told.

    Returns:
        Whether this process could do so; False while another one asks the scheduler.
    """
    with poller.turn() as is_ours:
        for pointer in pointers if is_ours else ():
            if set(poller.store.dependencies(pointer.job.job_id)) >= set(pointer.before):  # else another has done so
                _set_pointer(poller, pointer, refusals)
    return is_ours


def _set_pointer(poller: Poller, pointer: _Pointer, refusals: Refusals) -> None:
    job, backend = pointer.job, poller.backend
    try:
        is_accepted = backend.implements("molq_update_dependencies") and backend.update_dependencies(
            as_submitted(job), pointer.expression, poller.options, poller.commands
        )
    except (SchedulerError, BackendError) as error:
        _log.warning("job %s could not be pointed to what it waits for, which is tried again: %s", job.job_id, error)
        return
    if is_accepted:
        poller.store.set_edges(pointer.after)
    else:
        refusals.add(job.job_id, pointer.expression)


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
