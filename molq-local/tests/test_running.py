from __future__ import annotations

import json
import os
import shlex
import stat
import sys
from pathlib import Path

import pytest

from molq.backend import Duration, JobState, Memory, SchedulerError, SubmitRejected
from molq_local import hooks


@pytest.mark.parametrize(
    ("command", "state", "exit_code", "number"),
    [
        ("true", JobState.SUCCEEDED, 0, None),
        ("(exit 3)", JobState.FAILED, 3, None),
        ("kill -9 $$", JobState.FAILED, None, 9),
        ("sh -c 'kill -9 $$'", JobState.FAILED, None, 9),
    ],
)
def test_the_end_of_a_job_is_reported(queue, command, state, exit_code, number):
    job = queue.submit(command)

    report = queue.wait_for_end(job)

    assert (report.state, report.exit_code, report.signal) == (state, exit_code, number)
    assert (report.native_state, report.tag, report.scheduler_job_id) == ("ended", job.job_id, job.scheduler_job_id)
    assert report.started_at <= report.finished_at
    assert report.cause == ("signal" if number else None)


def test_the_id_is_the_queues_own_number(queue):
    first, second = queue.submit(), queue.submit()

    assert (first.scheduler_job_id, second.scheduler_job_id) == ("1", "2")


def test_hostile_arguments_reach_the_command_as_they_are(queue, tmp_path):
    arguments = ["a b", "'", '"', "$(touch pwned)", "`id`", "-n", "*", "\n#SBATCH", "é\u202e", "\\", ""]
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    job = queue.submit(shlex.join([sys.executable, "-c", program, *arguments]))

    assert queue.wait_for_end(job).state is JobState.SUCCEEDED
    assert json.loads((job.job_dir / "stdout.log").read_text()) == arguments


def test_a_job_sees_the_environment_of_its_own_submitter(queue):
    shown = 'printf \'%s|%s|%s\' "$WHO" "$MOLQ_LOCAL_ID" "$MOLQ_JOB_ID"'
    queue.set_environment({"PATH": os.environ["PATH"], "WHO": "first\nline"})
    first = queue.submit(shown)
    queue.set_environment({"PATH": os.environ["PATH"], "WHO": "second", "MOLQ_JOB_ID": "outer"})
    second = queue.submit(shown)

    for job, who in ((first, "first\nline"), (second, "second")):
        assert queue.wait_for_end(job).state is JobState.SUCCEEDED
        assert (job.job_dir / "stdout.log").read_text() == f"{who}|{job.scheduler_job_id}|{job.job_id}"


def test_a_job_gets_the_umask_of_its_submitter_and_no_open_files(queue):
    previous = os.umask(0o027)
    try:
        job = queue.submit("umask; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0; trap")
    finally:
        os.umask(previous)

    assert queue.wait_for_end(job).state is JobState.SUCCEEDED
    # ls itself has the folder open.
    assert (job.job_dir / "stdout.log").read_text().split() == ["0027", "4", "/dev/null"]


def test_both_outputs_can_share_one_file(queue, tmp_path):
    log = tmp_path / "both.log"
    job = queue.submit("echo one; echo two >&2; echo three", stdout_path=log, stderr_path=log)
    other = tmp_path / "other.log"
    other.symlink_to(tmp_path / "real.log")
    linked = queue.submit("echo one; echo two >&2", stdout_path=tmp_path / "real.log", stderr_path=other)

    assert queue.wait_for_end(job).state is JobState.SUCCEEDED
    assert queue.wait_for_end(linked).state is JobState.SUCCEEDED
    assert log.read_text() == "one\ntwo\nthree\n"
    assert other.read_text() == "one\ntwo\n"


def test_a_hundred_jobs_run_once_each_and_never_more_than_four(queue, tmp_path):
    seen = tmp_path / "seen"
    seen.mkdir()
    own, running = f"{seen}/$MOLQ_LOCAL_ID", f"ls {seen} | grep -vc done"
    command = f"mkdir {own} && {running}; mv {own} {own}.done"
    # The first ones wait for each other.
    first = f"mkdir {own} && while [ $({running}) -lt 4 ] && ! ls {seen} | grep -q done; do sleep 0.01; done; {running}"
    first = f"{first}; mv {own} {own}.done"
    options = {"max_concurrent": 4, "cpu_count": 100}
    queue.options = type(queue.options)(state_dir=queue.state_dir, idle_seconds=0.3, **options)
    jobs = [queue.submit(first if number < 4 else command) for number in range(100)]

    queue.until(lambda: all(r.state is JobState.SUCCEEDED for r in queue.poll(*jobs)))

    assert len(list(seen.iterdir())) == 100
    counts = [int((job.job_dir / "stdout.log").read_text()) for job in jobs]
    assert max(counts) == 4


