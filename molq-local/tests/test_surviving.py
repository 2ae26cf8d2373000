from __future__ import annotations

import contextlib
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from molq.backend import Duration, JobState
from molq_local import processes


def test_a_job_survives_the_death_of_its_submitter(queue, tmp_path):
    request = queue.request(f"sleep 0.3; touch {tmp_path}/done")
    child = os.fork()
    if not child:
        try:
            os.setsid()
            queue.submit_request(request)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    job = queue.submitted(request, "1")

    assert queue.wait_for_end(job).state is JobState.SUCCEEDED
    assert (tmp_path / "done").exists()


def test_the_agent_holds_none_of_its_submitters_pipes(queue):
    code = textwrap.dedent(
        """
        import os, subprocess, sys
        sys.path[:0] = sys.argv[2].split(os.pathsep)
        from molq_local.place import Place
        from molq_local.queue_file import QueueFile
        from molq_local.wake import ensure_agent
        QueueFile(Place(sys.argv[1]), create=True).close()
        os.set_inheritable(os.pipe()[1], True)
        ensure_agent(Place(sys.argv[1]), 40.0, os.environ)
        """
    )
    path = os.pathsep.join(sys.path)

    # It would wait for the agent's end if that had its output open.
    subprocess.run([sys.executable, "-c", code, str(queue.state_dir), path], capture_output=True, check=True)

    pid = queue.agent()
    assert pid
    known = {"null", "agent.log", "agent.lock", "wake", "queue.db", "queue.db-wal", "queue.db-shm", "children"}

    # The agent may just be about to start, with files of Python's open; it has the two ends of a pipe of its own.
    queue.until(lambda: _open_files(pid)[0] <= known and _open_files(pid)[1] == 2)


def _open_files(pid):
    """Return the names of a process's open files, and how many ends of pipes it has."""
    open_files = []
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            open_files.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    pipes = [file for file in open_files if file.startswith("pipe:")]
    return {os.path.basename(file) for file in open_files if file not in pipes}, len(pipes)


def test_the_agent_ends_when_it_is_idle_and_another_comes_with_work(queue):
    queue.wait_for_end(queue.submit())
    first = queue.agent()
    queue.until(lambda: not queue.agent())

    second = queue.submit("sleep 0.2")

    assert queue.wait_for_end(second).state is JobState.SUCCEEDED
    assert queue.agent() != first


def test_work_that_comes_while_the_agent_ends_is_never_forgotten(queue):
    queue.options = type(queue.options)(state_dir=queue.state_dir, idle_seconds=0.0)

    for _ in range(40):
        job = queue.submit()
        # No poll, which would wake an agent: the exit file alone has to come.
        queue.until((job.job_dir / "exit").exists)


def test_jobs_outlive_a_killed_agent_and_the_next_one_knows_their_end(queue, tmp_path):
    first_gate, gate = tmp_path / "first-gate", tmp_path / "gate"
    short = queue.submit(f"while [ ! -e {first_gate} ]; do sleep 0.02; done; (exit 4)")
    long = queue.submit(f"while [ ! -e {gate} ]; do sleep 0.02; done; (exit 5)")
    queue.wait_for_start(short)
    pid = queue.wait_for_start(long)
    queue.until(lambda: queue.sql("SELECT count(*) FROM jobs WHERE state = 'running'") == [(2,)])

    queue.kill_agent()
    first_gate.touch()
    queue.until((short.job_dir / "exit").exists)

    assert queue.is_alive(pid)
    ended = queue.wait_for_end(short)
    assert (ended.state, ended.exit_code) == (JobState.FAILED, 4)
    assert queue.state(long) is JobState.RUNNING
    gate.touch()
    adopted = queue.wait_for_end(long)
    assert (adopted.state, adopted.exit_code) == (JobState.FAILED, 5)


def test_an_adopted_job_is_cancelled_with_all_its_processes(queue, tmp_path):
    pids = tmp_path / "pids"
    job = queue.submit(f"sleep 60 & echo $! >> {pids}; setsid sleep 60 & echo $! >> {pids}; wait; wait")
    queue.wait_for_start(job)
    queue.until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    queue.kill_agent()

    queue.cancel(job)
    report = queue.wait_for_end(job)

    assert (report.state, report.cause) == (JobState.CANCELLED, "cancelled")
    assert not any(queue.is_alive(int(pid)) for pid in pids.read_text().split())


