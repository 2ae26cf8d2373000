"""Write down what was learned of jobs, and with each end the attempt that follows it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from molq.array_elements import ElementReport
from molq.array_indices import are_indices, expand_indices
from molq.errors import ConfigError, JobNotFoundError, ScriptError, UnreadableRequestError
from molq.job_ids import new_job_id
from molq.job_script import ENVIRONMENT, PAYLOAD
from molq.job_state import JobState
from molq.records import JobRecord
from molq.retries import is_retryable, may_be_retried, plan_attempt, wants_retry
from molq.snapshots import check_parts, restore_policy
from molq.store import JobStore, Lease
from molq.tracking import Change, PlannedAttempt, TrackedJob

_log = logging.getLogger("molq")


def write_changes(store: JobStore, changes: Sequence[Change], now: float, lease: Lease | None = None) -> list[Change]:
    """Write the changes that are still true, each with the attempt that follows it, and return those.

    A job that ends and its next attempt are one transaction, so that no process can die in between.

    Args:
        store: where jobs are recorded.
        changes: what was learned.
        now: seconds since the epoch.
        lease: if given, the right under which it was learned, which must still hold.
    """
    return store.apply([_followed_up(store, change, now) for change in changes], now, lease)


def _followed_up(store: JobStore, change: Change, now: float) -> Change:
    if change.old.state == change.new.state or not may_be_retried(change.new):
        return change
    try:
        return attrs.evolve(change, next_attempt=_next_attempt(store, change, now))
    except (ConfigError, JobNotFoundError, UnreadableRequestError) as error:
        # Of a row that somebody has edited, which must not keep others from being written.
        _log.warning("job %s is not tried again: %s", change.new.job_id, error)
        return change


def _next_attempt(store: JobStore, change: Change, now: float) -> PlannedAttempt | None:
    ended = change.new
    request = store.request(ended.job_id)
    check_parts(request)
    policy = restore_policy(request)
    elements = _elements(store, ended, change.elements)
    if not wants_retry(policy, ended, elements):
        return None
    again = [element for element in elements if is_retryable(policy, element)]
    wait = policy.backoff.seconds_before(ended.attempt + 1)
    return plan_attempt(
        store.job(ended.job_id),
        ended,
        request,
        again=again,
        carried=[element for element in elements if element not in again],
        escalate=policy.escalate,
        job_id=new_job_id(),
        not_before=now + wait,
        reason=f"attempt {ended.attempt + 1} of {policy.max_attempts}, since attempt {ended.attempt} "
        f"{_how_it_ended(change)}; due {wait:g} s later",
    )


def _how_it_ended(change: Change) -> str:
    ended = change.new
    return f"is {ended.state.value}" + (f" ({ended.failure_reason})" if ended.failure_reason else "")


def _elements(
    store: JobStore, job: TrackedJob, known: Sequence[ElementReport] | None = None
) -> tuple[ElementReport, ...]:
    """Return the elements of an array that is over, if any are known; those that never came to run ended as it did."""
    if not job.is_array:
        return ()
    known = known or store.elements([job.job_id]).get(job.job_id, ())
    asked_for = expand_indices(job.array_spec or "") if known and are_indices(job.array_spec) else ()
    unheard = sorted(set(asked_for) - {element.index for element in known})
    return (*known, *(ElementReport(index=i, native_state="", state=job.state, cause=job.cause) for i in unheard))


def plan_by_hand(store: JobStore, job_id: str, now: float) -> bool:
    """Record a further attempt of a family that is over, because somebody asked for it; False if it is not over.

    Raises:
        ConfigError: what was asked for then cannot be read any more.
        ScriptError: what it ran is not there any more, or cannot be read.
    """
    last = store.latest_attempt(job_id)
    ended = store.tracked_job(last.job_id)
    if not ended.state.is_terminal:
        return False
    request = store.request(last.job_id)
    check_parts(request)
    _check_files(store.job(last.root_job_id), request)
    elements = _elements(store, ended)
    if elements and all(element.state is JobState.SUCCEEDED for element in elements):
        elements = ()  # asked for by hand, all of it runs again
    attempt = plan_attempt(
        last,
        ended,
        request,
        again=[element for element in elements if element.state is not JobState.SUCCEEDED],
        carried=[element for element in elements if element.state is JobState.SUCCEEDED],
        job_id=new_job_id(),
        not_before=now,
        reason=f"attempt {last.attempt + 1}, since somebody asked for it",
    )
    return store.add_attempt(attempt, now)


def _check_files(first: JobRecord, request: Mapping[str, Any]) -> None:
    """Check that the folder of the first attempt still has what every attempt runs."""
    names = [] if request.get("command", {}).get("argv") is not None else [PAYLOAD]
    names += [ENVIRONMENT] if request.get("execution", {}).get("env_names") else []
    for name in names:
        path = Path(first.job_dir) / name
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            why = ", since its folder was cleaned up" if first.cleaned_at is not None else ""
            raise ScriptError(
                f"job {first.job_id} cannot be tried again: {str(path)!r} is gone{why}; submit it anew", path=path
            ) from error
        except OSError as error:
            raise ScriptError(
                f"job {first.job_id} cannot be tried again now: {str(path)!r} cannot be read: {error.strerror}",
                path=path,
            ) from error
