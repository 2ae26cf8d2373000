"""How an older database becomes a current one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from molq.errors import StoreError
from molq.store import JobStore
from molq.store.schema import APPLICATION_ID, MIGRATIONS, check_is_ours, migrate

SECOND = (
    "ALTER TABLE jobs ADD COLUMN colour TEXT",
    "UPDATE jobs SET colour = 'red'",
    "CREATE INDEX jobs_by_colour ON jobs (colour)",
)

NEWEST = len(MIGRATIONS)

MIGRATE = """
import os, signal, sqlite3, sys
from pathlib import Path
from molq.store.schema import MIGRATIONS, migrate
path, second = Path(sys.argv[1]), eval(sys.argv[2])
sqlite = sqlite3.connect(path, isolation_level=None, timeout=60)
sqlite.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
print("ready", flush=True)
sys.stdin.readline()
migrate(sqlite, path, (*MIGRATIONS, second))
"""


@pytest.fixture
def path(tmp_path):
    """A file of the newest version with some rows."""
    path = tmp_path / "jobs.db"
    JobStore(path).close()
    columns = "job_id, root_job_id, attempt, cluster_name, scheduler, state, created_at, cwd, command_type, "
    columns += "command_display, job_dir, stdout_path, stderr_path, metadata"
    with sqlite3.connect(path) as sqlite:
        for job_id in ("a", "b"):
            sqlite.execute(
                f"INSERT INTO jobs ({columns}) VALUES "
                "(?, 'a', 1, 'hpc', 'slurm', 'running', 1, '/', 'argv', 'x', '/d', '/o', '/e', '{}')",
                (job_id,),
            )
    sqlite.close()
    return path


def connect(path):
    return sqlite3.connect(path, isolation_level=None)


def facts(sqlite):
    columns = [row[1] for row in sqlite.execute("PRAGMA table_info(jobs)")]
    indexes = [row[0] for row in sqlite.execute("SELECT name FROM sqlite_master WHERE type = 'index'")]
    version = sqlite.execute("PRAGMA user_version").fetchone()[0]
    return version, "colour" in columns, "jobs_by_colour" in indexes


def run_migrations(path, second, number):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, str(path), repr(second)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(number)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    return errors, [process.returncode for process in processes]


def test_a_new_file_is_marked_as_molqs(path):
    sqlite = connect(path)

    assert sqlite.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert sqlite.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    sqlite.close()


def test_a_further_migration_keeps_the_rows(path):
    sqlite = connect(path)

    migrate(sqlite, path, (*MIGRATIONS, SECOND))

    assert facts(sqlite) == (NEWEST + 1, True, True)
    assert sqlite.execute("SELECT job_id, colour FROM jobs").fetchall() == [("a", "red"), ("b", "red")]
    sqlite.close()


def test_a_new_file_gets_all_migrations(tmp_path):
    sqlite = connect(tmp_path / "new.db")

    migrate(sqlite, tmp_path / "new.db", (*MIGRATIONS, SECOND))

    assert facts(sqlite) == (NEWEST + 1, True, True)
    sqlite.close()


def test_a_migration_is_done_once(path):
    sqlite = connect(path)
    migrate(sqlite, path, (*MIGRATIONS, SECOND))

    migrate(sqlite, path, (*MIGRATIONS, SECOND))

    assert facts(sqlite) == (NEWEST + 1, True, True)
    sqlite.close()


def test_a_migration_that_fails_in_the_middle_leaves_the_version_before(path):
    sqlite = connect(path)
    broken = (*SECOND[:2], "CREATE INDEX jobs_by_taste ON jobs (taste)")

    with pytest.raises(sqlite3.OperationalError, match="taste"):
        migrate(sqlite, path, (*MIGRATIONS, broken))

    assert facts(sqlite) == (NEWEST, False, False)
    sqlite.close()
    store = JobStore(path)
    assert [record.job_id for record in store.jobs()] == ["a", "b"]
    store.close()


@pytest.mark.parametrize("at", range(4))
def test_a_process_that_is_killed_in_a_migration_leaves_the_version_before(path, at):
    deadly = (*SECOND[:at], "SELECT die()", *SECOND[at:])

    _, (code,) = run_migrations(path, deadly, 1)

    assert code == -signal.SIGKILL
    sqlite = connect(path)
    assert facts(sqlite) == (NEWEST, False, False)
    migrate(sqlite, path, (*MIGRATIONS, SECOND))
    assert facts(sqlite) == (NEWEST + 1, True, True)
    sqlite.close()


@pytest.mark.parametrize("kind", ["old", "new"])
def test_sixteen_processes_that_migrate_at_once_do_it_once(path, tmp_path, kind):
    target = path if kind == "old" else tmp_path / "new.db"

    errors, codes = run_migrations(target, SECOND, 16)

    assert errors == [""] * 16
    assert codes == [0] * 16
    sqlite = connect(target)
    assert facts(sqlite) == (NEWEST + 1, True, True)
    sqlite.close()


def test_an_older_molq_refuses_a_migrated_file_and_names_both_versions(path):
    sqlite = connect(path)
    migrate(sqlite, path, (*MIGRATIONS, SECOND))
    sqlite.close()

    with pytest.raises(StoreError, match=f"its format is {NEWEST + 1}, this molq knows {NEWEST}"):
        JobStore(path)


def test_looking_at_a_file_writes_nothing(tmp_path):
    empty = tmp_path / "empty.db"
    sqlite = connect(empty)

    assert check_is_ours(sqlite, empty) == 0

    assert os.path.getsize(empty) == 0
    assert not sqlite.in_transaction
    sqlite.close()
