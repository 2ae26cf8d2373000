"""Whoever dies, and whenever: each job is there once, ran at most once, and is settled in the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from molq import JobState, JobStore, RetryBackoff, RetryPolicy, Submitor
from molq.upkeep import Upkeep

_SUBMITTING = """
import sys
from molq import Submitor
with Submitor("here") as submitor:
    print("ready", flush=True)
    for _ in range(int(sys.argv[2])):
        submitor.submit(command=f"echo $MOLQ_JOB_ID >>{sys.argv[1]}")
"""

# It dies before what it would do next after some steps.
_SUBMITTING_UNTIL_DEATH = f"""
import os, signal, sys
steps = int(sys.argv[3])
def step(event, _):
    global steps
    steps -= event == "open" or event.startswith(("os.", "fcntl.", "subprocess."))
    if steps < 0 and event != "os.kill":
        os.kill(os.getpid(), signal.SIGKILL)
{_SUBMITTING.replace("    for", "    sys.addaudithook(step)" + chr(10) + "    for", 1)}
"""

_STRIDE = 5
"""Of the system calls of a process whose start is slow, so many are left out between two deaths."""

_SYSTEM_CALLS = (
    "mkdir,mkdirat,fsync,fdatasync,pwrite64,write,flock,fcntl,ftruncate,unlink,vfork,fork,clone,clone3,execve,fchmod,"
    "fchmodat,pwritev,wait4"
)


def _settle(store: JobStore) -> None:
    """Reconcile as the next process would, two minutes and a few polls later."""
    submitor = Submitor("here", store=store)
    engine = submitor._engine
    deadline = time.monotonic() + 180
    ahead = 0.0
    while submitor.list() and time.monotonic() < deadline:
        late = time.time() + ahead
        engine.poller = attrs.evolve(engine.poller, clock=lambda late=late: late)
        submitter = attrs.evolve(engine._submitter, clock=engine.poller.clock)
        engine._upkeep = Upkeep(poller=engine.poller, submitter=submitter)
        submitor.refresh()
        ahead += 40.0 if all(record.state is JobState.CREATED for record in submitor.list()) else 0.0
        time.sleep(0.01)


def _assert_each_once(store: JobStore, log: Path) -> None:
    ran = log.read_text().split() if log.exists() else []
    records = {record.job_id: record for record in store.jobs(include_terminal=True)}
    assert len(ran) == len(set(ran)), "a job ran twice"
    assert set(ran) <= set(records), "a job runs that nobody knows"
    for job_id, record in records.items():
        expected = JobState.SUCCEEDED if job_id in ran else JobState.FAILED
        assert record.state is expected, (record.state, record.failure_reason)
        if expected is JobState.FAILED:
            assert record.cause == "submit"
    ids = [record.scheduler_job_id for record in records.values() if record.scheduler_job_id]
    assert len(ids) == len(set(ids))


def test_a_submitter_killed_at_some_step_loses_and_doubles_nothing(store: JobStore, tmp_path: Path):
    log = tmp_path / "log"
    for number in range(12):
        victim = [sys.executable, "-c", _SUBMITTING_UNTIL_DEATH, str(log), "1000", str(number * 17)]
        assert subprocess.run(victim, stdout=subprocess.DEVNULL, check=False).returncode == -signal.SIGKILL

    _settle(store)

    assert len(store.jobs(include_terminal=True)) > 12
    _assert_each_once(store, log)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_submitter_killed_at_each_system_call_loses_and_doubles_nothing(store: JobStore, tmp_path: Path):
    log = tmp_path / "log"
    deaths = 0
    for number in range(1, 400):
        tracer = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={_SYSTEM_CALLS}"]
        killer = ["-e", f"inject={_SYSTEM_CALLS}:signal=KILL:when={number}"]
        victim = [sys.executable, "-c", _SUBMITTING, str(log), "1"]
        child = subprocess.run([*tracer, *killer, *victim], capture_output=True, check=False)
        if child.returncode == 0:
            break
        deaths += 1

    _settle(store)

    assert child.returncode == 0, child.stderr
    assert deaths > 20
    _assert_each_once(store, log)


# Both learn that the job has failed; the one submits the second attempt, the other cancels whatever is the latest.
_FOLLOWING = """
import sys
from molq import JobStore, Submitor
with Submitor("here", store=JobStore(sys.argv[3])) as submitor:
    if sys.argv[2] == "cancel":
        submitor.cancel(sys.argv[1])
    else:
        submitor.refresh()
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("what", ["retry", "cancel"])
def test_a_process_killed_while_a_job_is_tried_again_or_cancelled_leaves_nothing_undecided(
    home: Path, tmp_path: Path, what: str
):
    log = tmp_path / "log"
    policy = RetryPolicy(max_attempts=2, backoff=RetryBackoff("fixed", 0))
    stores = []
    for number in range(1, 400, _STRIDE):
        # Each in a store of its own, so that none has to do what another has left undone.
        store = JobStore(tmp_path / f"{number}.db")
        stores.append(store)
        job = Submitor("here", store=store).submit(command=f"echo $MOLQ_JOB_ID >>{log}; exit 3", retry=policy)
        while not (Path(store.job(job.job_id).job_dir) / "exit").exists():
            time.sleep(0.01)
        tracer = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={_SYSTEM_CALLS}"]
        killer = ["-e", f"inject={_SYSTEM_CALLS}:signal=KILL:when={number}"]
        victim = [sys.executable, "-c", _FOLLOWING, job.job_id, what, str(store.path)]
        child = subprocess.run([*tracer, *killer, *victim], capture_output=True, check=False)
        if child.returncode == 0:
            break

    for store in stores:
        _settle(store)

    assert child.returncode == 0, child.stderr
    assert len(stores) > 3
    ran = log.read_text().split()
    assert len(ran) == len(set(ran)), "an attempt ran twice"
    for store in stores:
        family = store.jobs(include_terminal=True)
        assert [record.attempt for record in family] == list(range(1, len(family) + 1))
        if what == "retry":
            assert [record.state for record in family] == [JobState.FAILED] * 2
            assert {record.job_id for record in family} <= set(ran)
        else:
            assert len(family) == 1 or family[1].state in (JobState.CANCELLED, JobState.FAILED)
        store.close()


def test_eight_submitters_at_once_with_a_killed_agent_lose_nothing(store: JobStore, home: Path, tmp_path: Path):
    log = tmp_path / "log"
    children = [
        subprocess.Popen([sys.executable, "-c", _SUBMITTING, str(log), "12"], stdout=subprocess.DEVNULL)
        for _ in range(8)
    ]
    recorded_before = 0
    while any(child.poll() is None for child in children):
        # Only after progress: who submits starts another agent, and gives up if that is killed again and again.
        recorded = len(store.jobs(include_terminal=True))
        if recorded - recorded_before >= 8:
            recorded_before = recorded
            _kill_agent(home)
        time.sleep(0.01)

    _settle(store)

    records = store.jobs(include_terminal=True)
    assert [child.returncode for child in children] == [0] * 8
    ran = log.read_text().split()
    assert len(ran) == len(set(ran))
    assert len(records) == 96
    assert [(r.state, r.failure_reason, r.cause) for r in records if r.state is not JobState.SUCCEEDED] == []


def _kill_agent(home: Path) -> None:
    """Kill the agent that holds the queue's lock; a process that it is just launching looks alike otherwise."""
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int((home / "local" / "agent.lock").read_text())
        if b"molq_local" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
