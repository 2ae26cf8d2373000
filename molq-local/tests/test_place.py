from __future__ import annotations

import os
import stat
import sys

import pytest

from molq_local.admission import Demand
from molq_local.place import Place, PlaceError, type_in_mountinfo
from molq_local.queue_file import QueueFile
from molq_local.queue_ledger import Ledger
from molq_local.queue_requests import NEW_JOB_COLUMNS, Requests

MOUNTS = rb"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2
31 30 0:26 / /home/with\040space rw - tmpfs tmpfs rw
32 22 0:27 / /homes rw - fuse.sshfs me@there: rw
a strange line
""".splitlines()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/", "ext4"),
        (b"/var/lib", "ext4"),
        (b"/home", "nfs4"),
        (b"/home/me/.molq/local", "nfs4"),
        (b"/home/with space/x", "tmpfs"),
        (b"/homes/me", "fuse.sshfs"),
        (b"/homestead", "ext4"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_mount(path, kind):
    assert type_in_mountinfo(MOUNTS, path) == kind


def test_missing_folders_are_made_private(tmp_path):
    previous = os.umask(0)
    try:
        Place(str(tmp_path / "a" / "b")).create()
    finally:
        os.umask(previous)

    assert [stat.S_IMODE((tmp_path / p).stat().st_mode) for p in ("a", "a/b")] == [0o700, 0o700]


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(PlaceError, match="belongs to another user"):
        Place(str(tmp_path)).create()


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(PlaceError, match="cannot make the folder"):
        Place(str(tmp_path / "file" / "queue")).create()


def columns(tag):
    values = dict.fromkeys(NEW_JOB_COLUMNS, 0) | dict.fromkeys(
        ("script", "job_dir", "stdout_path", "stderr_path"), b"/"
    )
    return values | {"tag": tag, "cpu_count": 1, "max_concurrent": None, "cpu_capacity": 4, "time_limit": None}


def test_hosts_that_share_a_folder_keep_to_their_own_jobs_and_know_all(tmp_path):
    here, there = Place(str(tmp_path), host="here"), Place(str(tmp_path), host="there")
    with QueueFile(here, create=True) as ours, QueueFile(there) as theirs:
        first, second = Requests(ours).add(columns("a")), Requests(theirs).add(columns("b"))

        assert [d.job_number for d in Ledger(ours).queued(9)] == [first]
        assert [(j.tag, bool(j.is_here)) for j in Requests(theirs).known([first, second])] == [
            ("a", False),
            ("b", True),
        ]
        assert Requests(theirs).request_cancel([(first, "a")]) == {first: "queued"}
        assert not Ledger(ours).has_work()
        # Write-ahead logging needs memory that hosts do not share.
        assert ours.sql.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert here.wake != there.wake
    assert here.lock != there.lock


def test_the_agents_questions_use_the_indexes(tmp_path):
    with QueueFile(Place(str(tmp_path), host=""), create=True) as queue:
        seen = []
        queue.sql.set_trace_callback(seen.append)
        ledger = Ledger(queue)
        ledger.active(), list(ledger.queued(5)), ledger.has_work(), ledger.cancel_requests(), ledger.is_over("x")
        queue.sql.set_trace_callback(None)

        plans = [row[3] for s in seen for row in queue.sql.execute(f"EXPLAIN QUERY PLAN {s}")]

    assert not [plan for plan in plans if plan.startswith("SCAN jobs") or "TEMP B-TREE" in plan], plans
    assert any("queued_jobs" in plan for plan in plans)
    assert any("active_jobs" in plan for plan in plans)


def test_old_jobs_are_forgotten_once_a_day_and_their_numbers_never_used_again(tmp_path):
    with QueueFile(Place(str(tmp_path), host=""), create=True) as queue:
        requests, ledger = Requests(queue), Ledger(queue)
        old, waiting = requests.add(columns("old")), requests.add(columns("waiting"))
        queue.sql.execute("UPDATE jobs SET state = 'ended', finished_at = 1000 WHERE id = ?", (old,))

        ledger.prune()
        assert [job.id for job in requests.known([old, waiting])] == [waiting]

        last = requests.add(columns("last"))
        queue.sql.execute("UPDATE jobs SET state = 'ended', finished_at = 1000 WHERE id = ?", (last,))
        ledger.prune()
        assert [job.id for job in requests.known([last])] == [last]
        queue.sql.execute("UPDATE housekeeping SET pruned_at = 0")
        ledger.prune()
        assert requests.add(columns("next")) == last + 1


def test_demands_come_back_as_they_were_stored(tmp_path):
    with QueueFile(Place(str(tmp_path), host=""), create=True) as queue:
        Requests(queue).add(columns("a") | {"memory": 7, "is_exclusive": True, "max_concurrent": 2})

        (found,) = Ledger(queue).queued(1)

    expected = Demand(1, 1, 7, True, 2, 4, 0)
    assert [getattr(found, name) for name in Demand.__slots__] == [getattr(expected, name) for name in Demand.__slots__]
    assert sys.getsizeof(found) < 200
