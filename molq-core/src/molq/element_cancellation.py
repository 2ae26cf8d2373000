"""Cancel single elements of an array."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

import attrs

from molq.array_elements import ElementReport
from molq.array_evidence import CANCELLED
from molq.array_indices import expand_indices, format_indices
from molq.backend import SchedulerError
from molq.errors import BackendError, ConfigError
from molq.polling import Poller, as_submitted
from molq.tracking import Change, TrackedJob


def cancel_elements(poller: Poller, job_id: str, indices: Sequence[int]) -> None:
    """Ask for the end of some elements of an array's latest attempt. Those that are over stay what they are.

    Raises:
        JobNotFoundError: there is no such job.
        ConfigError: it is no array, has no such element, or the scheduler cannot cancel single elements.
        SchedulerError: the scheduler refused or could not be asked.
    """
    store, backend = poller.store, poller.backend
    job = store.tracked_job(store.latest_attempt(job_id).job_id)
    known = _indices(poller, job)
    if unknown := [index for index in indices if index not in known]:
        has = f"has the elements {format_indices(known)}" if known else "is no array"
        raise ConfigError(f"job {job_id} {has}, so its element {unknown[0]!r} cannot be cancelled")
    if not backend.implements("molq_cancel_elements"):
        raise ConfigError(f"{backend.description.label} cannot cancel single elements; cancel the whole array")
    if job.scheduler_job_id is None and not job.state.is_terminal:
        raise SchedulerError(f"job {job_id} is not in the scheduler yet; cancel the whole array, or try again later")
    wanted = tuple(sorted(set(indices) - _over(poller, job)))
    if job.state.is_terminal or not wanted:
        return
    if poller.is_a_strangers(job):
        raise SchedulerError(f"another job has the id {job.scheduler_job_id} by now, and was left alone")
    receipts = backend.cancel_elements(as_submitted(job), wanted, poller.options, poller.commands)
    _mark(poller, job.job_id, {receipt.index for receipt in receipts if receipt.accepted})
    with suppress(SchedulerError, BackendError):  # a look that fails is recorded, and says nothing about the cancel
        poller.refresh()
    over = _over(poller, job)
    refused = {
        receipt.index: receipt.reason or "it gave no reason"
        for receipt in receipts
        if not receipt.accepted and receipt.index is not None and receipt.index not in over
    }
    if refused:
        raise SchedulerError(
            f"{backend.description.label} refused to cancel the elements {format_indices(refused)} of job "
            f"{job.scheduler_job_id} (molq's {job.job_id}): {refused[min(refused)]}"
        )


def _indices(poller: Poller, job: TrackedJob) -> set[int]:
    """Return the indices that an array has, also those that only an earlier attempt has run."""
    if job.array_spec is None:
        return set()
    carried = poller.store.elements([job.job_id]).get(job.job_id, ())
    return {*expand_indices(job.array_spec), *(element.index for element in carried)}


def _mark(poller: Poller, job_id: str, accepted: Collection[int | None]) -> None:
    """Note which elements will end: schedulers forget such as were still waiting."""
    store = poller.store
    while True:
        job = store.tracked_job(job_id)
        known = {element.index: element for element in store.elements([job_id]).get(job_id, ())}
        for index in (i for i in accepted if i is not None):
            element = known.get(index) or ElementReport(index=index, native_state="", state=None)
            if not element.is_over:
                known[index] = attrs.evolve(element, cause=CANCELLED)
        change = Change(old=job, new=job, reason="", elements=tuple(known[index] for index in sorted(known)))
        if store.apply([change], poller.clock()) or job.state.is_terminal:
            return  # else another process has written the row meanwhile


def _over(poller: Poller, job: TrackedJob) -> set[int]:
    elements = poller.store.elements([job.job_id]).get(job.job_id, ())
    return {element.index for element in elements if element.is_over}
