"""Edges between jobs are judged by molq's own store."""

from __future__ import annotations

import attrs
import pytest

from molq import DependencyRef, JobRecord, JobState, SubmitError, dependency_relation_state
from molq.dependencies import preview, resolve
from molq.errors import ConfigError
from molq.records import JobDependency
from molq.testing.memory import MemoryScheduler
from molq.tracking import Family, TrackedJob

_S, _P, _I = "satisfied", "pending", "impossible"


def _record(job_id: str, state: JobState, **facts: object) -> JobRecord:
    return JobRecord(
        **{
            "job_id": job_id, "root_job_id": job_id, "cluster_name": "c", "scheduler": "memory", "state": state,
            "cwd": "/", "command_type": "argv", "command_display": f"run {job_id}", "metadata": {}, "created_at": 1.0,
            "job_dir": "/j", "stdout_path": "/o", "stderr_path": "/e", "scheduler_job_id": f"1{job_id}", **facts,
        }
    )  # fmt: skip


def _family(job_id: str, state: JobState, **facts: object) -> Family:
    given = {
        **{field.name: None for field in attrs.fields(TrackedJob)},
        "job_id": job_id, "root_job_id": job_id, "cluster_name": "c", "scheduler": "memory", "state": state,
        "created_at": 1.0, "scheduler_job_id": f"1{job_id}", "attempt": 1, "max_attempts": 1, **facts,
    }  # fmt: skip
    return Family(latest=TrackedJob(**given), started_at=given["started_at"])


@pytest.mark.parametrize(
    ("state", "after_success", "after_failure", "after_started", "after"),
    [
        (JobState.CREATED, _P, _P, _P, _P),
        (JobState.SUBMITTED, _P, _P, _P, _P),
        (JobState.QUEUED, _P, _P, _P, _P),
        (JobState.RUNNING, _P, _P, _S, _P),
        (JobState.SUCCEEDED, _S, _I, _S, _S),
        (JobState.FAILED, _I, _S, _I, _S),
        (JobState.CANCELLED, _I, _S, _I, _S),
        (JobState.TIMED_OUT, _I, _S, _I, _S),
        (JobState.LOST, _I, _S, _I, _S),
    ],
)
def test_an_edge_is_judged_by_the_upstream_state(
    state: JobState, after_success: str, after_failure: str, after_started: str, after: str
):
    judged = [
        dependency_relation_state(kind, state) for kind in ("after_success", "after_failure", "after_started", "after")
    ]

    assert judged == [after_success, after_failure, after_started, after]


def test_a_job_that_started_before_it_failed_satisfies_after_started():
    assert dependency_relation_state("after_started", JobState.FAILED, 12.0) == _S


def test_the_example_of_the_reference_holds():
    relation = dependency_relation_state(
        dependency_type="after_success", related_state=JobState.SUCCEEDED, related_started_at=1234567890.0
    )

    assert relation == "satisfied"


def test_an_unknown_condition_is_named():
    with pytest.raises(ValueError, match="'afterok' is no dependency condition; use one of after_success"):
        dependency_relation_state("afterok", JobState.SUCCEEDED)


def test_only_edges_that_are_still_awaited_are_told_to_the_scheduler():
    upstreams = {"1": _family("1", JobState.RUNNING), "2": _family("2", JobState.SUCCEEDED)}
    refs = (DependencyRef("1"), DependencyRef("2"), DependencyRef("1", "after"), DependencyRef("1"))

    resolved = resolve(refs, upstreams, MemoryScheduler().backend(), "c")

    assert resolved.expression == "after_success:11,after:11"
    assert resolved.edges == (
        (DependencyRef("1"), "after_success:11"),
        (DependencyRef("2"), None),
        (DependencyRef("1", "after"), "after:11"),
    )


def test_nothing_is_told_to_the_scheduler_if_all_edges_are_satisfied():
    resolved = resolve((DependencyRef("2"),), {"2": _family("2", JobState.SUCCEEDED)}, MemoryScheduler().backend(), "c")

    assert resolved.expression is None


