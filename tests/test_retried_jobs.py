"""Jobs that are tried again, on the local queue with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import attrs
import pytest

from molq import (
    EventType,
    JobHandle,
    JobState,
    JobStore,
    MolqTimeoutError,
    RetryBackoff,
    RetryPolicy,
    SubmitError,
    Submitor,
)
from molq.upkeep import Upkeep
from molq_slurm.testing import FakeSlurm

_ENOUGH = 60.0
_SOON = RetryPolicy(max_attempts=3, backoff=RetryBackoff("fixed", 0.1))

_UNTIL_GATE = "while [ ! -e gate ]; do sleep 0.02; done"

# Each run adds a line; the third one succeeds.
_THIRD_TIME = 'echo "$MOLQ_JOB_ID" >>runs; test "$(wc -l <runs)" -ge 3'


def test_waiting_for_a_job_follows_its_attempts(submitor: Submitor):
    job = submitor.submit(command=_THIRD_TIME, retry=_SOON)

    record = job.wait(_ENOUGH)

    family = submitor.get_retry_family(job.job_id)
    assert [one.state for one in family] == [JobState.FAILED, JobState.FAILED, JobState.SUCCEEDED]
    assert record == family[-1]
    assert Path("runs").read_text().split() == [one.job_id for one in family]
    assert job.job_id == family[0].job_id
    assert (job.status(), job.scheduler_job_id) == (JobState.SUCCEEDED, family[-1].scheduler_job_id)


def test_the_submitors_policy_holds_where_a_job_has_none(store: JobStore):
    with Submitor("here", store=store, default_retry_policy=_SOON) as submitor:
        followed = submitor.submit(command="exit 1")
        once = submitor.submit(command="exit 1", retry=RetryPolicy())
        submitor.watch([followed.job_id, once.job_id], timeout=_ENOUGH)

        assert [len(submitor.get_retry_family(job.job_id)) for job in (followed, once)] == [3, 1]


def test_the_back_off_of_one_job_blocks_no_other(submitor: Submitor):
    slow = submitor.submit(command="exit 1", retry=RetryPolicy(2, backoff=RetryBackoff("fixed", 3600)))
    _wait_for_the_back_off(slow)

    quick = submitor.submit(command="true").wait(_ENOUGH)

    assert quick.state is JobState.SUCCEEDED
    assert slow.status() is JobState.CREATED


def _wait_for_the_back_off(job: JobHandle) -> None:
    while job.status() is not JobState.CREATED:
        with pytest.raises(MolqTimeoutError):
            job.wait(0.1)


def test_a_cancel_during_the_back_off_is_final(submitor: Submitor):
    job = submitor.submit(command="echo x >>runs; exit 1", retry=RetryPolicy(5, backoff=RetryBackoff("fixed", 3600)))
    _wait_for_the_back_off(job)

    job.cancel()

    assert job.wait(_ENOUGH).state is JobState.CANCELLED
    _let_time_pass(submitor, 7200)
    assert [record.scheduler_job_id for record in submitor.get_retry_family(job.job_id)] == ["1", None]
    assert Path("runs").read_text() == "x\n"


def test_an_attempt_happens_when_the_back_off_is_over(submitor: Submitor):
    job = submitor.submit(command="echo x >>runs; exit 1", retry=RetryPolicy(2, backoff=RetryBackoff("fixed", 3600)))
    _wait_for_the_back_off(job)

    _let_time_pass(submitor, 7200)

    assert [record.scheduler_job_id for record in submitor.get_retry_family(job.job_id)] == ["1", "2"]
    assert job.wait(_ENOUGH).state is JobState.FAILED


def _let_time_pass(submitor: Submitor, seconds: float) -> None:
    """Refresh as if it were later."""
    engine, late = submitor._engine, time.time() + seconds
    poller = attrs.evolve(engine.poller, clock=lambda: late)
    engine._upkeep = Upkeep(poller=poller, submitter=attrs.evolve(engine._submitter, clock=poller.clock))
    engine.keep_up()


def test_an_attempt_happens_although_the_process_died_in_the_back_off(store: JobStore):
    code = f"""