def test_jobs_share_the_cpus_and_the_head_waits_with_a_reason(queue, tmp_path):
    gate = tmp_path / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.01; done"
    queue.options = type(queue.options)(state_dir=queue.state_dir, cpu_count=3, memory=Memory.gb(2), idle_seconds=0.3)
    running = queue.submit(wait, cpu_count=2)
    head = queue.submit(cpu_count=2)
    behind = queue.submit(cpu_count=1)
    queue.wait_for_start(running)

    assert queue.report(head).reason == "waits for 2 CPUs"
    assert queue.report(behind).state is JobState.QUEUED
    assert queue.report(behind).reason == "waits for its turn"

    gate.touch()
    assert queue.wait_for_end(behind).state is JobState.SUCCEEDED


def test_a_higher_priority_goes_first_and_equals_go_in_order(queue, tmp_path):
    gate, order = tmp_path / "gate", tmp_path / "order"
    first = queue.submit(f"while [ ! -e {gate} ]; do sleep 0.01; done", exclusive_node=True)
    queue.wait_for_start(first)
    write = f"echo $MOLQ_LOCAL_ID >> {order}"
    jobs = [
        queue.submit(write, priority=priority, exclusive_node=True) for priority in (None, "-1", "5", "+10", "5", None)
    ]

    gate.touch()
    queue.until(lambda: all(r.state is JobState.SUCCEEDED for r in queue.poll(*jobs)))

    assert order.read_text().split() == ["5", "4", "6", "2", "7", "3"]


def test_a_job_over_its_time_limit_is_ended(queue):
    job = queue.submit("sleep 60", time_limit=Duration(1))

    report = queue.wait_for_end(job)

    assert (report.state, report.cause, report.signal) == (JobState.TIMED_OUT, "timeout", 15)
    assert report.finished_at - report.started_at >= 1


def test_a_job_that_ignores_the_time_limit_is_killed_after_its_grace(queue):
    queue.options = type(queue.options)(state_dir=queue.state_dir, kill_grace=Duration(1), idle_seconds=0.3)
    job = queue.submit("trap '' TERM; while :; do sleep 0.1; done", time_limit=Duration(1))

    report = queue.wait_for_end(job)

    assert (report.state, report.signal) == (JobState.TIMED_OUT, 9)
    assert report.finished_at - report.started_at >= 2
    assert queue.processes() == []


def test_what_a_job_leaves_behind_is_ended_with_it(queue, tmp_path):
    pids = tmp_path / "pids"
    job = queue.submit(
        f"sleep 60 & echo $! >> {pids}\n"
        f"setsid sh -c 'echo $$ >> {pids}; exec sleep 60' &\n"
        f"( setsid setsid sh -c 'sleep 60 & echo $! >> {pids}; wait' & )\n"
        f"while [ $(wc -l < {pids}) -lt 3 ]; do sleep 0.01; done"
    )

    assert queue.wait_for_end(job).state is JobState.SUCCEEDED

    queue.until(lambda: not any(queue.is_alive(int(pid)) for pid in pids.read_text().split()))


@pytest.mark.parametrize("path", ["/proc/nowhere/log", "/"])
def test_a_log_that_cannot_be_written_fails_the_job(queue, path):
    job = queue.submit("touch ran", stderr_path=Path(path))

    report = queue.wait_for_end(job)

    assert (report.state, report.cause, report.exit_code) == (JobState.FAILED, "launch", None)
    assert repr(path) in report.reason
    assert not (job.job_dir / "start").exists()


