"""Jobs that wait for others follow their attempts, and are held in molq where the scheduler would judge wrongly."""

from __future__ import annotations

import shutil

import attrs
import pytest

from molq.attempts import plan_by_hand
from molq.job_folder import JobFolder, JobPlace
from molq.job_queries import JobQueries
from molq.job_spec import DependencyRef
from molq.job_state import JobState
from molq.policies import RetryBackoff, RetryPolicy
from molq.store.retention import Departure
from molq.upkeep import Upkeep

TWO = RetryPolicy(max_attempts=2, backoff=RetryBackoff("fixed", 10.0))


def waiting_for(cluster, job, condition="after_success", **parts):
    return cluster.submit(dependencies=(DependencyRef(job.job_id, condition),), **parts)


def end(cluster, job, state, **facts):
    if state is not JobState.CANCELLED:
        cluster.start(job)
    cluster.say(job, state, **facts)
    cluster.refresh()


def next_attempt(cluster, job):
    cluster.clock.turn(10)
    cluster.keep_up()
    return cluster.latest(job)


def test_a_waiting_job_is_pointed_to_the_next_attempt(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent)
    end(cluster, parent, JobState.FAILED)
    assert cluster.scheduler.updates == []

    second = next_attempt(cluster, parent)
    cluster.keep_up()

    assert cluster.scheduler.updates == [(child.scheduler_job_id, f"after_success:{second.scheduler_job_id}")]
    (edge,) = cluster.store.dependencies(child.job_id)
    assert edge.scheduler_dependency == f"after_success:{second.scheduler_job_id}"
    assert edge.dependency_job_id == parent.job_id
    assert cluster.state(child) is JobState.QUEUED


def test_a_waiting_job_is_released_if_the_next_attempt_was_over_before_it_could_be_pointed_there(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent)
    end(cluster, parent, JobState.FAILED)
    second = next_attempt(cluster, parent)

    cluster.start(second)
    cluster.end(second, 0)
    cluster.refresh()

    assert cluster.scheduler.updates == [(child.scheduler_job_id, "")]
    (edge,) = cluster.store.dependencies(child.job_id)
    assert edge.scheduler_dependency is None
    cluster.another_process().keep_up()
    assert len(cluster.scheduler.updates) == 1


def test_a_refusal_to_point_a_job_elsewhere_is_taken_once_by_each_process(cluster):
    asked = []

    def refuse(job, expression):
        asked.append(expression)
        return False

    cluster.backend = cluster.scheduler.backend(molq_update_dependencies=refuse)
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent)
    end(cluster, parent, JobState.FAILED)
    second = next_attempt(cluster, parent)
    upkeep = Upkeep(poller=cluster.poller, submitter=cluster.submitter)

    upkeep.run()
    cluster.submit()
    upkeep.run()

    assert asked == [f"after_success:{second.scheduler_job_id}"]
    (edge,) = cluster.store.dependencies(child.job_id)
    assert edge.scheduler_dependency == f"after_success:{parent.scheduler_job_id}"


def test_a_pointer_that_could_not_be_set_is_set_later(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent)
    end(cluster, parent, JobState.FAILED)
    second = next_attempt(cluster, parent)
    cluster.fail_polls()
    cluster.keep_up()
    cluster.fail_polls(down=False)

    cluster.another_process().keep_up()

    assert cluster.scheduler.updates == [(child.scheduler_job_id, f"after_success:{second.scheduler_job_id}")]


def test_a_pointer_that_cannot_be_set_is_not_tried_at_every_step(cluster):
    parent = cluster.submit(retry=TWO)
    waiting_for(cluster, parent)
    end(cluster, parent, JobState.FAILED)
    next_attempt(cluster, parent)
    questions = []
    cluster.scheduler.on_question = lambda: questions.append(cluster.clock())
    cluster.fail_polls()
    upkeep = Upkeep(poller=cluster.poller, submitter=cluster.submitter)

    for _ in range(100):
        upkeep.run()
        cluster.clock.turn(0.1)

    assert len(questions) == 1


def test_a_job_whose_upstream_has_failed_for_good_is_ended(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent)
    end(cluster, parent, JobState.FAILED)
    assert not cluster.state(child).is_terminal
    end(cluster, next_attempt(cluster, parent), JobState.FAILED)

    record = cluster.record(child)
    assert record.state is JobState.CANCELLED
    assert record.failure_reason == (
        f"can never run: after_success needs it to succeed, and job {parent.job_id} is failed"
    )


