"""Many processes and threads on one database, some of which are killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from molq.errors import StoreError
from molq.job_state import JobState
from molq.records import JobRecord
from molq.store import JobStore

PROCESSES = 16
SUBMITS = 60

WRITER = """
import sys
from molq.job_state import JobState
from molq.records import JobRecord
from molq.store import JobStore
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
store = JobStore(path)
for number in range(count):
    job_id = f"{name}-{number}"
    record = JobRecord(
        job_id=job_id, root_job_id=job_id, cluster_name="hpc", scheduler="slurm", state=JobState.CREATED, cwd="/",
        command_type="argv", command_display="true", metadata={}, created_at=1.0, job_dir="/d", stdout_path="/o",
        stderr_path="/e",
    )
    store.add_job(record, request={"padding": "x" * 2000}, reason="recorded")
    print(job_id, flush=True)
"""


def start_writers(path, number, submits):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(name), str(submits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in range(number)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    return writers


def add(store, job_id):
    record = JobRecord(
        job_id=job_id,
        root_job_id=job_id,
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


def in_a_child(act):
    """Run ``act`` in a fork of this process and return what it returned, as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(act()).encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def test_sixteen_processes_writing_at_once_never_see_a_locked_database(tmp_path):
    writers = start_writers(tmp_path / "state" / "jobs.db", PROCESSES, SUBMITS)

    errors = [writer.communicate(timeout=120)[1] for writer in writers]

    assert errors == [""] * PROCESSES
    store = JobStore(tmp_path / "state" / "jobs.db")
    assert len(store.jobs()) == PROCESSES * SUBMITS
    assert store.newest_transition() == PROCESSES * SUBMITS
    store.close()


@pytest.mark.parametrize("kind", ["rollback", "missing"])
def test_processes_that_open_a_new_file_at_once_all_find_it_usable(tmp_path, kind):
    path = tmp_path / "jobs.db"
    if kind == "rollback":
        JobStore(path).close()
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA journal_mode = DELETE")
        other.close()

    writers = start_writers(path, PROCESSES, 1)
    errors = [writer.communicate(timeout=120)[1] for writer in writers]

    assert errors == [""] * PROCESSES
    store = JobStore(path)
    assert len(store.jobs()) == PROCESSES
    store.close()


@pytest.mark.parametrize("after", [0, 1, 5, 20])
def test_a_writer_that_is_killed_leaves_a_sound_database_with_all_that_it_had_recorded(tmp_path, after):
    path = tmp_path / "jobs.db"
    (writer,) = start_writers(path, 1, 100_000)
    recorded = [writer.stdout.readline().strip() for _ in range(after)]

    os.kill(writer.pid, signal.SIGKILL)
    recorded += writer.communicate()[0].split()

    store = JobStore(path)
    known = {record.job_id for record in store.jobs()}
    assert set(recorded) <= known
    assert len(known) <= len(recorded) + 1
    assert store.newest_transition() == len(known)
    with store._connection.reading() as sqlite:
        assert sqlite.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert sqlite.execute("SELECT count(*) FROM requests").fetchone() == (len(known),)
    store.close()


def test_a_transaction_that_begins_by_reading_lets_nobody_write_in_between(tmp_path):
    store, other = JobStore(tmp_path / "jobs.db"), JobStore(tmp_path / "jobs.db", busy_seconds=0.05)

    with store._connection.writing() as sqlite:
        sqlite.execute("SELECT count(*) FROM jobs").fetchone()
        with pytest.raises(StoreError, match="is locked"):
            add(other, "other")
        sqlite.execute("DELETE FROM jobs")

    add(other, "other")
    assert len(store.jobs()) == 1
    store.close()
    other.close()


def test_threads_share_a_store(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    errors = []

    def work(name):
        try:
            for number in range(25):
                add(store, f"{name}-{number}")
                store.jobs()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(store.jobs()) == 200
    store.close()


def test_a_child_and_its_parent_both_go_on_with_a_store(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    add(store, "before")

    answer = in_a_child(lambda: add(store, "child").job_id)
    add(store, "parent")

    assert answer == "child"
    assert [record.job_id for record in store.jobs()] == ["before", "child", "parent"]
    store.close()


def test_what_a_child_commits_is_kept_when_its_parent_has_closed_the_store(tmp_path):
    path = tmp_path / "jobs.db"
    store = JobStore(path)
    opened, closed = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            add(store, "first")
            os.write(opened[1], b"x")
            os.read(closed[0], 1)
            add(store, "second")
        finally:
            os._exit(0)
    os.read(opened[0], 1)

    store.close()
    os.write(closed[1], b"x")
    os.waitpid(child, 0)

    for descriptor in (*opened, *closed):
        os.close(descriptor)
    reopened = JobStore(path)
    assert [record.job_id for record in reopened.jobs()] == ["first", "second"]
    reopened.close()


def test_the_data_version_tells_of_what_was_written_during_a_fork(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    before = store.data_version()

    in_a_child(lambda: add(store, "child"))

    assert store.data_version() != before
    store.close()


def test_a_file_that_was_replaced_is_noticed_after_a_fork_too(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    store.path.unlink()

    answer = in_a_child(store.jobs)

    assert "was deleted or replaced" in answer
    with pytest.raises(StoreError, match="was deleted or replaced"):
        store.jobs()
    assert not store.path.exists()
    store.close()


def test_a_fork_waits_until_other_threads_have_written(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    is_writing, may_end = threading.Event(), threading.Event()

    def write():
        with store._connection.writing() as sqlite:
            sqlite.execute("INSERT INTO clusters (cluster_name, scheduler) VALUES ('hpc', 'slurm')")
            is_writing.set()
            may_end.wait()

    writing = threading.Thread(target=write)
    writing.start()
    is_writing.wait()
    answers = []
    forking = threading.Thread(target=lambda: answers.append(in_a_child(lambda: add(store, "child").job_id)))
    forking.start()
    may_end.set()
    forking.join()
    writing.join()

    assert answers == ["child"]
    assert store._connection.ask("SELECT cluster_name FROM clusters") == [("hpc",)]
    store.close()
