"""One process at a time asks a cluster's scheduler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import attrs
import pytest

from molq.job_state import JobState
from molq.records import JobRecord
from molq.store import JobStore
from molq.store import leases as leases_module
from molq.store.leases import LEASE_SECONDS, Leases
from molq.tracking import Change

HOLDER = """
import sys
from molq.store import JobStore
store = JobStore(sys.argv[1])
assert store.leases.take("hpc", "slurm", 100.0) is not None
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


@pytest.fixture
def store(path):
    store = JobStore(path)
    yield store
    store.close()


@pytest.fixture
def other(path):
    store = JobStore(path)
    yield store
    store.close()


@pytest.fixture
def holding_process(store, path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def add_job(store):
    record = JobRecord(
        job_id="a1",
        root_job_id="a1",
        cluster_name="hpc",
        scheduler="slurm",
        state=JobState.CREATED,
        cwd="/",
        command_type="argv",
        command_display="true",
        metadata={},
        created_at=1.0,
        job_dir="/d",
        stdout_path="/o",
        stderr_path="/e",
    )
    return store.add_job(record, request={}, reason="recorded")


def test_a_lease_is_held_by_one_until_it_is_given_back(store, other):
    lease = store.leases.take("hpc", "slurm", 100.0)

    assert other.leases.take("hpc", "slurm", 101.0) is None
    store.leases.give_back(lease, 102.0)
    assert other.leases.take("hpc", "slurm", 103.0) is not None


def test_clusters_are_leased_apart_from_each_other(store, other):
    store.leases.take("hpc", "slurm", 100.0)

    assert other.leases.take("hpc", "pbs", 100.0) is not None
    assert other.leases.take("lab", "slurm", 100.0) is not None


def test_two_threads_of_one_process_do_not_ask_at_once(store):
    held = store.leases.take("hpc", "slurm", 100.0)
    taken = []

    thread = threading.Thread(target=lambda: taken.append(store.leases.take("hpc", "slurm", 100.5)))
    thread.start()
    thread.join()

    assert held is not None
    assert taken == [None]


def test_who_could_not_give_a_lease_back_may_take_it_again(store, path):
    lease = store.leases.take("hpc", "slurm", 100.0)
    aside = path.with_name("aside.db")
    path.rename(aside)
    with pytest.raises(Exception, match="deleted or replaced"):
        store.leases.give_back(lease, 101.0)
    aside.rename(path)

    assert store.leases.take("hpc", "slurm", 102.0) is not None


def test_a_living_process_keeps_its_lease(store, holding_process):
    assert store.leases.take("hpc", "slurm", 101.0) is None


def test_a_killed_process_holds_nothing_any_more(store, holding_process):
    os.kill(holding_process.pid, signal.SIGKILL)
    holding_process.wait()

    assert store.leases.take("hpc", "slurm", 101.0) is not None


def test_a_dead_process_that_nobody_has_waited_for_holds_nothing_either(store, holding_process):
    os.kill(holding_process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holding_process.pid, os.WEXITED | os.WNOWAIT)

    assert store.leases.take("hpc", "slurm", 101.0) is not None


@pytest.mark.parametrize(
    ("change", "is_taken_over"),
    [
        ({"host": "elsewhere"}, False),
        ({"boot": "an-earlier-boot"}, True),
        ({"start": "1"}, True),
        ({"namespace": "pid:[1]"}, False),
        ({"namespace": "pid:[1]", "start": "1"}, False),
        ({"pid": "garbage"}, False),
        ({"start": "-"}, False),
        ({"start": "-", "pid": "4194303"}, True),
    ],
)
def test_only_a_holder_that_is_surely_dead_is_taken_over(store, change, is_taken_over):
    facts = dict(zip(("host", "boot", "namespace", "pid", "start"), leases_module._this_process().split(), strict=True))
    holder = " ".join((facts | change).values()) + " suffix"
    Leases(store._connection, holder).take("hpc", "slurm", 100.0)

    taken = store.leases.take("hpc", "slurm", 101.0)

    assert (taken is not None) is is_taken_over


def test_a_lease_from_another_machine_runs_out(store):
    Leases(store._connection, "elsewhere boot ns 1 2").take("hpc", "slurm", 100.0)

    assert store.leases.take("hpc", "slurm", 100.0 + LEASE_SECONDS - 1) is None
    assert store.leases.take("hpc", "slurm", 100.0 + LEASE_SECONDS) is not None


@pytest.mark.parametrize("skew", [0.001, 5.0, 90.0])
def test_a_clock_that_is_a_bit_behind_does_not_break_into_a_lease(store, skew):
    Leases(store._connection, "elsewhere boot ns 1 2").take("hpc", "slurm", 1000.0)

    assert store.leases.take("hpc", "slurm", 1000.0 - skew) is None


def test_a_clock_that_was_set_back_does_not_make_a_lease_last_for_ever(store):
    Leases(store._connection, "elsewhere boot ns 1 2").take("hpc", "slurm", 1_000_000.0)

    assert store.leases.take("hpc", "slurm", 5_000.0) is not None


def test_a_holder_that_was_paused_cannot_write_any_more(store, other):
    job = add_job(store)
    stale = store.leases.take("hpc", "slurm", 100.0)
    fresh = other.leases.take("hpc", "slurm", 100.0 + LEASE_SECONDS)
    change = Change(old=job, new=attrs.evolve(job, state=JobState.LOST), reason="stale")

    applied = store.apply([change], 500.0, stale)

    assert applied == []
    assert store.job("a1").state is JobState.CREATED
    assert other.apply([change], 500.0, fresh) == [change]


def test_a_holder_that_was_paused_cannot_give_back_the_lease_of_another(store, other):
    stale = store.leases.take("hpc", "slurm", 100.0)
    other.leases.take("hpc", "slurm", 100.0 + LEASE_SECONDS)

    store.leases.give_back(stale, 401.0, failure="too late")

    assert store.leases.take("hpc", "slurm", 402.0) is None
    assert store.leases.health("hpc", "slurm").failure is None


def test_nothing_is_written_under_a_lease_that_was_given_back(store):
    job = add_job(store)
    lease = store.leases.take("hpc", "slurm", 100.0)
    store.leases.give_back(lease, 101.0)

    applied = store.apply([Change(old=job, new=attrs.evolve(job, reason="x"), reason="")], 102.0, lease)

    assert applied == []


def test_health_tells_since_when_the_scheduler_has_not_answered(store):
    for now, failure in ((100.0, None), (200.0, "down"), (300.0, "still down")):
        store.leases.give_back(store.leases.take("hpc", "slurm", now), now, failure=failure)

    health = store.leases.health("hpc", "slurm")

    assert (health.asked_at, health.answered_at, health.failing_since) == (300.0, 100.0, 200.0)
    assert health.failure == "still down"


def test_an_answer_ends_the_failure(store):
    for now, failure in ((200.0, "down"), (300.0, None)):
        store.leases.give_back(store.leases.take("hpc", "slurm", now), now, failure=failure)

    health = store.leases.health("hpc", "slurm")

    assert (health.answered_at, health.failing_since, health.failure) == (300.0, None, None)


def test_a_lease_that_was_not_used_says_nothing_about_health(store):
    store.leases.give_back(store.leases.take("hpc", "slurm", 100.0), 100.0, asked=False)

    assert store.leases.health("hpc", "slurm").asked_at is None


def test_the_health_of_a_cluster_that_was_never_asked_is_unknown(store):
    assert store.leases.health("hpc", "slurm").answered_at is None