def test_the_time_limit_of_an_adopted_job_goes_on(queue):
    job = queue.submit("sleep 3600", time_limit=Duration(1800))
    queue.wait_for_start(job)
    queue.until(lambda: queue.sql("SELECT state FROM jobs") == [("running",)])
    queue.kill_agent()
    queue.sql("UPDATE jobs SET launched_boottime = launched_boottime - 1800")

    report = queue.wait_for_end(job)

    assert (report.state, report.cause) == (JobState.TIMED_OUT, "timeout")


def test_a_job_that_ended_unseen_without_an_exit_file_is_lost(queue):
    job = queue.submit("sleep 60")
    pid = queue.wait_for_start(job)
    queue.kill_agent()
    os.killpg(pid, signal.SIGKILL)
    queue.until(lambda: not queue.is_alive(pid))

    report = queue.wait_for_end(job)

    assert report.state is JobState.LOST
    assert report.reason == "ended while no agent watched it; its exit code is not known"


@pytest.mark.parametrize(
    ("exit_file", "state"), [("0\n", JobState.SUCCEEDED), ("0", JobState.LOST), (None, JobState.LOST)]
)
def test_a_job_from_before_a_reboot_is_settled_by_its_exit_file(queue, exit_file, state):
    job = queue.submit("sleep 60")
    pid = queue.wait_for_start(job)
    queue.until(lambda: queue.sql("SELECT state FROM jobs") == [("running",)])
    queue.kill_agent()
    os.killpg(pid, signal.SIGKILL)
    queue.until(lambda: not queue.is_alive(pid))
    queue.sql("UPDATE jobs SET boot_id = 'another'")
    if exit_file is not None:
        (job.job_dir / "exit").write_text(exit_file)

    report = queue.wait_for_end(job)

    assert report.state is state
    assert state is not JobState.LOST or report.reason == "host rebooted"


def test_a_stranger_with_a_reused_pid_is_never_signalled(queue):
    job = queue.submit("sleep 60")
    pid = queue.wait_for_start(job)
    queue.until(lambda: queue.sql("SELECT state FROM jobs") == [("running",)])
    queue.kill_agent()
    os.killpg(pid, signal.SIGKILL)
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        started = processes.read_process(stranger.pid).started
        queue.sql("UPDATE jobs SET pid = ?, pid_started = ?", stranger.pid, started - 1)

        queue.cancel(job)
        report = queue.wait_for_end(job)

        assert report.state in (JobState.LOST, JobState.CANCELLED)
        queue.until(lambda: not queue.agent())
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def interrupted(queue, request, state="starting"):
    """Queue a job as an agent leaves it that dies just before or after the launch."""
    blocker = queue.submit("sleep 60", exclusive_node=True)
    job = queue.submit_request(request)
    pid = queue.wait_for_start(blocker)
    queue.kill_agent()
    os.killpg(pid, signal.SIGKILL)
    queue.until(lambda: not queue.is_alive(pid))
    queue.sql("UPDATE jobs SET state = ?, boot_id = ? WHERE id = ?", state, processes.boot_id(), job.scheduler_job_id)
    return job


@pytest.mark.parametrize("is_claimed", [False, True])
def test_a_job_that_was_never_launched_is_launched_by_the_next_agent(queue, tmp_path, is_claimed):
    request = queue.request(f"echo run >> {tmp_path}/runs")
    job = interrupted(queue, request)
    if is_claimed:
        (request.job_dir / "claim").symlink_to(job.scheduler_job_id)

    assert queue.wait_for_end(job).state is JobState.SUCCEEDED
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_job_that_was_never_launched_and_then_cancelled_stays_so(queue):
    job = interrupted(queue, queue.request())

    queue.cancel(job)

    assert queue.wait_for_end(job).state is JobState.CANCELLED
    assert not (job.job_dir / "start").exists()


def test_a_job_that_was_launched_but_not_recorded_is_adopted(queue, tmp_path):
    request = queue.request(
        f"echo run >> {tmp_path}/runs; while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done; (exit 6)"
    )
    job = interrupted(queue, request)
    environment = {
        **os.environ,
        "MOLQ_JOB_ID": job.job_id,
        "MOLQ_CLAIMED": job.job_id,
        "MOLQ_LOCAL_ID": job.scheduler_job_id,
    }
    process = subprocess.Popen(["/bin/sh", request.job_dir / "script"], env=environment, start_new_session=True)
    queue.until((tmp_path / "runs").exists)

    queue.until(lambda: queue.state(job) is JobState.RUNNING)
    (tmp_path / "gate").touch()
    process.wait()
    report = queue.wait_for_end(job)

    assert (report.state, report.exit_code) == (JobState.FAILED, 6)
    assert (tmp_path / "runs").read_text() == "run\n"


