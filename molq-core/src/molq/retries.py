"""Decide whether an ended job is tried again, when, and with which request. Nothing here has an effect."""

from __future__ import annotations

import copy
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from molq.array_elements import ElementReport
from molq.array_indices import format_indices, limit_in
from molq.job_state import JobState
from molq.policies import RetryEscalation, RetryPolicy
from molq.quantities import Duration, Memory
from molq.records import JobRecord
from molq.tracking import PlannedAttempt, TrackedJob

NEVER_SUBMITTED = "submit"
"""The cause of an end without which the scheduler ever had the job."""


def may_be_retried(ended: TrackedJob) -> bool:
    """Tell, before any policy is read, whether a job that has just ended may be tried again at all."""
    if ended.state in (JobState.SUCCEEDED, JobState.CANCELLED) or not ended.state.is_terminal:
        return False
    # Whoever submitted the first attempt was told that it was not submitted, unless it had to wait in molq.
    was_told = ended.attempt == 1 and ended.cause == NEVER_SUBMITTED and ended.not_before is None
    return ended.attempt < ended.max_attempts and ended.cancel_requested_at is None and not was_told


def wants_retry(policy: RetryPolicy, ended: TrackedJob, elements: Sequence[ElementReport] = ()) -> bool:
    """Tell whether the policy wants another attempt after this end.

    Args:
        policy: when jobs are tried again.
        ended: the job, as it ended.
        elements: if it is an array, its elements, one of which at least must be one to try again.
    """
    if not may_be_retried(ended) or ended.attempt >= policy.max_attempts:
        return False
    if elements:
        return any(is_retryable(policy, element) for element in elements)
    return is_retryable(policy, ended)


def is_retryable(policy: RetryPolicy, ended: TrackedJob | ElementReport) -> bool:
    """Tell whether this is an end after which the policy tries again."""
    if ended.state not in policy.retry_on_states:
        return False
    if policy.retry_on_exit_codes is None or ended.state is not JobState.FAILED:
        return True
    return ended.exit_code in policy.retry_on_exit_codes


def plan_attempt(
    last: JobRecord,
    ended: TrackedJob,
    request: Mapping[str, Any],
    *,
    again: Sequence[ElementReport] = (),
    carried: Sequence[ElementReport] = (),
    escalate: RetryEscalation | None = None,
    job_id: str,
    not_before: float,
    reason: str,
) -> PlannedAttempt:
    """Return the attempt that follows ``last``, which it resembles but for what follows from how that ended.

    Args:
        last: the last attempt's record.
        ended: the same, as it is believed to have ended.
        request: what the last attempt asked for, as it is recorded.
        again: the elements of an array that are run again.
        carried: those that are not, and go on to count.
        escalate: what is asked for more of.
        job_id: the new attempt's id.
        not_before: when it may be submitted.
        reason: why there is another attempt.
    """
    new_dir = os.path.join(os.path.dirname(last.job_dir), job_id)
    asked = _next_request(request, ended, again, escalate)
    limit = asked.get("resources", {}).get("time_limit")
    return PlannedAttempt(
        job_id=job_id,
        attempt=last.attempt + 1,
        previous_attempt_job_id=last.job_id,
        job_dir=new_dir,
        stdout_path=_moved(last.stdout_path, last.job_dir, new_dir),
        stderr_path=_moved(last.stderr_path, last.job_dir, new_dir),
        not_before=not_before,
        time_limit=None if limit is None else Duration.parse(limit).seconds,
        array_spec=asked["scheduling"].get("array_spec"),
        carried=tuple(carried),
        request=asked,
        reason=reason,
    )


def _moved(path: str, old_dir: str, new_dir: str) -> str:
    """Return a path of the last attempt as the next one's, if it was in the attempt's own folder."""
    return new_dir + path[len(old_dir) :] if path.startswith(old_dir + "/") else path


def _next_request(
    request: Mapping[str, Any], ended: TrackedJob, again: Sequence[ElementReport], escalate: RetryEscalation | None
) -> dict[str, Any]:
    asked = copy.deepcopy(dict(request))
    scheduling = asked.setdefault("scheduling", {})
    if ended.started_at is not None and re.search(r"\d", scheduling.get("dependency", "")):
        # It was satisfied, and names jobs that the scheduler may have forgotten by now, and would judge wrongly.
        del scheduling["dependency"]
    if ended.array_spec is not None and again:
        scheduling["array_spec"] = format_indices(element.index for element in again) + limit_in(ended.array_spec)
    if escalate is not None:
        _escalate(asked.get("resources", {}), again or (ended,), escalate)
    return asked


def _escalate(resources: dict[str, Any], ends: Sequence[TrackedJob | ElementReport], escalate: RetryEscalation) -> None:
    ran_out_of_memory = any(end.cause == "out_of_memory" for end in ends)
    ran_out_of_time = any(end.state is JobState.TIMED_OUT for end in ends)
    memory, limit = resources.get("memory"), resources.get("time_limit")
    if memory is not None and escalate.memory_factor is not None and ran_out_of_memory:
        had = Memory.parse(memory).bytes
        resources["memory"] = str(Memory(_more(had, escalate.memory_factor, escalate.memory_cap, "bytes")))
    if limit is not None and escalate.time_factor is not None and ran_out_of_time:
        had = Duration.parse(limit).seconds
        resources["time_limit"] = str(Duration(_more(had, escalate.time_factor, escalate.time_cap, "seconds")))


def _more(had: int, factor: float, cap: Memory | Duration | None, unit: str) -> int:
    """Return ``factor`` times as much, but no more than ``cap`` and never less than there was."""
    wanted = math.ceil(had * factor)
    return wanted if cap is None else max(had, min(wanted, getattr(cap, unit)))
