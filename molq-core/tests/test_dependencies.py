"""Edges between jobs are judged by molq's own store."""

from __future__ import annotations

import pytest

from molq import DependencyRef, JobRecord, JobState, SubmitError, dependency_relation_state
from molq.dependencies import preview, resolve
from molq.errors import ConfigError
from molq.records import JobDependency
from molq.testing.memory import MemoryScheduler

_S, _P, _I = "satisfied", "pending", "impossible"


def _record(job_id: str, state: JobState, **facts: object) -> JobRecord:
    return JobRecord(
        **{
            "job_id": job_id, "root_job_id": job_id, "cluster_name": "c", "scheduler": "memory", "state": state,
            "cwd": "/", "command_type": "argv", "command_display": f"run {job_id}", "metadata": {}, "created_at": 1.0,
            "job_dir": "/j", "stdout_path": "/o", "stderr_path": "/e", "scheduler_job_id": f"1{job_id}", **facts,
        }
    )  # fmt: skip


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
    upstreams = {"1": _record("1", JobState.RUNNING), "2": _record("2", JobState.SUCCEEDED)}
    refs = (DependencyRef("1"), DependencyRef("2"), DependencyRef("1", "after"), DependencyRef("1"))

    resolved = resolve(refs, upstreams, MemoryScheduler().backend(), "c")

    assert resolved.expression == "after_success:11,after:11"
    assert resolved.edges == (
        (DependencyRef("1"), "after_success:11"),
        (DependencyRef("2"), None),
        (DependencyRef("1", "after"), "after:11"),
    )


def test_nothing_is_told_to_the_scheduler_if_all_edges_are_satisfied():
    resolved = resolve((DependencyRef("2"),), {"2": _record("2", JobState.SUCCEEDED)}, MemoryScheduler().backend(), "c")

    assert resolved.expression is None


def test_an_impossible_edge_is_refused_with_both_sides():
    with pytest.raises(SubmitError, match="after_success needs it to succeed, and job 1 is failed already"):
        resolve((DependencyRef("1"),), {"1": _record("1", JobState.FAILED)}, MemoryScheduler().backend(), "c")


def test_an_upstream_job_on_another_cluster_is_refused():
    upstream = _record("1", JobState.RUNNING, cluster_name="d")

    with pytest.raises(ConfigError, match="job 1 is on 'd'"):
        resolve((DependencyRef("1"),), {"1": upstream}, MemoryScheduler().backend(), "c")


def test_an_unconfirmed_upstream_job_cannot_be_waited_for():
    upstream = _record("1", JobState.CREATED, scheduler_job_id=None)

    with pytest.raises(SubmitError, match="job 1 is not confirmed"):
        resolve((DependencyRef("1"),), {"1": upstream}, MemoryScheduler().backend(), "c")


def test_a_preview_judges_each_side_by_its_upstream_job():
    job = _record("2", JobState.RUNNING, started_at=5.0)
    above, below = _record("1", JobState.SUCCEEDED), _record("3", JobState.QUEUED)

    shown = preview(
        job,
        [(JobDependency("2", "1", "after_success", "afterok:11"), above)],
        [(JobDependency("3", "2", "after_success", "afterok:12"), below)],
    )

    assert (shown.upstream_total, shown.upstream_satisfied, shown.downstream_total) == (1, 1, 1)
    assert shown.upstream[0].relation_state == "satisfied"
    assert shown.downstream[0].relation_state == "pending"
    assert shown.downstream[0].job_state is JobState.QUEUED
    assert shown.downstream[0].scheduler_dependency == "afterok:12"
    assert shown.upstream[0].command_display == "run 1"