@pytest.mark.parametrize(("condition", "runs"), [("after_failure", True), ("after", True), ("after_success", False)])
def test_a_failure_that_is_followed_by_another_attempt_is_none_yet(cluster, condition, runs):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent, condition)
    end(cluster, parent, JobState.FAILED)
    if runs:
        held = cluster.store.tracked_job(child.job_id)
        assert held.waits_in_molq
        assert f"waits in molq for job {parent.job_id} ({condition})" in held.reason

    end(cluster, next_attempt(cluster, parent), JobState.FAILED)

    assert cluster.state(child) is (JobState.SUBMITTED if runs else JobState.CANCELLED)


def test_a_held_job_is_submitted_without_what_is_satisfied(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent, "after", command="echo child")
    assert len(cluster.scheduler.ids) == 1

    end(cluster, parent, JobState.SUCCEEDED)

    submitted = cluster.store.tracked_job(child.job_id)
    assert submitted.state is JobState.SUBMITTED
    assert cluster.scheduler.request(submitted.scheduler_job_id).dependency is None


def test_a_held_job_is_left_to_the_scheduler_with_the_last_attempt(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent, "after_failure")
    end(cluster, parent, JobState.FAILED)

    second = next_attempt(cluster, parent)
    cluster.keep_up()

    submitted = cluster.store.tracked_job(child.job_id)
    assert cluster.scheduler.request(submitted.scheduler_job_id).dependency == (
        f"after_failure:{second.scheduler_job_id}"
    )
    (edge,) = cluster.store.dependencies(child.job_id)
    assert edge.scheduler_dependency == f"after_failure:{second.scheduler_job_id}"


def test_a_held_job_that_the_scheduler_refuses_is_tried_again_since_nobody_was_told(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent, "after", retry=TWO)
    cluster.scheduler.rejects = "no such account"
    end(cluster, parent, JobState.SUCCEEDED)
    assert cluster.record(child).failure_reason == "no such account"

    cluster.scheduler.rejects = None
    second = next_attempt(cluster, child)

    assert (second.attempt, second.state) == (2, JobState.SUBMITTED)


def test_no_file_of_a_held_job_is_read_before_it_is_to_be_submitted(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent, "after", command="echo child")
    shutil.rmtree(child.job_dir)

    cluster.keep_up()

    assert cluster.store.tracked_job(child.job_id).reason == child.reason
    end(cluster, parent, JobState.SUCCEEDED)
    assert "cannot read the script" in cluster.record(child).failure_reason


def test_a_held_job_that_can_never_run_is_over_without_a_command(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent, "after_failure")

    end(cluster, parent, JobState.SUCCEEDED)

    record = cluster.record(child)
    assert record.state is JobState.CANCELLED
    assert record.failure_reason.startswith("can never run: after_failure needs it to fail")
    assert len(cluster.scheduler.ids) == 1


def test_a_held_job_is_not_submitted_to_wait_for_one_that_the_scheduler_has_forgotten(cluster):
    parent, forgotten = cluster.submit(retry=TWO), cluster.submit()
    refs = (DependencyRef(parent.job_id, "after"), DependencyRef(forgotten.job_id))
    child = cluster.submit(dependencies=refs)
    cluster.forget(forgotten)

    end(cluster, parent, JobState.SUCCEEDED)
    assert "the scheduler does not show it any more" in cluster.record(child).reason
    for _ in range(3):
        cluster.clock.turn(40)
        cluster.refresh()

    assert cluster.state(forgotten) is JobState.LOST
    assert cluster.state(child) is JobState.CANCELLED
    assert len(cluster.scheduler.ids) == 1


def test_a_held_job_is_cancelled_at_once(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent, "after")

    cluster.cancel(child.job_id)

    assert cluster.state(child) is JobState.CANCELLED


def test_a_job_may_wait_for_one_that_is_held(cluster):
    parent = cluster.submit(retry=TWO)
    child = waiting_for(cluster, parent, "after")
    grandchild = waiting_for(cluster, child)
    assert cluster.store.tracked_job(grandchild.job_id).waits_in_molq

    end(cluster, parent, JobState.SUCCEEDED)
    cluster.keep_up()

    child = cluster.store.tracked_job(child.job_id)
    grandchild = cluster.store.tracked_job(grandchild.job_id)
    assert cluster.scheduler.request(grandchild.scheduler_job_id).dependency == (
        f"after_success:{child.scheduler_job_id}"
    )


def test_a_job_may_wait_for_one_whose_submission_is_not_confirmed(cluster):
    cluster.scheduler.loses_replies = True
    parent = cluster.submit()
    cluster.scheduler.loses_replies = False
    child = waiting_for(cluster, parent)
    assert "the scheduler has not confirmed it yet" in cluster.record(child).reason

    cluster.refresh()

    assert cluster.state(child) is JobState.SUBMITTED
    (parent_id, child_id) = cluster.scheduler.ids
    assert cluster.scheduler.request(child_id).dependency == f"after_success:{parent_id}"


