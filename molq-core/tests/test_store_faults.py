"""What goes wrong with the database file, and what the user is told."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from molq.errors import ConfigError, StoreError
from molq.job_state import JobState
from molq.records import JobRecord
from molq.store import JobStore
from molq.store.job_store import default_path

IS_ROOT = os.geteuid() == 0


def add(store, job_id="a1", padding=0):
    record = JobRecord(
        job_id=job_id,
        root_job_id=job_id,
        cluster_name="hpc",
        scheduler="slurm",
        state=JobState.CREATED,
        cwd="/",
        command_type="argv",
        command_display="x" * padding,
        metadata={},
        created_at=1.0,
        job_dir="/d",
        stdout_path="/o",
        stderr_path="/e",
    )
    return store.add_job(record, request={}, reason="recorded")


@contextmanager
def mounted(folder, options):
    """Mount a small file system on a folder, or skip where that is not allowed."""
    if not IS_ROOT:
        pytest.skip("mounting needs root")
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"cannot mount here: {made.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def a_write_lock(path):
    """Hold the database's write lock, as another program would."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


def test_the_default_place_is_in_molq_home(monkeypatch, tmp_path):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "state"))

    store = JobStore()

    assert store.path == tmp_path / "state" / "jobs.db"
    assert store.path.is_file()
    store.close()


def test_a_home_that_is_not_known_is_explained(monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", "~nobody-of-this-name/molq")

    with pytest.raises(
        ConfigError, match="MOLQ_HOME is '~nobody-of-this-name/molq', and it is not known where the home"
    ):
        default_path()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o177])
def test_folder_and_files_are_private_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        store = JobStore(tmp_path / "state" / "jobs.db")
        add(store)
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}

    assert modes == dict.fromkeys(("jobs.db", "jobs.db-wal", "jobs.db-shm"), 0o600)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    store.close()


def test_the_modes_of_what_was_there_already_are_left_alone(tmp_path):
    tmp_path.chmod(0o755)
    JobStore(tmp_path / "jobs.db").close()
    (tmp_path / "jobs.db").chmod(0o640)

    JobStore(tmp_path / "jobs.db").close()

    assert stat.S_IMODE((tmp_path / "jobs.db").stat().st_mode) == 0o640
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ["a b", "ünï%20?mode=ro#x", "new\nline", os.fsdecode(b"\xff\xfe")])
def test_the_path_may_hold_any_character(tmp_path, name):
    store = JobStore(tmp_path / name / "jobs?.db")
    add(store)

    assert store.job("a1").job_id == "a1"
    assert "jobs?.db" in os.listdir(tmp_path / name)
    store.close()