@pytest.mark.parametrize(("exit_file", "state"), [("0\n", JobState.SUCCEEDED), (None, JobState.LOST)])
def test_a_job_that_shows_signs_of_a_run_is_never_run_again(queue, tmp_path, exit_file, state):
    request = queue.request(f"echo run >> {tmp_path}/runs")
    job = interrupted(queue, request, state="queued")
    (request.job_dir / "start").write_text("2 4000000 here 0\n")
    if exit_file:
        (request.job_dir / "exit").write_text(exit_file)

    assert queue.wait_for_end(job).state is state
    assert not (tmp_path / "runs").exists()


def test_every_job_runs_once_however_often_the_agent_is_killed(queue, tmp_path):
    jobs = [queue.submit(f"echo $MOLQ_LOCAL_ID >> {tmp_path}/runs") for _ in range(300)]
    numbers = random.Random(1)

    for _ in range(25):
        if pid := queue.agent():
            os.kill(pid, signal.SIGKILL)
            queue.until(lambda pid=pid: not queue.is_alive(pid))
        queue.poll(*jobs)
        time.sleep(numbers.uniform(0, 0.05))

    queue.until(lambda: all(r.state is JobState.SUCCEEDED for r in queue.poll(*jobs)))
    assert sorted((tmp_path / "runs").read_text().split(), key=int) == [job.scheduler_job_id for job in jobs]


def test_the_agent_ends_when_its_queue_is_deleted_and_the_job_goes_on(queue, tmp_path):
    job = queue.submit(f"while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done")
    pid = queue.wait_for_start(job)
    agent = queue.agent()
    shutil.rmtree(queue.state_dir)
    other = queue.submit()

    assert queue.wait_for_end(other).state is JobState.SUCCEEDED
    queue.until(lambda: not queue.is_alive(agent))
    assert queue.is_alive(pid)
    (tmp_path / "gate").touch()
    queue.until(lambda: not queue.is_alive(pid))


def test_only_one_agent_serves_a_queue(queue):
    children = []
    for _ in range(6):
        request = queue.request("sleep 0.3")
        child = os.fork()
        if not child:
            try:
                queue.submit_request(request)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)

    serving = [
        int(pid)
        for pid in os.listdir("/proc")
        if pid.isdigit() and queue.is_alive(int(pid)) and str(queue.state_dir).encode() in _command_line(pid)
    ]

    assert len(serving) == 1
    queue.until(lambda: queue.sql("SELECT count(*) FROM jobs WHERE outcome = 'succeeded'") == [(6,)])


def _command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_jobs_of_an_agent_that_was_started_inside_a_job_are_left_alone(queue, tmp_path):
    inner = type(queue)(tmp_path / "inner")
    inner_job = inner.request(f"while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done")
    code = textwrap.dedent(
        """
        import os, sys
        sys.path[:0] = sys.argv[2].split(os.pathsep)
        from molq_local.place import Place
        from molq_local.wake import ensure_agent
        ensure_agent(Place(sys.argv[1]), 1.0, os.environ)
        """
    )
    # The inner queue's job is put there without an agent, which the outer job then starts.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("molq_local.hooks.ensure_agent", lambda *_: None)
        submitted = inner.submit_request(inner_job)
    started = queue.submit(shlex.join([sys.executable, "-c", code, str(inner.state_dir), os.pathsep.join(sys.path)]))
    other = queue.submit(f"while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done")
    pid = inner.wait_for_start(submitted)

    assert queue.wait_for_end(started).state is JobState.SUCCEEDED
    inner.kill_agent()
    # Now the inner job is a child of the outer agent, which looks at its children when one of them ends.
    queue.wait_for_end(queue.submit())
    assert queue.is_alive(pid)

    (tmp_path / "gate").touch()
    assert inner.wait_for_end(submitted).state is JobState.SUCCEEDED
    assert queue.wait_for_end(other).state is JobState.SUCCEEDED
    queue.until(lambda: not inner.agent())


def test_what_the_agent_cannot_do_is_in_its_log(queue, tmp_path):
    job = queue.submit(stdout_path=tmp_path)

    queue.wait_for_end(job)

    assert str(tmp_path) in queue.log()
