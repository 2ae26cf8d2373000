"""What became of submissions whose outcome was never recorded."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from molq.backend import FoundJob, SchedulerError, SubmitDeferred, SubmitReceipt, SubmitRejected, SubmitUnconfirmed
from molq.errors import BackendError
from molq.job_folder import JobFolder, JobPlace
from molq.job_state import JobState
from molq.policies import RetryBackoff, RetryPolicy


def reads_replies(reply):
    """Read the replies of a made-up submit command."""
    if reply.stdout.startswith("ok "):
        return SubmitReceipt(scheduler_job_id=reply.stdout.split()[1])
    if reply.stdout.startswith("no "):
        raise SubmitRejected(reply.stdout[3:])
    if reply.stdout.startswith("later "):
        raise SubmitDeferred(reply.stdout[6:])
    raise SubmitUnconfirmed(f"said {reply.stdout!r}")


@pytest.fixture
def by_command(cluster):
    """Make the scheduler one that is submitted to by a command."""
    cluster.backend = cluster.scheduler.backend(molq_read_submit_reply=reads_replies)
    return cluster


@pytest.fixture
def unconfirmed(cluster):
    """Return a job that the scheduler took without saying so."""

    def submit(*, taken=True):
        cluster.scheduler.loses_replies, cluster.scheduler.is_down = taken, not taken
        job = cluster.submit()
        cluster.scheduler.loses_replies = cluster.scheduler.is_down = False
        return job

    return submit


def leave_reply(job, text):
    Path(job.job_dir, "submit.out").write_text(text)


def leave_reply_in_new_folder(cluster, job, text):
    JobFolder.create(JobPlace.of(job.job_dir), job.job_id, cluster.clock())
    leave_reply(job, text)


def test_a_job_is_adopted_by_its_tag(cluster, unconfirmed):
    job = unconfirmed()

    cluster.refresh()

    record = cluster.record(job)
    assert (record.state, record.scheduler_job_id, record.reason) == (JobState.QUEUED, "101", None)
    assert cluster.steps(job) == ["CREATED", "SUBMITTED", "QUEUED"]
    assert cluster.scheduler.ids == ["101"]


def test_a_job_is_adopted_by_the_claim_of_its_script_without_asking_anybody(cluster, unconfirmed):
    job = unconfirmed()
    cluster.start(job)
    cluster.fail_polls()

    with pytest.raises(SchedulerError):
        cluster.refresh()

    assert cluster.record(job).scheduler_job_id == "101"


def test_a_job_that_ran_to_its_end_unconfirmed_is_settled_by_its_files(cluster, unconfirmed):
    job = unconfirmed()
    cluster.start(job)
    cluster.end(job, 0)
    cluster.scheduler.forget("101")

    cluster.refresh()

    assert cluster.steps(job) == ["CREATED", "SUBMITTED", "SUCCEEDED"]


def test_a_job_is_adopted_by_the_reply_that_a_dead_process_left(by_command, unconfirmed):
    job = unconfirmed()
    leave_reply(job, "ok 101")
    by_command.fail_polls()

    with pytest.raises(SchedulerError):
        by_command.refresh()

    assert by_command.record(job).scheduler_job_id == "101"


def test_a_refusal_that_a_dead_process_left_is_the_end(by_command, unconfirmed):
    job = unconfirmed(taken=False)
    leave_reply(job, "no such partition")

    by_command.refresh()

    record = by_command.record(job)
    assert (record.state, record.cause, record.failure_reason) == (JobState.FAILED, "submit", "such partition")
    assert record.finished_at is not None


@pytest.mark.parametrize("reply", ["", "garbage", "ok"])
def test_a_reply_that_says_nothing_leaves_the_word_to_the_scheduler(by_command, unconfirmed, reply):
    found, never = unconfirmed(), unconfirmed(taken=False)
    for job in (found, never):
        leave_reply(job, reply)

    by_command.refresh()

    assert [by_command.state(found), by_command.state(never)] == [JobState.QUEUED, JobState.CREATED]


def test_a_backend_that_cannot_read_a_reply_spoils_no_other_job(cluster, unconfirmed):
    cluster.backend = cluster.scheduler.backend(molq_read_submit_reply=lambda reply: 1 // 0)
    job, other = unconfirmed(), cluster.submit()
    leave_reply(job, "ok 101")
    cluster.say(other, JobState.RUNNING)

    cluster.refresh()

    assert [cluster.state(job), cluster.state(other)] == [JobState.QUEUED, JobState.RUNNING]


def test_a_job_whose_submit_command_was_never_started_has_failed(by_command, unconfirmed, clock):
    job = unconfirmed(taken=False)
    by_command.fail_polls()
    clock.turn(61)

    with pytest.raises(SchedulerError):
        by_command.refresh()
        by_command.submit()
        by_command.refresh()

    assert by_command.state(job) is JobState.FAILED
    assert "before it submitted" in by_command.record(job).failure_reason


def test_a_job_that_was_never_found_has_failed_after_two_answers_and_the_grace_time(cluster, unconfirmed, clock):
    job = unconfirmed(taken=False)
    states = []

    for seconds in (0, 30, 29, 2):
        clock.turn(seconds)
        cluster.refresh()
        states.append(cluster.state(job).name)

    record = cluster.record(job)
    assert states == ["CREATED", "CREATED", "CREATED", "FAILED"]
    assert "never reached the scheduler" in record.failure_reason
    assert (record.cause, record.missing_since, record.reason) == ("submit", None, None)
    assert cluster.scheduler.ids == []


def test_two_answers_at_once_after_a_long_outage_are_not_enough(cluster, unconfirmed, clock):
    job = unconfirmed(taken=False)
    clock.turn(86_400)

    cluster.refresh()
    cluster.refresh()

    assert cluster.state(job) is JobState.CREATED


def test_a_search_that_failed_is_no_answer(cluster, unconfirmed, clock):
    job = unconfirmed(taken=False)
    cluster.fail_polls()

    for _ in range(10):
        clock.turn(61)
        with pytest.raises(SchedulerError):
            cluster.refresh()

    assert cluster.state(job) is JobState.CREATED
    assert cluster.record(job).missing_since is None


def test_a_search_that_fails_stops_no_poll(cluster, unconfirmed):
    def find_jobs(tags):
        raise SchedulerError("accounting is down")

    cluster.backend = cluster.scheduler.backend(molq_find_jobs=find_jobs)
    orphan, known = unconfirmed(), cluster.submit()
    cluster.say(known, JobState.RUNNING)

    cluster.refresh()

    assert [cluster.state(orphan), cluster.state(known)] == [JobState.CREATED, JobState.RUNNING]
    assert cluster.store.leases.health("c", "memory").failure is None


def test_a_search_that_fails_when_nothing_else_is_asked_is_an_error(cluster, unconfirmed):
    def find_jobs(tags):
        raise SchedulerError("accounting is down")

    cluster.backend = cluster.scheduler.backend(molq_find_jobs=find_jobs)
    unconfirmed()

    with pytest.raises(SchedulerError, match="accounting is down"):
        cluster.refresh()


def test_what_was_found_under_other_tags_is_left_alone(cluster, unconfirmed):
    stranger = FoundJob(tag="a stranger's", scheduler_job_id="666")
    cluster.backend = cluster.scheduler.backend(molq_find_jobs=lambda tags: (stranger,))
    job = unconfirmed(taken=False)

    with pytest.raises(BackendError, match="not asked for"):
        cluster.refresh()

    assert cluster.record(job).scheduler_job_id is None


def test_a_submission_that_is_under_way_is_left_alone(cluster, unconfirmed, clock):
    job = unconfirmed()
    descriptor = os.open(Path(job.job_dir, "submit.lock"), os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    for _ in range(5):
        clock.turn(61)
        cluster.refresh()
    under_way = cluster.state(job)

    os.close(descriptor)
    cluster.refresh()

    assert [under_way, cluster.state(job)] == [JobState.CREATED, JobState.QUEUED]


def test_a_submission_from_a_machine_whose_files_are_not_seen_is_given_more_time(cluster, unconfirmed, clock):
    job = unconfirmed(taken=False)
    Path(job.job_dir).rename(job.job_dir + " elsewhere")
    states = []

    for _ in range(21):
        cluster.refresh()
        states.append(cluster.state(job).name)
        clock.turn(30)

    assert states == ["CREATED"] * 20 + ["FAILED"]


def test_without_a_search_only_the_files_adopt(cluster, unconfirmed, clock):
    cluster.backend = cluster.scheduler.backend(without=["molq_find_jobs"])
    started, waiting = unconfirmed(), unconfirmed()
    cluster.start(started)

    for _ in range(10):
        clock.turn(61)
        cluster.refresh()

    assert [cluster.state(started), cluster.state(waiting)] == [JobState.QUEUED, JobState.CREATED]


def test_a_cancel_that_came_before_the_refusal_makes_it_a_cancel(by_command, unconfirmed):
    job = unconfirmed(taken=False)
    leave_reply(job, "no such partition")
    by_command.cancel(job.job_id)

    by_command.refresh()

    assert by_command.state(job) is JobState.CANCELLED


def test_many_processes_adopt_a_job_once(cluster, unconfirmed):
    job = unconfirmed()
    others = [cluster.another_process() for _ in range(3)]

    for process in (*others, cluster):
        process.refresh()

    assert cluster.steps(job) == ["CREATED", "SUBMITTED", "QUEUED"]
    for process in others:
        process.store.close()


def test_an_attempt_that_met_a_limit_goes_on_waiting_although_its_submitter_died(by_command):
    job = by_command.submit(retry=RetryPolicy(2, backoff=RetryBackoff("fixed", 10.0)))
    by_command.say(job, JobState.FAILED, exit_code=1)
    by_command.refresh()
    second = by_command.latest(job)
    by_command.store.claim(second, by_command.clock())
    leave_reply_in_new_folder(by_command, second, "later your limit of jobs is reached")
    by_command.clock.turn(10)

    by_command.refresh()

    assert by_command.latest(job).state is JobState.SUBMITTED
    assert [record.attempt for record in by_command.store.family(job.job_id)] == [1, 2]