def test_a_closed_store_says_so(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    store.close()
    store.close()

    with pytest.raises(StoreError, match="was closed; make a new Submitor"):
        store.jobs()


@pytest.mark.parametrize(
    "content", [b"hello, I am a letter\n" * 100, b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "jobs.db"
    path.write_bytes(content)

    with pytest.raises(StoreError, match="is not a molq database; molq leaves it alone") as caught:
        JobStore(path)

    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["jobs.db"]
    assert caught.value.path == path


def test_a_database_of_another_program_is_left_as_it_is(tmp_path):
    path = tmp_path / "jobs.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE jobs (a)")
    other.close()
    content = path.read_bytes()

    with pytest.raises(StoreError, match="is a database of another program; molq leaves it alone"):
        JobStore(path)

    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["jobs.db"]


def test_a_database_of_another_program_that_has_no_tables_yet_is_left_as_it_is(tmp_path):
    path = tmp_path / "jobs.db"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 7")
    other.close()

    with pytest.raises(StoreError, match="another program"):
        JobStore(path)


def test_a_database_of_a_newer_molq_is_left_as_it_is(tmp_path):
    path = tmp_path / "jobs.db"
    JobStore(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    content = path.read_bytes()

    with pytest.raises(StoreError, match=r"newer molq \(its format is 99.*pip install --upgrade molq-core"):
        JobStore(path)

    assert path.read_bytes() == content


def test_an_empty_file_becomes_a_database(tmp_path):
    path = tmp_path / "jobs.db"
    path.touch()

    store = JobStore(path)

    assert store.jobs() == []
    store.close()


def test_a_truncated_database_is_damaged_and_left_as_it_is(tmp_path):
    path = tmp_path / "jobs.db"
    store = JobStore(path)
    for number in range(50):
        add(store, f"a{number}", padding=500)
    store.close()
    content = path.read_bytes()[: 4096 * 4]
    path.write_bytes(content)

    with pytest.raises(StoreError, match=r"is damaged; molq leaves it as it is: .*\.recover"):
        JobStore(path).jobs()

    assert path.read_bytes() == content


def test_a_lock_of_another_program_is_waited_for_and_then_named(tmp_path):
    store = JobStore(tmp_path / "jobs.db", busy_seconds=0.05)

    with (
        a_write_lock(store.path),
        pytest.raises(StoreError, match=r"is locked by another program since more than 0.05 s"),
    ):
        add(store)

    add(store)
    assert len(store.jobs()) == 1
    store.close()


def test_a_lock_of_another_program_does_not_hinder_reading(tmp_path):
    store = JobStore(tmp_path / "jobs.db", busy_seconds=0.05)
    add(store)

    with a_write_lock(store.path):
        listed = store.jobs()

    assert len(listed) == 1
    store.close()


def test_opening_waits_for_a_lock_too(tmp_path):
    path = tmp_path / "jobs.db"
    path.touch()

    with a_write_lock(path), pytest.raises(StoreError, match="is locked by another program"):
        JobStore(path, busy_seconds=0.05)


@pytest.mark.parametrize("act", [add, lambda store: store.jobs()], ids=["write", "read"])
def test_a_database_that_was_deleted_while_open_is_noticed(tmp_path, act):
    store = JobStore(tmp_path / "jobs.db")
    store.path.unlink()

    with pytest.raises(StoreError, match="was deleted or replaced while it was open; put it back"):
        act(store)

    assert not store.path.exists()
    store.close()


def test_a_database_that_was_replaced_while_open_is_noticed_and_left_as_it_is(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    JobStore(tmp_path / "other.db").close()
    (tmp_path / "other.db").rename(store.path)
    content = store.path.read_bytes()

    with pytest.raises(StoreError, match="was deleted or replaced"):
        add(store)

    assert store.path.read_bytes() == content
    store.close()


def test_a_database_that_was_put_back_is_used_again(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    store.path.rename(tmp_path / "aside.db")
    with pytest.raises(StoreError):
        add(store)

    (tmp_path / "aside.db").rename(store.path)
    add(store)

    assert len(store.jobs()) == 1
    store.close()


def test_a_full_disk_is_named_and_loses_nothing(tmp_path):
    with mounted(tmp_path / "small", "size=512k") as folder:
        store = JobStore(folder / "jobs.db")
        add(store, "first")

        with pytest.raises(StoreError, match="cannot grow: the disk or the quota is full; free some space"):
            for number in range(1000):
                add(store, f"a{number}", padding=10_000)

        listed = store.jobs()
        assert listed[0].job_id == "first"
        store.close()
        reopened = JobStore(folder / "jobs.db")
        assert len(reopened.jobs()) == len(listed)
        reopened.close()


def test_a_disk_without_room_for_the_database_is_named(tmp_path):
    with (
        mounted(tmp_path / "small", "size=16k") as folder,
        pytest.raises(StoreError, match="the disk or the quota is full"),
    ):
        JobStore(folder / "jobs.db")


def test_a_file_that_may_not_grow_is_named_and_loses_nothing(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    add(store, "first")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
    try:
        with pytest.raises(StoreError, match="the quota is"):
            for number in range(1000):
                add(store, f"a{number}", padding=10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert store.jobs()[0].job_id == "first"
    add(store, "last")
    assert store.jobs()[-1].job_id == "last"
    store.close()


def test_a_database_that_may_not_grow_is_named(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    with store._connection.reading() as sqlite:
        (pages,) = sqlite.execute("PRAGMA page_count").fetchone()
        sqlite.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreError, match="cannot grow: the disk or the quota is full"):
        add(store, padding=100_000)

    store.close()


def test_a_read_only_file_system_is_named(tmp_path):
    with mounted(tmp_path / "fixed", "size=1m") as folder:
        JobStore(folder / "jobs.db").close()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)

        with pytest.raises(StoreError, match="choose another folder with MOLQ_HOME"):
            JobStore(folder / "jobs.db")


def test_a_database_that_became_read_only_is_named(tmp_path):
    with mounted(tmp_path / "fixed", "size=1m") as folder:
        with sqlite3.connect(folder / "jobs.db") as other:
            other.execute("PRAGMA journal_mode = DELETE")
        other.close()
        JobStore(folder / "jobs.db").close()
        with sqlite3.connect(folder / "jobs.db") as other:
            other.execute("PRAGMA journal_mode = DELETE")
        other.close()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        store = JobStore(folder / "jobs.db")

        assert store.jobs() == []
        with pytest.raises(StoreError, match=r"cannot be written: .* read-only"):
            add(store)
        store.close()


@pytest.mark.skipif(IS_ROOT, reason="root may write everywhere; the read-only mount stands in for this")
def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(StoreError, match="Permission denied"):
        JobStore(tmp_path / "jobs.db")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match=r"cannot be used: .*file.*; check its folder"):
        JobStore(tmp_path / "file" / "jobs.db")


def test_a_folder_in_place_of_the_file_is_named(tmp_path):
    with pytest.raises(StoreError, match="cannot be opened"):
        JobStore(tmp_path)


def test_a_rollback_journal_stays_what_it_is_and_usable(tmp_path):
    path = tmp_path / "jobs.db"
    JobStore(path).close()
    with sqlite3.connect(path) as other:
        assert other.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    other.close()

    one, two = JobStore(path), JobStore(path)
    add(one, "a")
    add(two, "b")

    assert [record.job_id for record in one.jobs()] == ["a", "b"]
    with one._connection.reading() as sqlite:
        assert sqlite.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    one.close()
    two.close()


def test_a_local_disk_has_a_write_ahead_log_that_is_synced(tmp_path):
    store = JobStore(tmp_path / "jobs.db")

    with store._connection.reading() as sqlite:
        facts = [
            sqlite.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert facts == ["wal", 2, 1]
    store.close()


def test_a_shared_file_system_has_no_write_ahead_log(tmp_path, monkeypatch):
    monkeypatch.setattr("molq.store.connection.is_local", lambda path: False)

    store = JobStore(tmp_path / "jobs.db")
    add(store)

    assert [path.name for path in tmp_path.iterdir()] == ["jobs.db"]
    store.close()


def test_a_write_ahead_log_is_given_up_on_a_shared_file_system(tmp_path, monkeypatch):
    JobStore(tmp_path / "jobs.db").close()
    monkeypatch.setattr("molq.store.connection.is_local", lambda path: False)

    store = JobStore(tmp_path / "jobs.db")
    add(store)

    with store._connection.reading() as sqlite:
        assert sqlite.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    store.close()


def test_a_copy_of_the_file_opens_as_the_original(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    add(store)
    store.close()
    shutil.copy(tmp_path / "jobs.db", tmp_path / "copy.db")

    copy = JobStore(tmp_path / "copy.db")

    assert [record.job_id for record in copy.jobs()] == ["a1"]
    copy.close()


def test_opening_a_store_needs_no_program(tmp_path):
    code = "import sys; from molq.store import JobStore; JobStore(sys.argv[1])"

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "jobs.db")],
        env={**os.environ, "PATH": ""},
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_an_interrupt_that_comes_while_others_write_leaves_nothing_locked(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.2, other.execute, ["COMMIT"]).start()

    threading.Timer(0.2, interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        store.leases.take("c", "s", 0.0)

    JobStore(tmp_path / "jobs.db", busy_seconds=0.1).leases.take("c", "s", 0.0)
