"""A job that waits for what can never happen is ended, with a reason that names the upstream job."""

from __future__ import annotations

import pytest

from molq.job_spec import DependencyRef
from molq.job_state import JobState


def chain(cluster, condition="after_success"):
    upstream = cluster.submit()
    return upstream, cluster.submit(dependencies=(DependencyRef(upstream.job_id, condition),))


@pytest.mark.parametrize(
    ("condition", "end", "word"),
    [
        ("after_success", JobState.FAILED, "failed"),
        ("after_success", JobState.TIMED_OUT, "timed_out"),
        ("after_failure", JobState.SUCCEEDED, "succeeded"),
        ("after_started", JobState.CANCELLED, "cancelled"),
    ],
)
def test_a_job_that_can_never_run_any_more_is_cancelled_with_a_reason(cluster, condition, end, word):
    upstream, waiting = chain(cluster, condition)
    cluster.scheduler.say(upstream.scheduler_job_id, end)

    cluster.refresh()

    record = cluster.record(waiting)
    assert (record.state, record.cause) == (JobState.CANCELLED, "cancelled")
    assert record.failure_reason.startswith(f"can never run: {condition} needs it to ")
    assert record.failure_reason.endswith(f"and job {upstream.job_id} is {word}")


@pytest.mark.parametrize(("condition", "end"), [("after", JobState.FAILED), ("after_failure", JobState.LOST)])
def test_a_job_whose_condition_came_true_is_left_alone(cluster, condition, end):
    upstream, waiting = chain(cluster, condition)
    cluster.scheduler.say(upstream.scheduler_job_id, end)

    cluster.refresh()

    assert cluster.record(waiting).state is JobState.QUEUED
    assert cluster.record(waiting).cancel_requested_at is None


def test_the_end_of_one_job_runs_down_a_chain(cluster):
    first, second = chain(cluster)
    third = cluster.submit(dependencies=(DependencyRef(second.job_id),))
    cluster.scheduler.say(first.scheduler_job_id, JobState.FAILED)

    cluster.refresh()
    cluster.refresh()

    assert [cluster.record(job).state for job in (second, third)] == [JobState.CANCELLED, JobState.CANCELLED]
    assert second.job_id in cluster.record(third).failure_reason


def test_a_job_that_runs_is_not_ended_by_what_becomes_of_its_upstream(cluster):
    upstream, running = chain(cluster, "after_started")
    cluster.scheduler.say(running.scheduler_job_id, JobState.RUNNING)
    cluster.scheduler.say(upstream.scheduler_job_id, JobState.CANCELLED)

    cluster.refresh()
    cluster.refresh()

    assert cluster.record(running).state is JobState.RUNNING


def test_what_the_user_cancelled_has_no_reason_of_molqs(cluster):
    job = cluster.submit()
    cluster.store.request_cancel(job.job_id, cluster.clock())

    cluster.refresh()

    assert cluster.record(job).failure_reason == "was cancelled"