def test_a_pipe_without_a_reader_as_log_does_not_stop_the_queue(queue, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    stuck = queue.submit(stdout_path=tmp_path / "pipe")
    other = queue.submit()

    assert queue.wait_for_end(stuck).cause == "launch"
    assert queue.wait_for_end(other).state is JobState.SUCCEEDED


def test_a_job_whose_folder_is_gone_fails_with_its_path(queue, tmp_path):
    gate = tmp_path / "gate"
    first = queue.submit(f"while [ ! -e {gate} ]; do sleep 0.01; done", exclusive_node=True)
    job = queue.submit()
    for file in job.job_dir.iterdir():
        file.unlink()
    job.job_dir.rmdir()
    gate.touch()

    report = queue.wait_for_end(job)

    assert (report.state, report.cause) == (JobState.FAILED, "launch")
    assert str(job.job_dir) in report.reason
    assert queue.wait_for_end(first).state is JobState.SUCCEEDED


def test_a_job_whose_run_is_claimed_by_another_does_not_run(queue):
    request = queue.request()
    (request.job_dir / "claim").symlink_to("9999")

    report = queue.wait_for_end(queue.submit_request(request))

    assert (report.state, report.cause) == (JobState.FAILED, "duplicate")
    assert "9999" in report.reason
    assert not (request.job_dir / "start").exists()


def test_the_same_tag_is_queued_once(queue, tmp_path):
    request = queue.request(f"echo run >> {tmp_path}/runs")

    first, second = queue.submit_request(request), queue.submit_request(request)
    queue.wait_for_end(first)
    third = queue.submit_request(request)

    assert first.scheduler_job_id == second.scheduler_job_id == third.scheduler_job_id
    queue.until(lambda: not queue.agent())
    assert (tmp_path / "runs").read_text() == "run\n"


def test_jobs_are_found_by_their_tag(queue):
    job = queue.submit()

    (found,) = hooks.molq_find_jobs((job.job_id, "unknown"), queue.options)

    assert (found.tag, found.scheduler_job_id) == (job.job_id, job.scheduler_job_id)


def test_ids_that_are_no_numbers_are_never_asked_for(queue):
    job = queue.submit()
    strange = queue.submitted(queue.requests[0], "1 OR 1=1")

    assert [r.scheduler_job_id for r in queue.poll(job, strange)] == ["1"]
    assert [r.accepted for r in queue.cancel(strange)] == [False]
    assert queue.wait_for_end(job).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cpu_count": 5}, "asks for 5 CPUs, and the local queue has 4"),
        ({"memory": Memory.tb(1000)}, "asks for 1000T of memory, and the local queue has "),
        ({"priority": "high"}, "'high' is no priority"),
        ({"priority": "high", "cpu_count": 5, "memory": Memory.tb(1000)}, "no priority; .*5 CPUs.*; .* of memory"),
    ],
)
def test_what_the_machine_cannot_do_is_refused(queue, changes, sentence):
    with pytest.raises(SubmitRejected, match=sentence):
        queue.submit(**changes)

    assert not queue.state_dir.exists()


def test_another_system_than_linux_is_refused(queue, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")

    with pytest.raises(SubmitRejected, match="needs Linux"):
        queue.submit()


def test_a_node_count_of_one_is_taken(queue):
    assert queue.wait_for_end(queue.submit(node_count=1)).state is JobState.SUCCEEDED


def test_a_queue_file_of_garbage_is_an_error_with_its_path(queue):
    job = queue.submit()
    queue.wait_for_end(job)
    queue.until(lambda: not queue.agent())
    path = queue.state_dir / "queue.db"
    path.write_bytes(b"garbage " * 1000)

    for ask in (lambda: queue.poll(job), lambda: queue.cancel(job), queue.submit):
        with pytest.raises(SchedulerError, match=r"queue\.db"):
            ask()
    assert path.read_bytes() == b"garbage " * 1000


def test_a_queue_of_a_newer_version_is_left_alone(queue):
    job = queue.submit()
    queue.wait_for_end(job)
    queue.until(lambda: not queue.agent())
    queue.sql("PRAGMA user_version = 99")

    with pytest.raises(SchedulerError, match="newer molq-local"):
        queue.poll(job)
    with pytest.raises(SubmitRejected, match="newer molq-local"):
        queue.submit()


def test_a_poll_without_a_queue_is_no_answer(queue):
    job = queue.submitted(queue.request(), "1")

    with pytest.raises(SchedulerError, match="there is no local queue"):
        queue.poll(job)


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_the_queues_files_are_private_whatever_the_umask(queue, umask):
    request = queue.request()
    queue.set_environment({"PATH": os.environ["PATH"], "SECRET": "canary"})
    previous = os.umask(umask)
    try:
        receipt = hooks.molq_submit_job(request.job_dir / "script", request, queue.commands)
    finally:
        os.umask(previous)
    queue.wait_for_end(queue.submitted(request, receipt.scheduler_job_id))

    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in queue.state_dir.iterdir()}
    assert stat.S_IMODE(queue.state_dir.stat().st_mode) == 0o700
    assert {"queue.db", "agent.lock", "agent.log", "wake"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((request.job_dir / "environment.local").stat().st_mode) == 0o600
    assert all(b"canary" not in p.read_bytes() for p in queue.state_dir.iterdir() if p.is_file())


def test_the_site_is_described(queue, tmp_path):
    before = {f.name: f.value for f in hooks.molq_probe_site(queue.options)}
    job = queue.submit(f"while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done")
    after = {f.name: f.value for f in hooks.molq_probe_site(queue.options)}
    (tmp_path / "gate").touch()
    queue.wait_for_end(job)

    assert (before["agent"], before["jobs"]) == ("asleep", "none")
    assert before["capacity"].startswith("4 CPUs, ")
    assert after["queue"] == str(queue.state_dir / "queue.db")
    assert after["agent"].startswith("pid ")
    assert after["jobs"] in ("1 queued", "1 starting", "1 running")
