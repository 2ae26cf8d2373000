from __future__ import annotations

import pytest

from molq.backend import Duration, JobState


def test_a_queued_job_that_is_cancelled_never_starts(queue, tmp_path):
    running = queue.submit(f"while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done", exclusive_node=True)
    waiting = queue.submit("true")

    (receipt,) = queue.cancel(waiting)
    report = queue.report(waiting)
    (tmp_path / "gate").touch()

    assert receipt.accepted
    assert (report.state, report.cause, report.started_at) == (JobState.CANCELLED, "cancelled", None)
    assert queue.wait_for_end(running).state is JobState.SUCCEEDED
    assert not (waiting.job_dir / "start").exists()


def test_a_running_job_that_is_cancelled_ends(queue):
    job = queue.submit("sleep 60")
    queue.wait_for_start(job)

    (receipt,) = queue.cancel(job)
    report = queue.wait_for_end(job)

    assert receipt.accepted
    assert (report.state, report.cause, report.signal) == (JobState.CANCELLED, "cancelled", 15)
    assert queue.processes() == []


def test_a_job_that_ignores_sigterm_is_killed_after_its_grace(queue):
    queue.options = type(queue.options)(state_dir=queue.state_dir, kill_grace=Duration(1), idle_seconds=0.3)
    job = queue.submit("trap '' TERM; while :; do sleep 0.1; done")
    queue.wait_for_start(job)

    queue.cancel(job)
    report = queue.wait_for_end(job)

    assert (report.state, report.signal) == (JobState.CANCELLED, 9)


def test_a_command_may_clean_up_although_its_script_dies_at_once(queue, tmp_path):
    clean = f"sleep 0.5; echo clean > {tmp_path}/done; exit 0"
    inner = f"trap '{clean}' TERM; echo up > {tmp_path}/up; while :; do sleep 0.05; done"
    job = queue.submit(f'sh -c "{inner}"')
    queue.until((tmp_path / "up").exists)

    queue.cancel(job)
    queue.wait_for_end(job)

    assert (tmp_path / "done").read_text() == "clean\n"


def test_a_job_that_ended_is_not_cancelled(queue):
    job = queue.submit()
    queue.wait_for_end(job)

    (receipt,) = queue.cancel(job)

    assert (receipt.accepted, receipt.reason) == (False, "the job is already over")
    assert queue.state(job) is JobState.SUCCEEDED


def test_a_job_can_be_cancelled_twice(queue, tmp_path):
    queue.options = type(queue.options)(state_dir=queue.state_dir, kill_grace=Duration(3600), idle_seconds=0.3)
    job = queue.submit(f"trap '' TERM; touch {tmp_path}/up; while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done")
    queue.until((tmp_path / "up").exists)

    receipts = (*queue.cancel(job), *queue.cancel(job))
    (tmp_path / "gate").touch()
    queue.wait_for_end(job)

    assert [r.accepted for r in receipts] == [True, True]
    assert [r.accepted for r in queue.cancel(job)] == [False]


def test_a_job_that_succeeds_in_spite_of_the_cancellation_succeeded(queue, tmp_path):
    job = queue.submit(f"trap 'trap - TERM; exit 0' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done")
    queue.until((tmp_path / "up").exists)

    queue.cancel(job)

    assert queue.wait_for_end(job).state is JobState.SUCCEEDED


@pytest.mark.parametrize("ignores", ["", "trap '' TERM; "])
def test_no_descendant_survives_a_cancellation(queue, tmp_path, ignores):
    queue.options = type(queue.options)(state_dir=queue.state_dir, kill_grace=Duration(1), idle_seconds=0.3)
    pids = tmp_path / "pids"
    job = queue.submit(
        f"{ignores}sleep 60 & echo $! >> {pids}\n"
        f"setsid sh -c '{ignores.replace(chr(39), chr(34))}sleep 60 & echo $! >> {pids}; wait; wait' &\n"
        f"( setsid sh -c '( sleep 60 & echo $! >> {pids} ); echo $$ >> {pids}; exec sleep 60' & )\n"
        f"env -i /usr/bin/setsid /bin/sleep 60 & echo $! >> {pids}\n"
        "wait; wait; wait; sleep 60"
    )
    queue.until(lambda: pids.exists() and len(pids.read_text().split()) == 5)

    queue.cancel(job)
    report = queue.wait_for_end(job)

    assert report.state is JobState.CANCELLED
    assert not any(queue.is_alive(int(pid)) for pid in pids.read_text().split())


def test_many_jobs_are_cancelled_at_once(queue):
    jobs = [queue.submit("sleep 60") for _ in range(50)]

    receipts = queue.cancel(*jobs)

    assert [r.accepted for r in receipts] == [True] * 50
    queue.until(lambda: all(r.state is JobState.CANCELLED for r in queue.poll(*jobs)))


def test_a_number_of_another_job_is_not_cancelled(queue):
    job = queue.submit()
    stranger = queue.submitted(queue.request(), job.scheduler_job_id)

    (receipt,) = queue.cancel(stranger)

    assert (receipt.accepted, receipt.reason) == (False, "the local queue has no such job")
    assert queue.wait_for_end(job).state is JobState.SUCCEEDED
