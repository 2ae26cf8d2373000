"""Cancelling: the request is recorded, the scheduler is asked, and the state follows from evidence."""

from __future__ import annotations

import pytest

from molq.backend import SchedulerError
from molq.errors import BackendError, JobNotFoundError
from molq.job_state import JobState


def requested_at(cluster, job):
    return cluster.store.tracked_job(job.job_id).cancel_requested_at


def test_a_cancelled_job_is_cancelled_because_the_scheduler_says_so(cluster):
    job = cluster.submit()

    cluster.cancel(job.job_id)

    assert cluster.state(job) is JobState.CANCELLED
    assert cluster.scheduler.cancels == ["101"]
    assert cluster.store.transitions(job.job_id)[-1].reason == "the scheduler says 'CANCELLED'"


def test_a_job_that_goes_on_after_an_accepted_cancel_keeps_its_state(cluster):
    cluster.scheduler.cancels_slowly = True
    job = cluster.submit()
    cluster.say(job, JobState.RUNNING)

    cluster.cancel(job.job_id)

    assert cluster.state(job) is JobState.RUNNING
    assert requested_at(cluster, job) is not None


def test_a_job_that_vanishes_after_an_accepted_cancel_is_cancelled(cluster):
    cluster.scheduler.cancels_slowly = True
    job = cluster.submit()
    cluster.cancel(job.job_id)
    cluster.forget(job)

    cluster.refresh()

    assert cluster.state(job) is JobState.CANCELLED


def test_a_job_that_succeeds_in_spite_of_an_accepted_cancel_has_succeeded(cluster):
    cluster.scheduler.cancels_slowly = True
    job = cluster.submit()
    cluster.cancel(job.job_id)
    cluster.end(job, 0)
    cluster.forget(job)

    cluster.refresh()

    assert cluster.state(job) is JobState.SUCCEEDED


def test_a_job_that_ended_just_before_the_cancel_keeps_its_own_end(cluster, clock):
    succeeded, failed = cluster.submit(), cluster.submit()
    cluster.end(succeeded, 0)
    cluster.say(succeeded, JobState.SUCCEEDED)
    cluster.end(failed, 3)
    cluster.say(failed, JobState.FAILED)
    clock.turn(1)

    cluster.cancel(succeeded.job_id)
    cluster.cancel(failed.job_id)

    assert cluster.state(succeeded) is JobState.SUCCEEDED
    assert cluster.state(failed) is JobState.FAILED


@pytest.mark.parametrize("end", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT])
def test_cancelling_a_finished_job_changes_nothing_and_asks_nobody(cluster, end):
    job = cluster.submit()
    cluster.say(job, end)
    cluster.refresh()
    before = cluster.store.tracked_job(job.job_id)

    cluster.cancel(job.job_id)

    assert cluster.store.tracked_job(job.job_id) == before
    assert cluster.scheduler.cancels == []


def test_cancelling_twice_is_no_error(cluster):
    cluster.scheduler.cancels_slowly = True
    job = cluster.submit()

    cluster.cancel(job.job_id)
    cluster.cancel(job.job_id)

    assert cluster.state(job) is JobState.QUEUED


def test_a_refusal_of_the_second_cancel_takes_nothing_back(cluster):
    cluster.scheduler.cancels_slowly = True
    job = cluster.submit()
    cluster.cancel(job.job_id)
    cluster.scheduler.refuses_cancels = "is being cancelled already"

    cluster.cancel(job.job_id)

    assert requested_at(cluster, job) is not None
    cluster.forget(job)
    cluster.refresh()
    assert cluster.state(job) is JobState.CANCELLED


def test_a_refused_cancel_is_an_error_and_the_job_stays_what_it_was(cluster):
    job = cluster.submit()
    cluster.say(job, JobState.RUNNING)
    cluster.scheduler.refuses_cancels = "permission denied"

    with pytest.raises(SchedulerError, match=r"refused to cancel job 101 .*: permission denied"):
        cluster.cancel(job.job_id)

    assert cluster.state(job) is JobState.RUNNING
    assert requested_at(cluster, job) is None


def test_a_cancel_that_nobody_can_be_asked_for_is_an_error_and_is_not_made_up_for_later(cluster):
    job = cluster.submit()
    cluster.fail_polls()
    with pytest.raises(SchedulerError, match="unable to contact"):
        cluster.cancel(job.job_id)
    cluster.fail_polls(down=False)

    cluster.refresh()

    assert cluster.state(job) is JobState.QUEUED
    assert cluster.scheduler.cancels == []


def test_a_cancel_by_a_faulty_backend_is_its_fault_and_is_not_made_up_for_later(cluster):
    job = cluster.submit()
    cluster.scheduler.fault = ZeroDivisionError("oops")

    with pytest.raises(BackendError, match="ZeroDivisionError"):
        cluster.cancel(job.job_id)

    assert requested_at(cluster, job) is None


