"""The daemon looks after jobs until a signal ends it, and asks the scheduler no more often for being many."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from molq import ConfigError, EventType, JobState, JobStore, RetryBackoff, RetryPolicy, Submitor
from molq_slurm.testing import FakeSlurm

Molq = Callable[..., subprocess.CompletedProcess[str]]
_ENOUGH = 40.0
"""Seconds in which all ends, and no program of a scheduler is given up on."""

_MOLQ = str(Path(sys.executable).with_name("molq"))


def _daemon(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([_MOLQ, "daemon", *arguments], stderr=subprocess.PIPE, text=True)


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_daemon_submits_what_is_due_and_ends_on_sigterm(submitor: Submitor, store: JobStore):
    job = submitor.submit(command="exit 1", retry=RetryPolicy(3, backoff=RetryBackoff("fixed", 0.2)))
    daemon = _daemon("--interval", "0.2")

    _until(lambda: len(store.family(job.job_id)) == 3 and store.latest_attempt(job.job_id).state.is_terminal)
    daemon.send_signal(signal.SIGTERM)

    assert daemon.communicate(timeout=_ENOUGH)[1] == ""
    assert daemon.returncode == 0


def test_a_daemon_whose_scheduler_hangs_ends_all_the_same(fake_slurm: FakeSlurm, store: JobStore):
    with Submitor("lab", "slurm", store=store) as submitor:
        submitor.submit(command="true")
    fake_slurm.freeze()
    before = len(fake_slurm.commands_run)
    daemon = _daemon("--interval", "0.2")
    _until(lambda: len(fake_slurm.commands_run) > before)

    daemon.send_signal(signal.SIGTERM)
    daemon.communicate(timeout=_ENOUGH)

    assert daemon.returncode == 0
    health = store.leases.health("lab", "slurm")
    assert health.failing_since is None, "that a daemon was stopped tells nothing of the scheduler"


def test_two_daemons_ask_as_often_as_one(fake_slurm: FakeSlurm, store: JobStore):
    submitors = [Submitor("lab", "slurm", store=store) for _ in range(2)]
    job = submitors[0].submit(command="true")
    fake_slurm.start(job.scheduler_job_id)
    before, began = len(fake_slurm.commands_run), time.time()

    for seconds in range(20):
        for submitor, later in zip(submitors, (0.0, 0.4), strict=True):
            engine = submitor._engine
            engine.poller = attrs.evolve(engine.poller, clock=lambda now=began + seconds + later: now)
            engine.round(1.0, None)

    assert len(fake_slurm.commands_run) - before == 20


def test_two_daemons_share_a_cluster(fake_slurm: FakeSlurm, store: JobStore):
    with Submitor("lab", "slurm", store=store) as submitor:
        job = submitor.submit(command="true")
        fake_slurm.start(job.scheduler_job_id)
    daemons = [_daemon("--interval", "0.2") for _ in range(2)]
    _until(lambda: store.job(job.job_id).state is JobState.RUNNING)
    fake_slurm.finish(job.scheduler_job_id)

    _until(lambda: store.job(job.job_id).state is JobState.SUCCEEDED)

    for daemon in daemons:
        daemon.send_signal(signal.SIGTERM)
    assert [daemon.communicate(timeout=_ENOUGH)[1] for daemon in daemons] == ["", ""]
    assert [daemon.returncode for daemon in daemons] == [0, 0]


def test_one_round_is_enough_for_cron(molq: Molq, submitor: Submitor, store: JobStore):
    job = submitor.submit(command="exit 0")
    _until(lambda: (Path(store.job(job.job_id).job_dir) / "exit").exists())

    reply = molq("daemon", "--once")

    assert (reply.returncode, reply.stdout, reply.stderr) == (0, "", "")
    assert job.status() is JobState.SUCCEEDED


def test_a_daemon_for_a_cluster_that_nobody_knows_says_so_and_goes_on(molq: Molq, submitor: Submitor):
    submitor.submit(command="exit 0").wait()

    known, unknown = (molq("daemon", "--once", "-c", name) for name in ("here", "typo"))

    assert (known.returncode, known.stderr) == (0, "")
    assert unknown.returncode == 0
    assert (
        "no job was submitted to a cluster 'typo', and no profile is for it; there are here; its jobs" in unknown.stderr
    )


def test_a_cluster_that_cannot_be_looked_after_hinders_no_other(fake_slurm: FakeSlurm, molq: Molq, store: JobStore):
    with Submitor("lab", "slurm", store=store) as lab, Submitor("here", "local", store=store) as here:
        lab.submit(command="true")
        job = here.submit(command="exit 0")
    with store._connection.writing() as sqlite:
        sqlite.execute("UPDATE jobs SET scheduler = 'gone' WHERE scheduler = 'slurm'")
    _until(lambda: (Path(store.job(job.job_id).job_dir) / "exit").exists())

    reply = molq("daemon", "--once")

    assert reply.returncode == 0
    assert "lab (gone) cannot be looked after: there is no scheduler 'gone'" in reply.stderr
    assert store.job(job.job_id).state is JobState.SUCCEEDED


def test_a_submitors_daemon_can_do_one_round_in_any_thread(submitor: Submitor):
    job = submitor.submit(command="exit 0")
    thread = threading.Thread(target=submitor.daemon, kwargs={"once": True})
    _until(lambda: (Path(submitor.get(job.job_id).job_dir) / "exit").exists())

    thread.start()
    thread.join(_ENOUGH)

    assert job.status() is JobState.SUCCEEDED


def test_signals_mean_again_what_they_meant_before(submitor: Submitor):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)]
    job = submitor.submit(command="exit 0")
    _until(lambda: (Path(submitor.get(job.job_id).job_dir) / "exit").exists())
    # The round itself sends it, so that it never comes before the daemon is ready for it.
    submitor.on(EventType.JOB_COMPLETED, lambda _: os.kill(os.getpid(), signal.SIGTERM))

    submitor.daemon(interval=3600)

    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)] == before


def test_a_daemon_whose_next_round_is_beyond_all_time_ends_when_it_is_told_to(home: Path):
    code = (
        "import os, signal\n"
        "from molq.daemon import run_rounds\n"
        "run_rounds(lambda: os.kill(os.getpid(), signal.SIGTERM), once=False, interval=1e300)"
    )

    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


@pytest.mark.parametrize("interval", [0, -1, True, "5", float("inf")])
def test_an_interval_is_a_number_of_seconds(submitor: Submitor, interval: object):
    with pytest.raises(ConfigError, match="interval must be a number of seconds of more than 0"):
        submitor.daemon(interval=interval)


def test_a_daemon_cleans_up_after_clusters_that_are_idle(molq: Molq, submitor: Submitor, home: Path):
    job = submitor.submit(command="true")
    job.wait(_ENOUGH)
    config = home / "config.toml"
    config.write_text('[profiles.here]\nscheduler = "local"\nretention.keep_job_dirs_for_days = 0\n')
    config.chmod(0o600)

    assert molq("daemon", "--once", "--no-cleanup").returncode == 0
    assert Path(submitor.get(job.job_id).job_dir).is_dir()
    assert molq("daemon", "--once").returncode == 0

    assert not Path(submitor.get(job.job_id).job_dir).exists()