def test_an_edge_to_any_attempt_is_an_edge_to_the_family(cluster):
    parent = cluster.submit(retry=TWO)
    end(cluster, parent, JobState.FAILED)
    second = next_attempt(cluster, parent)

    child = waiting_for(cluster, second)

    (edge,) = cluster.store.dependencies(child.job_id)
    assert edge.dependency_job_id == parent.job_id


def test_a_started_attempt_counts_as_a_start_for_good(cluster):
    parent = cluster.submit(retry=TWO)
    end(cluster, parent, JobState.FAILED)

    child = waiting_for(cluster, parent, "after_started")

    assert cluster.state(child) is JobState.SUBMITTED
    assert cluster.scheduler.request(child.scheduler_job_id).dependency is None


def test_a_scheduler_that_deletes_stranded_jobs_gets_none_that_might_be(cluster):
    describe = cluster.backend.description
    backend = cluster.scheduler.backend(molq_describe_backend=lambda: attrs.evolve(describe, keeps_stranded=False))
    cluster.backend = backend
    parent = cluster.submit(retry=TWO)

    child = waiting_for(cluster, parent)
    assert "it may be tried again" in cluster.record(child).reason
    end(cluster, parent, JobState.FAILED)
    second = next_attempt(cluster, parent)
    cluster.keep_up()

    submitted = cluster.store.tracked_job(child.job_id)
    assert cluster.scheduler.request(submitted.scheduler_job_id).dependency == (
        f"after_success:{second.scheduler_job_id}"
    )


def test_a_scheduler_that_misjudges_arrays_is_not_asked_to_judge_them(cluster):
    describe = cluster.backend.description
    cluster.backend = cluster.scheduler.backend(
        molq_describe_backend=lambda: attrs.evolve(describe, judges_arrays=False)
    )
    array = cluster.submit(array_spec="0-1")
    child = waiting_for(cluster, array)
    assert "does not judge arrays by all of their elements" in cluster.record(child).reason

    cluster.scheduler.list_elements(array.scheduler_job_id, {0: JobState.SUCCEEDED, 1: JobState.SUCCEEDED})
    cluster.refresh()

    assert cluster.state(child) is JobState.SUBMITTED


@pytest.mark.parametrize(("condition", "runs"), [("after_success", False), ("after_failure", True), ("after", True)])
def test_an_attempt_of_some_elements_is_not_left_to_the_scheduler_to_judge_if_others_have_failed(
    cluster, condition, runs
):
    array = cluster.submit(array_spec="0-2", retry=TWO)
    child = waiting_for(cluster, array, condition)
    states = {0: JobState.SUCCEEDED, 1: JobState.FAILED, 2: JobState.CANCELLED}
    cluster.scheduler.list_elements(array.scheduler_job_id, states)
    cluster.refresh()
    second = next_attempt(cluster, array)
    cluster.keep_up()
    assert second.array_spec == "1"
    assert cluster.scheduler.updates == []

    cluster.scheduler.list_elements(second.scheduler_job_id, {1: JobState.SUCCEEDED})
    cluster.refresh()

    assert cluster.state(second) is JobState.CANCELLED
    assert cluster.state(child) is (JobState.SUBMITTED if runs else JobState.CANCELLED)
    asked = [cluster.scheduler.request(i) for i in cluster.scheduler.ids if cluster.scheduler.request(i).dependency]
    assert not runs or asked == []


def test_a_scheduler_that_would_forget_a_dependant_gets_it_when_the_other_has_started(cluster):
    describe = cluster.backend.description
    cluster.backend = cluster.scheduler.backend(
        molq_describe_backend=lambda: attrs.evolve(describe, releases_unstarted=False)
    )
    parent = cluster.submit()
    child = waiting_for(cluster, parent, "after_failure")
    assert "should the other be cancelled before it starts" in cluster.record(child).reason

    cluster.start(parent)
    cluster.say(parent, JobState.RUNNING)
    cluster.refresh()

    submitted = cluster.store.tracked_job(child.job_id)
    assert cluster.scheduler.request(submitted.scheduler_job_id).dependency == (
        f"after_failure:{parent.scheduler_job_id}"
    )


@pytest.mark.parametrize("has_run", [True, False])
def test_a_job_may_be_tried_again_that_ran_after_one_whose_record_is_gone(cluster, has_run):
    parent = cluster.submit()
    child = waiting_for(cluster, parent)
    end(cluster, parent, JobState.SUCCEEDED if has_run else JobState.FAILED)
    if has_run:
        end(cluster, child, JobState.FAILED)
    ended = next(cluster.store.retention.ended_families("c", None, cleaned=False, until=cluster.clock(), now=0))
    (family,) = (family for family in ended if family.root_job_id == parent.job_id)
    cluster.store.retention.let_go([Departure(family=family, with_records=True)], 0)

    assert plan_by_hand(cluster.store, child.job_id, cluster.clock())
    cluster.keep_up()

    assert cluster.latest(child).state is (JobState.SUBMITTED if has_run else JobState.FAILED)