def test_a_look_that_fails_after_an_accepted_cancel_is_no_error_of_the_cancel(cluster):
    job = cluster.submit()
    questions = []
    cluster.scheduler.on_question = lambda: (
        questions.append(1), len(questions) == 3 and cluster.fail_polls()
    )  # fmt: skip

    cluster.cancel(job.job_id)

    assert cluster.scheduler.cancels == ["101"]
    assert "unable to contact" in cluster.store.leases.health("c", "memory").failure


def test_a_job_without_an_id_is_cancelled_as_soon_as_it_turns_up(cluster):
    cluster.scheduler.loses_replies = True
    job = cluster.submit()
    cluster.fail_polls()
    cluster.cancel(job.job_id)
    assert cluster.state(job) is JobState.CREATED

    cluster.fail_polls(down=False)
    cluster.refresh()

    assert cluster.state(job) is JobState.CANCELLED
    assert cluster.steps(job) == ["CREATED", "SUBMITTED", "QUEUED", "CANCELLED"]


def test_a_job_without_an_id_that_was_cancelled_and_never_turns_up_is_cancelled(cluster, clock):
    cluster.fail_polls()
    job = cluster.submit()
    cluster.fail_polls(down=False)
    cluster.cancel(job.job_id)

    for _ in range(3):
        cluster.refresh()
        clock.turn(61)

    assert cluster.state(job) is JobState.CANCELLED
    assert cluster.scheduler.cancels == []


def test_a_cancel_whose_process_died_before_it_asked_is_carried_out_by_the_next_poll(cluster, clock):
    job = cluster.submit()
    cluster.store.request_cancel(job.job_id, clock())

    cluster.refresh()

    assert cluster.state(job) is JobState.CANCELLED
    assert cluster.scheduler.cancels == ["101"]


def test_a_cancel_whose_process_died_before_it_recorded_the_answer_asks_again(cluster, clock):
    cluster.scheduler.cancels_slowly = True
    job = cluster.submit()
    cluster.store.request_cancel(job.job_id, clock())
    cluster.scheduler.cancels.append("101")

    cluster.refresh()
    cluster.forget(job)
    cluster.refresh()

    assert cluster.state(job) is JobState.CANCELLED


def test_a_cancel_that_is_carried_out_later_and_refused_is_not_tried_for_ever(cluster, clock, caplog):
    job = cluster.submit()
    cluster.scheduler.refuses_cancels = "permission denied"
    cluster.store.request_cancel(job.job_id, clock())

    for _ in range(3):
        cluster.refresh()

    assert cluster.scheduler.cancels == ["101"]
    assert requested_at(cluster, job) is None
    assert "permission denied" in caplog.text


def test_a_cancel_that_cannot_be_carried_out_stops_no_poll(cluster, clock):
    def cancel_jobs(jobs):
        raise SchedulerError("scancel: no such program")

    cluster.backend = cluster.scheduler.backend(molq_cancel_jobs=cancel_jobs)
    wanted, other = cluster.submit(), cluster.submit()
    cluster.store.request_cancel(wanted.job_id, clock())
    cluster.say(other, JobState.RUNNING)

    cluster.refresh()

    assert cluster.state(other) is JobState.RUNNING
    assert requested_at(cluster, wanted) is not None
    assert cluster.store.leases.health("c", "memory").failure is None


@pytest.mark.parametrize("stranger_is", [JobState.RUNNING, JobState.SUCCEEDED])
def test_a_stranger_with_the_id_of_a_job_is_never_cancelled(cluster, stranger_is):
    job = cluster.submit()
    cluster.say(job, stranger_is, tag="a stranger's")

    with pytest.raises(SchedulerError, match="another job has this id"):
        cluster.cancel(job.job_id)

    assert cluster.scheduler.cancels == []
    assert requested_at(cluster, job) is None
    assert cluster.state(job) is JobState.SUBMITTED


def test_a_stranger_is_not_cancelled_for_a_process_that_died_either(cluster, clock):
    job = cluster.submit()
    cluster.say(job, JobState.RUNNING, tag="a stranger's")
    cluster.store.request_cancel(job.job_id, clock())

    cluster.refresh()

    assert cluster.scheduler.cancels == []


def test_a_job_that_the_scheduler_does_not_list_yet_is_cancelled_all_the_same(cluster):
    job = cluster.submit()
    asked = []

    def cancel_jobs(jobs):
        from molq.backend import CancelReceipt

        asked.extend(jobs)
        return tuple(CancelReceipt(scheduler_job_id=j.scheduler_job_id, accepted=True) for j in jobs)

    cluster.backend = cluster.scheduler.backend(molq_cancel_jobs=cancel_jobs)
    cluster.forget(job)

    cluster.cancel(job.job_id)

    assert [item.job_id for item in asked] == [job.job_id]


def test_cancelling_a_job_that_does_not_exist_is_an_error(cluster):
    with pytest.raises(JobNotFoundError):
        cluster.cancel("no-such-job")


def test_a_cancel_of_an_unconfirmed_job_that_the_scheduler_has_is_carried_out_at_once(cluster):
    cluster.scheduler.loses_replies = True
    job = cluster.submit()

    cluster.cancel(job.job_id)

    assert cluster.scheduler.cancels == cluster.scheduler.ids
    assert cluster.state(job) is JobState.CANCELLED
