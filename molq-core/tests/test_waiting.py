"""How molq waits: by files, by what others learned, and by asking as seldom as it can."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import threading
import time
import weakref

import attrs
import pytest

from molq.async_waiting import AsyncWaiter
from molq.errors import BackendError, MolqTimeoutError, StoreError
from molq.events import EventType
from molq.job_state import JobState
from molq.policies import RetryBackoff, RetryPolicy
from molq.store import JobStore
from molq.submitor import Submitor


def test_the_exit_file_ends_the_wait_without_a_poll(cluster, clock):
    job = cluster.submit()
    began = clock.now
    clock.on_sleep = lambda: clock.now - began > 0.5 and not cluster.files(job) and cluster.end(job, 0)

    cluster.waiter().wait([job.job_id], timeout=60)

    assert cluster.state(job) is JobState.SUCCEEDED
    assert cluster.scheduler.polls == 0
    assert clock.now - began < 0.7


def test_the_exit_file_of_a_failure_wakes_a_poll_whose_verdict_counts(cluster, clock):
    job = cluster.submit()
    cluster.start(job)
    cluster.say(job, JobState.RUNNING)
    clock.turn(1000)
    cluster.refresh()
    clock.turn(2)
    cluster.end(job, 137)
    cluster.say(job, JobState.FAILED, cause="out_of_memory")
    began = clock.now

    cluster.waiter().wait([job.job_id], timeout=60)

    assert cluster.record(job).cause == "out_of_memory"
    assert clock.now - began < 0.2


def test_a_failure_that_the_scheduler_goes_on_calling_active_is_not_asked_about_without_end(cluster, clock):
    job = cluster.submit()
    cluster.start(job)
    cluster.say(job, JobState.RUNNING)
    cluster.end(job, 1)

    with pytest.raises(MolqTimeoutError):
        cluster.waiter().wait([job.job_id], timeout=3600)

    assert cluster.scheduler.polls < 60 + 3600 / 25


def test_what_another_process_learned_ends_the_wait(cluster, clock):
    job = cluster.submit()
    other = cluster.another_process()
    cluster.say(job, JobState.CANCELLED)
    clock.on_sleep = other.refresh
    cluster.scheduler.on_question = lambda: setattr(clock, "on_sleep", lambda: None)

    cluster.waiter().wait([job.job_id], timeout=60)

    assert cluster.scheduler.polls == 1
    other.store.close()


def test_a_timeout_names_who_is_still_active(cluster, clock):
    over, active = cluster.submit(), cluster.submit()
    cluster.end(over, 0)
    began = clock.now

    with pytest.raises(MolqTimeoutError) as caught:
        cluster.waiter().wait([over.job_id, active.job_id], timeout=5)

    assert caught.value.active == {active.job_id: JobState.QUEUED}
    assert caught.value.timeout == 5
    assert active.job_id in str(caught.value)
    assert over.job_id not in str(caught.value)
    assert 5 <= clock.now - began < 5.1


def test_a_timeout_of_many_jobs_names_a_few(cluster):
    jobs = [cluster.submit().job_id for _ in range(7)]

    with pytest.raises(MolqTimeoutError, match="and 2 more"):
        cluster.waiter().wait(jobs, timeout=0)


def test_a_timeout_of_0_looks_once(cluster):
    over = cluster.submit()
    cluster.end(over, 0)

    cluster.waiter().wait([over.job_id], timeout=0)

    assert cluster.state(over) is JobState.SUCCEEDED


def test_jobs_that_are_over_are_not_waited_for(cluster, clock):
    job = cluster.submit()
    cluster.end(job, 0)
    cluster.refresh()
    began = clock.now

    cluster.waiter().wait([job.job_id, job.job_id], timeout=None)
    cluster.waiter().wait([], timeout=None)

    assert clock.now == began


def test_jobs_are_named_as_they_end(cluster, clock):
    first, second = cluster.submit(), cluster.submit()
    cluster.end(second, 0)
    ends = cluster.waiter().as_they_end([first.job_id, second.job_id], timeout=60)

    assert next(ends) == second.job_id
    cluster.end(first, 0)
    assert list(ends) == [first.job_id]


def test_ten_waiters_ask_as_often_as_one(cluster, clock):
    job = cluster.submit()
    processes = [cluster.another_process() for _ in range(10)]
    pollers = [process.poller for process in processes]

    def polls_in(waiting, seconds):
        cluster.scheduler.polls, end = 0, clock.now + seconds
        while clock.now < end:
            for poller in waiting:
                if poller.poll_is_due():
                    poller.poll_quietly()
            clock.turn(0.1)
        return cluster.scheduler.polls

    alone = polls_in(pollers[:1], 600)
    together = polls_in(pollers, 600)

    assert cluster.state(job) is JobState.QUEUED
    assert 15 <= alone <= 30
    assert together <= alone
    for process in processes:
        process.store.close()


@pytest.mark.parametrize("skew", [-3600, -5, 5, 3600])
def test_two_machines_whose_clocks_differ_do_not_hammer(cluster, clock, skew):
    job = cluster.submit()
    here, there = cluster.poller, attrs.evolve(cluster.poller, clock=lambda: clock.now + skew)
    clock.turn(100)
    cluster.scheduler.polls, end = 0, clock.now + 300

    while clock.now < end:
        for poller in (here, there):
            if poller.poll_is_due():
                poller.poll_quietly()
        clock.turn(0.1)

    assert cluster.state(job) is JobState.QUEUED
    assert 5 <= cluster.scheduler.polls <= 40


def test_a_clock_that_was_set_back_does_not_stop_the_polls(cluster, clock):
    job = cluster.submit()
    cluster.refresh()
    clock.turn(-86_400)
    cluster.say(job, JobState.CANCELLED)

    cluster.waiter().wait([job.job_id], timeout=120)

    assert cluster.state(job) is JobState.CANCELLED


def test_an_outage_does_not_end_the_wait_and_is_recorded(cluster, clock, caplog):
    job = cluster.submit()
    cluster.fail_polls()
    asked = []
    cluster.scheduler.on_question = lambda: asked.append(1) or (len(asked) == 3 and recover())

    def recover():
        cluster.fail_polls(down=False)
        cluster.say(job, JobState.CANCELLED)

    failures = []

    def note():
        failures.append(cluster.store.leases.health("c", "memory").failure)

    with caplog.at_level(logging.WARNING, "molq"):
        cluster.waiter(note).wait([job.job_id], timeout=600)

    assert cluster.state(job) is JobState.CANCELLED
    assert "unable to contact the controller" in failures
    assert cluster.store.leases.health("c", "memory").failing_since is None
    assert len(caplog.records) == 1


def test_each_outage_is_warned_about_once(cluster, caplog):
    cluster.submit()
    poller = cluster.poller

    for is_down in (True, True, False, True, True):
        cluster.fail_polls(down=is_down)
        poller.poll_quietly()

    assert len(caplog.records) == 2


def test_a_faulty_backend_does_not_end_the_wait_and_is_recorded(cluster):
    job = cluster.submit()
    cluster.scheduler.fault = ZeroDivisionError("oops")

    with pytest.raises(MolqTimeoutError):
        cluster.waiter().wait([job.job_id], timeout=10)

    assert cluster.state(job) is JobState.SUBMITTED
    assert "ZeroDivisionError" in cluster.store.leases.health("c", "memory").failure
    with pytest.raises(BackendError):
        cluster.refresh()


def test_a_faulty_backend_does_not_hide_the_end_of_a_job(cluster):
    job = cluster.submit()
    cluster.scheduler.fault = ZeroDivisionError("oops")
    cluster.end(job, 0)

    cluster.waiter().wait([job.job_id], timeout=10)

    assert cluster.state(job) is JobState.SUCCEEDED


def test_a_slow_scheduler_does_not_make_the_steps_long(cluster, clock):
    job = cluster.submit()
    cluster.scheduler.on_question = lambda: clock.turn(0.9)
    naps = []
    clock.on_sleep = lambda: naps.append(clock.now)

    with pytest.raises(MolqTimeoutError):
        cluster.waiter().wait([job.job_id], timeout=30)

    assert max(b - a for a, b in itertools.pairwise(naps)) < 1.5


def test_looks_at_many_files_are_spread_out(cluster, clock, monkeypatch):
    job = cluster.submit()
    monkeypatch.setattr(type(cluster.poller), "look", lambda self, jobs: clock.turn(0.05))
    naps = []
    clock.on_sleep = lambda: naps.append(clock.now)

    with pytest.raises(MolqTimeoutError):
        cluster.waiter().wait([job.job_id], timeout=30)

    assert len(naps) <= 30


def test_a_job_that_a_machine_with_a_clock_ahead_submitted_is_asked_about(cluster, clock):
    clock.turn(3600)
    job = cluster.submit()
    clock.turn(-3600)
    cluster.say(job, JobState.CANCELLED)

    cluster.waiter().wait([job.job_id], timeout=10)

    assert cluster.state(job) is JobState.CANCELLED


def test_a_row_that_was_cleaned_up_is_not_waited_for_for_ever(cluster):
    cluster.waiter().wait(["no-such-job"], timeout=1)


def test_a_script_that_runs_though_its_submission_is_unconfirmed_wakes_a_poll(cluster, clock):
    cluster.scheduler.loses_replies = True
    cluster.backend = cluster.scheduler.backend(without=["molq_find_jobs"])
    job = cluster.submit()
    clock.turn(3600)
    cluster.refresh()
    clock.turn(2)
    began = clock.now
    cluster.start(job)
    cluster.end(job, 0)

    cluster.waiter().wait([job.job_id], timeout=60)

    assert cluster.state(job) is JobState.SUCCEEDED
    assert clock.now - began <= 1.2


def test_who_waits_is_told_of_an_end_that_another_process_learned_last(cluster):
    bus, tail = cluster.listen()
    heard = []
    bus.on(EventType.JOB_COMPLETED, heard.append)
    job, other = cluster.submit(), cluster.another_process()

    def tell_and_be_overtaken():
        tail.catch_up()
        cluster.start(job)
        cluster.end(job, 0)
        other.look()

    cluster.waiter(on_step=tell_and_be_overtaken).wait([job.job_id], timeout=10)

    assert [payload.job_id for payload in heard] == [job.job_id]


class OvertakenStore(JobStore):
    """A store in which another process is always faster than the question about states."""

    def states(self, job_ids):
        self.overtake()
        return super().states(job_ids)


def test_an_attempt_that_is_withdrawn_does_not_end_the_wait(cluster):
    policy = RetryPolicy(2, (JobState.LOST,), backoff=RetryBackoff("fixed", 1000.0))
    job = cluster.submit(retry=policy)
    cluster.say(job, JobState.LOST)
    cluster.refresh()
    assert cluster.latest(job).attempt == 2
    store = OvertakenStore(cluster.store.path)
    cluster.say(job, JobState.RUNNING)
    store.overtake = cluster.another_process().refresh

    ended, _ = cluster.waiter(poller=cluster.poller_with(store)).step([job.job_id])

    assert ended == []
    store.close()


class BrokenLook:
    """Stands for a waiter whose look fails once somebody else waits too."""

    def __init__(self):
        self.monotonic = time.monotonic
        self.goes_on = threading.Event()

    def step(self, pending):
        self.goes_on.wait(10)
        raise StoreError(f"cannot look at {len(pending)}", path="jobs.db")


def test_whoever_waits_within_asyncio_is_told_that_a_look_failed():
    broken = BrokenLook()
    waiter = AsyncWaiter(broken)

    async def end_of(job_id):
        async for _ in waiter.as_they_end([job_id], None):
            raise AssertionError

    async def main():
        first = asyncio.ensure_future(end_of("one"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second = asyncio.ensure_future(end_of("other"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        broken.goes_on.set()
        return await asyncio.wait_for(asyncio.gather(first, second, return_exceptions=True), 10)

    assert [type(outcome) for outcome in asyncio.run(main())] == [StoreError, StoreError]


def test_loops_that_are_closed_are_forgotten(cluster, monkeypatch):
    monkeypatch.setattr("molq.engine.load_backend", lambda scheduler: cluster.backend)
    submitor = Submitor("c", "memory", store=cluster.store)
    active = cluster.submit()

    async def wait_in_vain():
        with pytest.raises(MolqTimeoutError):
            async for _ in submitor.as_completed_async([active.job_id], timeout=0.01):
                raise AssertionError

    async def wait_for_one():
        job = cluster.submit()
        cluster.start(job)
        cluster.end(job, 0)
        async for _ in submitor.as_completed_async([job.job_id]):
            pass

    loops = []
    for wait in (wait_in_vain, wait_for_one, wait_in_vain, wait_for_one):
        with asyncio.Runner() as runner:
            runner.run(wait())
            loops.append(weakref.ref(runner.get_loop()))
    gc.collect()

    assert [loop() for loop in loops] == [None] * 4


class NeverOver:
    """Stands for a waiter of a job that does not end."""

    def __init__(self):
        self.monotonic = time.monotonic
        self.steps = 0

    def step(self, pending):
        self.steps += 1
        return [], 0.0

    def too_late(self, pending, timeout):
        return MolqTimeoutError("still active", timeout=timeout, active={})


def test_nobody_looks_any_more_within_asyncio_when_nobody_waits():
    never = NeverOver()
    waiter = AsyncWaiter(never)

    async def main():
        with pytest.raises(MolqTimeoutError):
            async for _ in waiter.as_they_end(["one"], 0.05):
                raise AssertionError
        # The look that is under way is the last one.
        await asyncio.wait_for(waiter._task, 10)

    asyncio.run(main())

    assert never.steps >= 1
