"""Polls: one question about all jobs, one process that asks, and nothing that one bad job does to the others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import attrs
import pytest

from molq.backend import ElementReport, PollAnswer, SchedulerError
from molq.errors import BackendError
from molq.job_state import JobState
from molq.store.leases import LEASE_SECONDS, Leases


def test_one_poll_asks_about_all_jobs(cluster):
    jobs = [cluster.submit() for _ in range(20)]
    cluster.say(jobs[3], JobState.RUNNING)
    cluster.say(jobs[4], JobState.FAILED, exit_code=2)

    cluster.refresh()

    states = [cluster.state(job).name for job in jobs]
    assert states[2:6] == ["QUEUED", "RUNNING", "FAILED", "QUEUED"]
    assert cluster.scheduler.polls == 1


def test_nothing_is_asked_when_no_job_is_open(cluster):
    cluster.refresh()
    cluster.poller.poll_quietly()

    assert cluster.scheduler.polls == 0
    assert not cluster.poller.poll_is_due()


def test_a_poll_that_learned_nothing_writes_no_row(cluster):
    job = cluster.submit()
    cluster.refresh()
    before = cluster.store.tracked_job(job.job_id)

    cluster.refresh()

    assert cluster.store.tracked_job(job.job_id) == before


def test_an_outage_changes_no_job_and_is_recorded(cluster, clock):
    jobs = [cluster.submit() for _ in range(3)]
    cluster.refresh()
    before = cluster.store.tracked_jobs([job.job_id for job in jobs])
    cluster.fail_polls()

    for _ in range(100):
        clock.turn(60)
        with pytest.raises(SchedulerError, match="unable to contact"):
            cluster.refresh()

    health = cluster.store.leases.health("c", "memory")
    assert cluster.store.tracked_jobs([job.job_id for job in jobs]) == before
    assert (health.failure, health.failing_since) == ("unable to contact the controller", before[0].created_at + 60)


def test_after_an_outage_the_first_answer_counts(cluster, clock):
    job = cluster.submit()
    cluster.fail_polls()
    with pytest.raises(SchedulerError):
        cluster.refresh()
    cluster.fail_polls(down=False)
    cluster.say(job, JobState.FAILED, exit_code=4)

    cluster.refresh()

    assert cluster.record(job).exit_code == 4
    assert cluster.store.leases.health("c", "memory").failing_since is None


def test_during_an_outage_the_exit_files_settle_what_they_can(cluster, clock):
    good, bad = cluster.submit(), cluster.submit()
    cluster.end(good, 0)
    cluster.end(bad, 3)
    cluster.fail_polls()

    with pytest.raises(SchedulerError):
        cluster.refresh()
    early = [cluster.state(good), cluster.state(bad)]
    clock.turn(61)
    with pytest.raises(SchedulerError):
        cluster.refresh()

    assert early == [JobState.SUCCEEDED, JobState.SUBMITTED]
    assert cluster.state(bad) is JobState.FAILED


def test_a_job_that_is_left_unanswered_is_not_missed(cluster, clock):
    known, unknown = cluster.submit(), cluster.submit()
    cluster.scheduler.leave_unanswered(unknown.scheduler_job_id)

    for _ in range(10):
        clock.turn(60)
        cluster.refresh()

    assert [cluster.state(known), cluster.state(unknown)] == [JobState.QUEUED, JobState.SUBMITTED]
    assert cluster.record(unknown).missing_since is None


def test_misses_of_several_processes_add_up(cluster, clock):
    job = cluster.submit()
    cluster.forget(job)
    processes = [cluster, cluster.another_process(), cluster.another_process()]
    clock.turn(100)

    for process in processes:
        process.refresh()
        clock.turn(30)
    processes[0].refresh()

    assert cluster.state(job) is JobState.LOST
    for process in processes[1:]:
        process.store.close()


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED])
def test_a_stranger_with_the_id_of_a_job_is_not_the_job(cluster, clock, state):
    job = cluster.submit()
    cluster.say(job, state, tag="a stranger's")

    for _ in range(4):
        clock.turn(40)
        cluster.refresh()

    assert cluster.steps(job) == ["CREATED", "SUBMITTED", "LOST"]
    assert "another job under the id 101" in cluster.record(job).failure_reason


def test_a_report_without_a_tag_counts(cluster):
    job = cluster.submit()
    cluster.say(job, JobState.RUNNING, tag=None)

    cluster.refresh()

    assert cluster.state(job) is JobState.RUNNING


def test_a_report_without_a_tag_is_about_the_newest_job_with_its_id(cluster, clock):
    lost = cluster.submit()
    cluster.forget(lost)
    for _ in range(4):
        clock.turn(40)
        cluster.refresh()
    cluster.scheduler._next_id = 100
    reborn = cluster.submit()
    cluster.say(reborn, JobState.RUNNING, tag=None)

    cluster.refresh()

    assert lost.scheduler_job_id == reborn.scheduler_job_id
    assert [cluster.state(lost), cluster.state(reborn)] == [JobState.LOST, JobState.RUNNING]


def test_an_unknown_word_is_shown_and_warned_about_once(cluster, caplog):
    job, other = cluster.submit(), cluster.submit()
    poller = cluster.poller
    for each in (job, other):
        cluster.say(each, None, native_state="ZOMBIE")

    poller.refresh()
    poller.refresh()

    assert cluster.record(job).native_state == "ZOMBIE"
    assert cluster.state(job) is JobState.SUBMITTED
    assert len([record for record in caplog.records if "ZOMBIE" in record.message]) == 1


def test_a_faulty_backend_is_blamed_and_changes_nothing(cluster):
    job = cluster.submit()
    cluster.backend = cluster.scheduler.backend(molq_poll_jobs=lambda jobs: ["nonsense"])

    with pytest.raises(BackendError, match="molq_poll_jobs"):
        cluster.refresh()

    assert cluster.state(job) is JobState.SUBMITTED
    assert "molq_poll_jobs" in cluster.store.leases.health("c", "memory").failure


def test_restarts_that_the_script_cannot_see_are_left_to_the_scripts_own_count(cluster):
    description = attrs.evolve(cluster.backend.description, restart_count_variable=None)
    cluster.backend = cluster.scheduler.backend(molq_describe_backend=lambda: description)
    job = cluster.submit()
    cluster.start(job, restarts=1)
    cluster.say(job, JobState.RUNNING, restarts=7)
    cluster.refresh()
    assert cluster.store.tracked_job(job.job_id).restarts == 1

    cluster.end(job, 0)
    cluster.look()

    assert cluster.state(job) is JobState.SUCCEEDED


def test_a_lost_job_that_turns_up_again_is_revised(cluster, clock):
    job = cluster.submit()
    request = cluster.scheduler.request(job.scheduler_job_id)
    cluster.forget(job)
    for _ in range(4):
        clock.turn(40)
        cluster.refresh()
    cluster.scheduler._next_id = 100
    cluster.scheduler.take(request)
    cluster.say(job, JobState.RUNNING)

    cluster.refresh()

    assert cluster.steps(job)[-2:] == ["LOST", "RUNNING"]
    assert cluster.store.transitions(job.job_id)[-1].reason == "found again: the scheduler says 'RUNNING'"


# Job folders that are not what they should be.


def _delete(path: Path) -> None:
    shutil.rmtree(path)


def _replace_by_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("not a folder")


def _replace_by_a_loop(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to(path)


def _fill_with_rubbish(path: Path) -> None:
    for name in ("exit", "start", "submit.out", "submit.exit"):
        (path / name).write_bytes(b"\xff\x00rubbish " + b"9" * 70_000)


def _fill_with_folders(path: Path) -> None:
    for name in ("exit", "start", "claim", "submit.out", "submit.exit"):
        (path / name).mkdir()


def _fill_with_pipes(path: Path) -> None:
    for name in ("exit", "start", "submit.out"):
        os.mkfifo(path / name)


BREAKAGES = [
    _delete, _replace_by_a_file, _replace_by_a_loop, _fill_with_rubbish, _fill_with_folders, _fill_with_pipes,
]  # fmt: skip


@pytest.mark.parametrize("break_folder", BREAKAGES)
def test_a_broken_job_folder_spoils_no_poll_and_leaves_the_report(cluster, break_folder):
    broken, other = cluster.submit(), cluster.submit()
    break_folder(Path(broken.job_dir))
    cluster.say(broken, JobState.FAILED, exit_code=3)
    cluster.say(other, JobState.RUNNING)

    cluster.look()
    cluster.refresh()

    assert (cluster.record(broken).state, cluster.record(broken).exit_code) == (JobState.FAILED, 3)
    assert cluster.state(other) is JobState.RUNNING


@pytest.mark.parametrize("break_folder", BREAKAGES)
def test_a_broken_folder_of_an_unconfirmed_job_spoils_no_poll(cluster, break_folder):
    cluster.scheduler.loses_replies = True
    broken = cluster.submit()
    cluster.scheduler.loses_replies = False
    other = cluster.submit()
    break_folder(Path(broken.job_dir))
    cluster.say(other, JobState.RUNNING)

    cluster.look()
    cluster.refresh()

    assert cluster.record(broken).scheduler_job_id == "101"
    assert cluster.state(other) is JobState.RUNNING


# One poller.


def test_a_refresh_waits_for_a_question_that_was_asked_after_it_began(cluster, clock):
    job = cluster.submit()
    other, third = cluster.another_process(), cluster.another_process()
    lease = other.store.leases.take("c", "memory", clock())
    naps = []

    def on_sleep():
        naps.append(clock.now)
        if len(naps) == 2:
            other.store.leases.give_back(lease, clock())
            naps.append(third.store.leases.take("c", "memory", clock()))
        if len(naps) == 6:
            cluster.say(job, JobState.RUNNING)
            third.store.leases.give_back(naps[2], clock())
            other.store.leases.take("c", "memory", clock())

    clock.on_sleep = on_sleep

    cluster.refresh()

    assert len(naps) == 6
    assert cluster.scheduler.polls == 0
    for process in (other, third):
        process.store.close()


def test_a_refresh_asks_itself_when_the_process_that_was_asking_fails(cluster, clock):
    job = cluster.submit()
    cluster.say(job, JobState.RUNNING)
    other = cluster.another_process()
    lease = other.store.leases.take("c", "memory", clock())
    clock.on_sleep = lambda: other.store.leases.give_back(lease, clock(), failure="could not ask")

    cluster.refresh()

    assert cluster.state(job) is JobState.RUNNING
    other.store.close()


def test_a_refresh_asks_itself_when_the_process_that_was_asking_died(cluster, clock, tmp_path):
    job = cluster.submit()
    cluster.say(job, JobState.RUNNING)
    dead = os.fork()
    if dead == 0:
        child = cluster.another_process()
        child.store.leases.take("c", "memory", clock())
        os.kill(os.getpid(), 9)
    os.waitpid(dead, 0)

    cluster.refresh()

    assert cluster.state(job) is JobState.RUNNING


def test_a_refresh_asks_itself_when_a_process_on_another_machine_is_silent_for_too_long(cluster, clock):
    job = cluster.submit()
    elsewhere = Leases(cluster.store._connection, holder="elsewhere boot ns 1 1")
    elsewhere.take("c", "memory", clock())
    cluster.say(job, JobState.RUNNING)
    began = clock.now

    cluster.refresh()

    assert cluster.state(job) is JobState.RUNNING
    assert clock.now - began == pytest.approx(LEASE_SECONDS, abs=1)


@pytest.mark.parametrize("meanwhile", ["it failed", "nothing new"])
def test_what_a_paused_process_learned_is_refused_when_it_wakes_up(cluster, clock, meanwhile):
    job = cluster.submit()
    cluster.refresh()
    other = cluster.another_process()
    job_is_running = [True]

    def pause():
        if not job_is_running:
            return
        job_is_running.clear()
        clock.turn(LEASE_SECONDS + 1)
        cluster.store.leases._given_holder = "elsewhere boot ns 1 1"
        if meanwhile == "it failed":
            cluster.say(job, JobState.FAILED, exit_code=5)
        other.refresh()

    # The lease of this process looks like that of a machine that was suspended.
    cluster.store.leases._given_holder = "elsewhere boot ns 1 1"
    stale = PollAnswer(reports=())

    def poll_jobs(jobs):
        if job_is_running:
            pause()
            return stale
        return cluster.scheduler._poll(jobs)

    cluster.backend = cluster.scheduler.backend(molq_poll_jobs=poll_jobs)

    cluster.refresh()

    end = ["FAILED"] if meanwhile == "it failed" else []
    assert cluster.steps(job) == ["CREATED", "SUBMITTED", "QUEUED", *end]
    assert cluster.record(job).missing_since is None
    other.store.close()


def test_a_process_that_slept_between_question_and_answer_loses_no_job(cluster, clock):
    job = cluster.submit()
    cluster.forget(job)
    clock.turn(100)
    for _ in range(2):
        cluster.refresh()
    cluster.scheduler.on_question = lambda: clock.turn(3600)

    cluster.refresh()

    assert cluster.state(job) is JobState.SUBMITTED


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_the_right_to_ask_is_given_back_whatever_happens(cluster, clock, interruption):
    job = cluster.submit()
    cluster.scheduler.fault = interruption()

    with pytest.raises((interruption, BackendError)):
        cluster.refresh()

    other = cluster.another_process()
    cluster.scheduler.fault = None
    cluster.say(job, JobState.RUNNING)
    began = clock.now
    other.refresh()
    assert (cluster.state(job), clock.now) == (JobState.RUNNING, began)
    other.store.close()


def test_a_quiet_poll_leaves_the_question_to_the_process_that_is_asking(cluster, clock):
    cluster.submit()
    other = cluster.another_process()
    other.store.leases.take("c", "memory", clock())

    cluster.poller.poll_quietly()

    assert cluster.scheduler.polls == 0
    other.store.close()


def test_what_changed_since_it_was_read_is_not_overwritten(cluster, clock):
    job = cluster.submit()
    other = cluster.another_process()
    stale = cluster.store.tracked_jobs([job.job_id])
    cluster.start(job)
    cluster.say(job, JobState.CANCELLED)
    other.refresh()

    cluster.poller.look(stale)

    assert cluster.steps(job) == ["CREATED", "SUBMITTED", "CANCELLED"]
    other.store.close()


def test_a_job_that_is_queued_again_after_it_ended_by_itself_is_settled_by_a_later_poll(cluster):
    job = cluster.submit()
    cluster.start(job)
    cluster.end(job, 3)
    cluster.clock.now += 40
    cluster.say(job, JobState.QUEUED)
    cluster.refresh()
    before = cluster.state(job)

    cluster.clock.now += 40
    cluster.refresh()

    assert (before, cluster.state(job)) == (JobState.QUEUED, JobState.FAILED)
    assert cluster.record(job).exit_code == 3


def test_a_failure_in_words_that_are_no_unicode_is_recorded(cluster):
    cluster.submit()
    cluster.scheduler.fault = SchedulerError("cannot open '/home/\udcff/queue.db'")

    with pytest.raises(SchedulerError):
        cluster.poller.refresh()

    assert cluster.store.leases.health("c", "memory").failure == "cannot open '/home/\udcff/queue.db'"


def test_a_lease_that_an_interrupt_has_dropped_is_not_waited_for(cluster):
    lease = cluster.store.leases.take("c", "memory", cluster.clock())
    del lease
    before = cluster.clock()

    cluster.poller.refresh()

    assert cluster.clock() - before < 1


@pytest.mark.parametrize(
    "element", [ElementReport(index=0, native_state="R", state="running"), {"index": 0}, None], ids=type
)
def test_elements_of_a_wrong_kind_are_the_backends_fault(cluster, element):
    job = cluster.submit(array_spec="0-1")
    cluster.say(job, JobState.RUNNING, elements=(element,))

    with pytest.raises(BackendError, match="wrong types"):
        cluster.poller.refresh()


def test_a_strangers_job_under_the_id_does_not_show_the_job(cluster):
    job, other = cluster.submit(), cluster.submit()
    cluster.say(job, JobState.FAILED, tag="a stranger's", exit_code=3)
    cluster.say(other, JobState.RUNNING)

    unknown = cluster.poller.unknown_among([job, other])

    assert [each.job_id for each in unknown] == [job.job_id]
    assert [cluster.state(job), cluster.state(other)] == [JobState.SUBMITTED, JobState.RUNNING]
    assert cluster.record(job).exit_code is None


def test_what_the_scheduler_has_forgotten_is_unknown(cluster):
    job, other = cluster.submit(), cluster.submit()
    cluster.forget(job)

    assert [each.job_id for each in cluster.poller.unknown_among([job, other])] == [job.job_id]


def test_who_gets_the_lease_just_after_another_has_asked_does_not_ask_again(cluster):
    cluster.submit()
    cluster.refresh()
    cluster.clock.turn(2)
    polls = cluster.scheduler.polls

    cluster.poller.poll_quietly(unless_within=5.0)
    asked = cluster.scheduler.polls - polls
    cluster.clock.turn(4)
    cluster.poller.poll_quietly(unless_within=5.0)

    assert (asked, cluster.scheduler.polls - polls) == (0, 1)