from molq import RetryBackoff, RetryPolicy, Submitor
job = Submitor("here").submit(command={_THIRD_TIME!r}, retry=RetryPolicy(3, backoff=RetryBackoff("fixed", 0.5)))
print(job.job_id, flush=True)
job.wait()
"""
    submitting = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    job_id = submitting.stdout.readline().strip()
    submitor = Submitor("here", store=store)
    while len(store.family(job_id)) == 1:
        time.sleep(0.01)
    os.kill(submitting.pid, signal.SIGKILL)
    submitting.communicate()

    (record,) = submitor.watch([job_id], timeout=_ENOUGH)

    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 3)
    assert len(Path("runs").read_text().split()) == 3


def test_a_job_that_is_over_is_tried_again_by_hand(submitor: Submitor):
    job = submitor.submit(command=_THIRD_TIME)
    assert job.wait(_ENOUGH).state is JobState.FAILED

    again = submitor.retry(job.job_id)

    assert again.job_id == job.job_id
    assert again.wait(_ENOUGH).attempt == 2
    assert len(Path("runs").read_text().split()) == 2


def test_a_job_that_is_not_over_is_not_tried_again(submitor: Submitor):
    job = submitor.submit(argv=["sleep", "60"])

    with pytest.raises(
        SubmitError, match="only a job that is over can be tried again; wait for its end, or cancel it first"
    ):
        submitor.retry(job.job_id)

    job.cancel()


def test_all_is_completed_once_and_not_before_the_last_retry(submitor: Submitor):
    told = []
    for event in (EventType.JOB_FAILED, EventType.JOB_COMPLETED, EventType.ALL_COMPLETED):
        submitor.on(event, lambda payload: told.append(payload.event))

    submitor.submit(command=_THIRD_TIME, retry=_SOON).wait(_ENOUGH)
    submitor.refresh()

    assert told == ["job_failed", "job_failed", "job_completed", "all_completed"]


def test_jobs_are_told_in_the_order_in_which_they_end(submitor: Submitor):
    slow, quick = submitor.submit(command=_UNTIL_GATE), submitor.submit(command="true")
    ended = []

    for record in submitor.as_completed([slow.job_id, quick.job_id], timeout=_ENOUGH):
        ended.append(record.job_id)
        Path("gate").touch()

    assert ended == [quick.job_id, slow.job_id]


def test_what_has_ended_is_told_before_the_time_is_over(submitor: Submitor):
    quick, slow = submitor.submit(command="true"), submitor.submit(command=_UNTIL_GATE)
    while not (Path(submitor.get(quick.job_id).job_dir) / "exit").exists():
        time.sleep(0.01)  # another process makes it
    ended = []

    with pytest.raises(MolqTimeoutError) as caught:
        ended.extend(record.job_id for record in submitor.as_completed(timeout=0.5))

    assert ended == [quick.job_id]
    assert list(caught.value.active) == [slow.job_id]
    slow.cancel()


def test_handles_can_be_awaited_without_a_thread_for_each(submitor: Submitor):
    most = 0

    async def wait_for(job):
        nonlocal most
        record = await job
        most = max(most, threading.active_count())
        return record.state

    async def main():
        jobs = [submitor.submit(command=f"exit {number % 2}") for number in range(12)]
        return await asyncio.wait_for(asyncio.gather(*map(wait_for, jobs)), _ENOUGH)

    states = asyncio.run(main())

    assert states == [JobState.SUCCEEDED, JobState.FAILED] * 6
    assert most <= 3


def test_jobs_are_told_as_they_end_within_asyncio(submitor: Submitor):
    async def main():
        slow, quick = submitor.submit(command=_UNTIL_GATE), submitor.submit(command="true")
        ended = []
        async for record in submitor.as_completed_async([slow.job_id, quick.job_id], timeout=_ENOUGH):
            ended.append(record.job_id)
            Path("gate").touch()
        return ended == [quick.job_id, slow.job_id]

    assert asyncio.run(main())


def test_waiting_within_asyncio_ends_in_time_and_names_what_is_active(submitor: Submitor):
    job = submitor.submit(argv=["sleep", "60"])

    async def main():
        async for _ in submitor.as_completed_async([job.job_id], timeout=0.5):
            pass

    with pytest.raises(MolqTimeoutError, match=job.job_id):
        asyncio.run(main())
    # A new event loop starts anew.
    with pytest.raises(MolqTimeoutError):
        asyncio.run(main())
    job.cancel()


def test_the_event_loop_goes_on_while_jobs_are_awaited(submitor: Submitor):
    async def main():
        job = asyncio.ensure_future(_as_coroutine(submitor.submit(command=_UNTIL_GATE)))
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert not job.done()
        Path("gate").touch()
        return await asyncio.wait_for(job, _ENOUGH)

    assert asyncio.run(main()).state is JobState.SUCCEEDED


async def _as_coroutine(job):
    return await job


def test_a_submitor_has_nothing_to_do_with_another_schedulers_jobs_under_the_same_name(
    store: JobStore, fake_slurm: FakeSlurm
):
    with Submitor("lab", "slurm", store=store) as slurm, Submitor("lab", "local", store=store) as local:
        waiting = slurm.submit(argv=["true"])
        heard = []
        local.on(EventType.STATUS_CHANGE, heard.append)
        job = local.submit(argv=["true"])

        assert [record.job_id for record in local.list()] == [job.job_id]
        assert [record.job_id for record in local.watch(timeout=_ENOUGH)] == [job.job_id]
        assert {payload.job_id for payload in heard} == {job.job_id}
        assert [record.job_id for record in slurm.list()] == [waiting.job_id]