def test_a_scheduler_that_never_releases_is_told_that_there_is_nothing_to_wait_for(cluster):
    parent = cluster.submit()
    child = waiting_for(cluster, parent, "after_failure")

    end(cluster, parent, JobState.CANCELLED)
    cluster.keep_up()

    assert cluster.scheduler.updates == [(child.scheduler_job_id, "")]
    assert not cluster.state(child).is_terminal


def test_an_attempt_neither_repeats_nor_loses_the_edges_of_its_family(cluster):
    parent = cluster.submit()
    child = waiting_for(cluster, parent, retry=TWO)
    end(cluster, parent, JobState.SUCCEEDED)
    end(cluster, child, JobState.FAILED)

    second = next_attempt(cluster, child)

    assert cluster.scheduler.request(second.scheduler_job_id).dependency is None
    assert [edge.job_id for edge in cluster.store.dependents(parent.job_id)] == [child.job_id]


def test_every_attempt_of_a_job_has_the_edges_of_its_family(cluster):
    parent, other = cluster.submit(), cluster.submit()
    child = cluster.submit(
        dependencies=(DependencyRef(parent.job_id), DependencyRef(other.job_id, "after")),
        retry=TWO,
    )
    grandchild = waiting_for(cluster, child)
    end(cluster, parent, JobState.SUCCEEDED)
    end(cluster, other, JobState.FAILED)
    end(cluster, child, JobState.FAILED)
    second = next_attempt(cluster, child)
    assert second.job_id != child.job_id

    queries = JobQueries("c", "memory", cluster.store)
    by_attempt = [queries.get_dependency_preview(job.job_id) for job in (child, second)]

    assert {edge.dependency_job_id for edge in queries.get_dependencies(second.job_id)} == {parent.job_id, other.job_id}
    assert queries.get_dependencies(second.job_id) == queries.get_dependencies(child.job_id)
    assert [preview.job_id for preview in by_attempt] == [child.job_id, second.job_id]
    assert [(preview.upstream_total, preview.upstream_satisfied) for preview in by_attempt] == [(2, 2), (2, 2)]
    assert [[item.job_id for item in preview.downstream] for preview in by_attempt] == [[grandchild.job_id]] * 2


def test_of_many_processes_one_points_a_job_to_the_next_attempt(cluster):
    parent = cluster.submit(retry=TWO)
    waiting_for(cluster, parent)
    end(cluster, parent, JobState.FAILED)
    next_attempt(cluster, parent)
    other = cluster.another_process()

    with other.poller.turn():
        cluster.keep_up()
        assert cluster.scheduler.updates == []
    cluster.keep_up()
    other.keep_up()

    assert len(cluster.scheduler.updates) == 1


def test_a_condition_that_somebody_has_edited_holds_its_job_and_no_other(cluster):
    upstream = cluster.submit()
    cluster.refresh()
    edited = cluster.submit(dependencies=(DependencyRef(upstream.job_id),), retry=RetryPolicy(max_attempts=2))
    with cluster.store._connection.writing() as sqlite:
        sqlite.execute("UPDATE dependencies SET dependency_type = 'x'")
    waiting = cluster.submit(retry=RetryPolicy(max_attempts=2))
    cluster.refresh()

    cluster.say(upstream, JobState.SUCCEEDED, exit_code=0)
    cluster.refresh()

    assert cluster.state(waiting) is not JobState.CREATED
    assert cluster.state(edited) is not JobState.CANCELLED


def test_an_attempt_is_not_late_because_somebody_looked_at_its_lock(cluster):
    job = cluster.submit(retry=RetryPolicy(max_attempts=2, backoff=RetryBackoff("fixed", 10.0)))
    cluster.refresh()
    cluster.start(job)
    cluster.end(job, 3)
    cluster.say(job, JobState.FAILED, exit_code=3)
    cluster.refresh()
    cluster.clock.turn(11)
    second = cluster.latest(job)
    folder = JobFolder.create(JobPlace.of(second.job_dir), second.job_id, cluster.clock())
    upkeep = Upkeep(poller=cluster.poller, submitter=cluster.submitter)

    with folder.submit_lock():
        upkeep.run()
    meanwhile = cluster.latest(job).state
    cluster.clock.turn(1)
    upkeep.run()

    assert (meanwhile, cluster.latest(job).state) == (JobState.CREATED, JobState.SUBMITTED)
