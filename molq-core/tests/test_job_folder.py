"""A job's own folder, made safely."""

from __future__ import annotations

import fcntl
import json
import os
import stat

import pytest

from molq.errors import ScriptError
from molq.job_folder import JobFolder, JobPlace


@pytest.fixture
def folder(tmp_path):
    return JobFolder.create(JobPlace.choose(None, tmp_path), "ours", 5.0)


def test_a_folder_lies_in_the_working_directory_with_a_manifest(tmp_path, folder):
    assert folder.path == tmp_path / ".molq" / "jobs" / "ours"
    assert json.loads((folder.path / "manifest.json").read_text()) == {
        "job_id": "ours", "uid": os.getuid(), "created_at": 5.0,
    }  # fmt: skip


def test_a_folder_lies_in_the_users_place_which_is_made(tmp_path):
    folder = JobFolder.create(JobPlace.choose(tmp_path / "a" / "b", tmp_path), "ours", 5.0)

    assert folder.path == tmp_path / "a" / "b" / "ours"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277, 0o777])
def test_nobody_else_may_enter_whatever_the_umask(tmp_path, umask):
    (tmp_path / ".molq" / "jobs").mkdir(parents=True)
    old = os.umask(umask)
    try:
        folder = JobFolder.create(JobPlace.choose(None, tmp_path), "ours", 5.0)
        script = folder.write("job.sh", b"", mode=0o700)
        secret = folder.write("environment", b"")
    finally:
        os.umask(old)

    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.path, script, secret)]
    assert modes == [0o700, 0o700, 0o600]


def test_a_folder_must_be_new(tmp_path, folder):
    with pytest.raises(ScriptError, match="File exists"):
        JobFolder.create(JobPlace.choose(None, tmp_path), "ours", 5.0)


@pytest.mark.parametrize("planted", [".molq", ".molq/jobs", ".molq/jobs/ours"])
def test_a_planted_link_is_refused(tmp_path, planted):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "work" / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)

    with pytest.raises(ScriptError):
        JobFolder.create(JobPlace.choose(None, tmp_path / "work"), "ours", 5.0)

    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
@pytest.mark.parametrize("planted", [".molq", ".molq/jobs"])
def test_a_folder_of_somebody_elses_is_refused(tmp_path, planted):
    (tmp_path / planted).mkdir(parents=True)
    os.chown(tmp_path / planted, 12345, -1)

    with pytest.raises(ScriptError, match="belongs to another user"):
        JobFolder.create(JobPlace.choose(None, tmp_path), "ours", 5.0)


def test_a_working_directory_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(ScriptError, match="gone' does not exist; make it, or give another") as caught:
        JobFolder.create(JobPlace.choose(None, tmp_path / "gone"), "ours", 5.0)

    assert caught.value.path == tmp_path / "gone"


def test_no_descriptor_is_left_open(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    before = os.listdir("/proc/self/fd")

    for place in (tmp_path, tmp_path / "gone"):
        for _ in range(3):
            try:
                JobFolder.create(JobPlace.choose(None, place), "ours", 5.0)
            except ScriptError:
                continue

    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_file_is_written_once_and_through_no_link(tmp_path, folder):
    (folder.path / "link").symlink_to(tmp_path / "target")
    folder.write("job.sh", b"first")

    for name in ("job.sh", "link"):
        with pytest.raises(FileExistsError):
            folder.write(name, b"second")

    assert (folder.path / "job.sh").read_bytes() == b"first"
    assert not (tmp_path / "target").exists()


def test_the_submit_lock_tells_whether_a_submission_is_under_way(folder):
    before = folder.submission_is_under_way()

    with folder.submit_lock() as descriptor:
        during = folder.submission_is_under_way()
        inherited = os.dup(descriptor)
    still = folder.submission_is_under_way()
    os.close(inherited)

    assert (before, during, still, folder.submission_is_under_way()) == (False, True, True, False)


@pytest.mark.parametrize("number", [35, 37, 95])
def test_a_file_system_without_locks_is_refused_with_a_sentence(folder, monkeypatch, number):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)

    with pytest.raises(ScriptError, match="cannot lock"), folder.submit_lock():
        pytest.fail("got the lock")


def test_an_error_within_the_lock_is_its_own(folder):
    with pytest.raises(OSError, match="mine"), folder.submit_lock():
        raise OSError("mine")

    assert not folder.submission_is_under_way()