def test_an_impossible_edge_is_refused_with_both_sides():
    with pytest.raises(SubmitError, match="after_success needs it to succeed, and job 1 is failed already"):
        resolve((DependencyRef("1"),), {"1": _family("1", JobState.FAILED)}, MemoryScheduler().backend(), "c")


def test_an_upstream_job_on_another_cluster_is_refused():
    upstream = _family("1", JobState.RUNNING, cluster_name="d")

    with pytest.raises(ConfigError, match="job 1 is on 'd'"):
        resolve((DependencyRef("1"),), {"1": upstream}, MemoryScheduler().backend(), "c")


@pytest.mark.parametrize(
    ("upstream", "condition", "reason"),
    [
        (_family("1", JobState.CREATED, scheduler_job_id=None), "after", "the scheduler has not confirmed it yet"),
        (
            _family("1", JobState.CREATED, scheduler_job_id=None, not_before=2.0, attempt=2),
            "after_success",
            "attempt 2 of it has not been submitted yet",
        ),
        (_family("1", JobState.CREATED, scheduler_job_id=None, not_before=2.0), "after", "it waits in molq itself"),
        (_family("1", JobState.RUNNING, max_attempts=2), "after_failure", "it may be tried again"),
        (_family("1", JobState.RUNNING, max_attempts=2), "after", "it may be tried again"),
    ],
)
def test_what_the_scheduler_would_judge_wrongly_is_held(upstream, condition, reason):
    backend = MemoryScheduler().backend(molq_update_dependencies=lambda job, expression: True)

    resolved = resolve((DependencyRef("1", condition),), {"1": upstream}, backend, "c")

    assert resolved.expression is None
    assert resolved.held == f"waits in molq for job 1 ({condition}), since {reason}"


def test_what_can_be_pointed_to_another_attempt_is_left_to_the_scheduler():
    upstreams = {"1": _family("1", JobState.RUNNING, max_attempts=2)}
    can = MemoryScheduler().backend(molq_update_dependencies=lambda job, expression: True)
    cannot = MemoryScheduler().backend(without=["molq_update_dependencies"])

    assert resolve((DependencyRef("1"),), upstreams, can, "c").expression == "after_success:11"
    assert "tried again" in resolve((DependencyRef("1"),), upstreams, cannot, "c").held


def test_the_last_attempt_is_left_to_the_scheduler():
    upstreams = {"1": _family("1", JobState.RUNNING, attempt=2, max_attempts=2)}

    resolved = resolve((DependencyRef("1", "after_failure"),), upstreams, MemoryScheduler().backend(), "c")

    assert resolved.expression == "after_failure:11"


def test_an_upstream_job_that_is_to_succeed_and_to_fail_is_refused():
    refs = (DependencyRef("1", "after_failure"), DependencyRef("1"))

    with pytest.raises(SubmitError, match="until job 1 has succeeded and until it has failed"):
        resolve(refs, {"1": _family("1", JobState.RUNNING)}, MemoryScheduler().backend(), "c")


def test_a_preview_judges_each_side_by_its_upstream_job():
    job = _record("2", JobState.RUNNING, started_at=5.0)
    above, below = _record("1", JobState.SUCCEEDED), _record("3", JobState.QUEUED)

    shown = preview(
        job,
        [(JobDependency("2", "1", "after_success", "afterok:11"), above, _family("1", JobState.SUCCEEDED))],
        [(JobDependency("3", "2", "after_success", "afterok:12"), below, _family("2", JobState.RUNNING))],
    )

    assert (shown.upstream_total, shown.upstream_satisfied, shown.downstream_total) == (1, 1, 1)
    assert shown.upstream[0].relation_state == "satisfied"
    assert shown.downstream[0].relation_state == "pending"
    assert shown.downstream[0].job_state is JobState.QUEUED
    assert shown.downstream[0].scheduler_dependency == "afterok:12"
    assert shown.upstream[0].command_display == "run 1"
