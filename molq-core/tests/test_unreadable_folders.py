"""A job's folder that cannot be read tells nothing: neither that a job has ended, nor that it has not."""

from __future__ import annotations

import builtins
import errno
import io
import os
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from molq.attempts import plan_by_hand
from molq.backend import ElementReport, SubmitUnconfirmed
from molq.errors import ScriptError
from molq.job_folder import JobFolder
from molq.job_state import JobState
from molq.policies import RetryBackoff, RetryPolicy

TWICE = RetryPolicy(max_attempts=2, backoff=RetryBackoff("fixed", 10.0))


@contextmanager
def unreadable(folder, number=errno.EIO):
    """Let nothing below a folder be opened or looked at, as when a disk or a file server fails."""

    def failing(real):
        def call(path, *rest, **more):
            if str(path).startswith(str(folder)):
                raise OSError(number, os.strerror(number), str(path))
            return real(path, *rest, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "stat", "lstat", "listdir", "readlink"):
            patch.setattr(os, name, failing(getattr(os, name)))
        for module in (builtins, io):
            patch.setattr(module, "open", failing(open))
        yield


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE])
def test_a_job_is_not_lost_while_its_folder_cannot_be_read(cluster, number):
    job = cluster.submit()
    cluster.refresh()
    cluster.start(job)
    cluster.look()
    cluster.end(job, 0)
    cluster.forget(job)

    with unreadable(job.job_dir, number):
        for _ in range(5):
            cluster.clock.turn(60)
            cluster.refresh()
        meanwhile = cluster.state(job)
    cluster.refresh()

    assert (meanwhile, cluster.state(job)) == (JobState.RUNNING, JobState.SUCCEEDED)


def test_an_array_is_not_lost_while_its_folder_cannot_be_read(cluster):
    job = cluster.submit(array_spec="0-1")
    cluster.say(job, JobState.RUNNING, elements=(ElementReport(index=0, native_state="R", state=JobState.RUNNING),))
    cluster.refresh()
    for index in (0, 1):
        cluster.end(job, 0, element=index)
    cluster.forget(job)

    with unreadable(job.job_dir):
        for _ in range(5):
            cluster.clock.turn(60)
            cluster.refresh()
        meanwhile = cluster.state(job)
    cluster.refresh()

    assert (meanwhile, cluster.state(job)) == (JobState.RUNNING, JobState.SUCCEEDED)


@pytest.mark.parametrize("parts", [{}, {"array_spec": "0-1"}], ids=["job", "array"])
@pytest.mark.parametrize(("is_cancelled", "end"), [(False, JobState.LOST), (True, JobState.CANCELLED)])
def test_a_job_whose_folder_stays_unreadable_ends_after_a_day(cluster, parts, is_cancelled, end):
    job = cluster.submit(**parts)
    cluster.refresh()
    if is_cancelled:
        cluster.scheduler.cancels_slowly = True
        cluster.cancel(job.job_id)
    cluster.forget(job)
    states = []

    with unreadable(job.job_dir):
        for _ in range(24 * 120 + 2):
            cluster.refresh()
            states.append(cluster.state(job))
            cluster.clock.turn(30)

    assert (states[-3].is_terminal, states[-1]) == (False, end)
    assert end is JobState.CANCELLED or parts or "folder cannot be read" in cluster.record(job).failure_reason


def test_a_success_is_not_taken_for_a_cancel_while_its_folder_cannot_be_read(cluster):
    job = cluster.submit()
    cluster.refresh()
    cluster.start(job)
    cluster.look()
    cluster.scheduler.cancels_slowly = True
    cluster.cancel(job.job_id)
    cluster.end(job, 0)
    cluster.forget(job)

    with unreadable(job.job_dir):
        cluster.refresh()
    cluster.refresh()

    assert cluster.state(job) is JobState.SUCCEEDED


def test_what_the_scheduler_says_counts_without_the_folder(cluster):
    job = cluster.submit()
    cluster.say(job, JobState.FAILED, exit_code=3)

    with unreadable(job.job_dir):
        cluster.refresh()

    assert (cluster.state(job), cluster.record(job).exit_code) == (JobState.FAILED, 3)


def test_a_submission_is_not_given_up_by_a_process_that_cannot_see_whether_it_is_under_way(cluster):
    def molq_read_submit_reply(reply):
        raise SubmitUnconfirmed("?")

    cluster = attrs.evolve(cluster, backend=cluster.scheduler.backend(molq_read_submit_reply=molq_read_submit_reply))

    def look_from_elsewhere(request):
        cluster.clock.turn(70)
        with unreadable(request.job_dir, errno.EMFILE):
            cluster.another_process().poller.refresh()

    cluster.scheduler.on_submit = look_from_elsewhere
    job = cluster.submit()
    cluster.say(job, JobState.RUNNING)
    cluster.refresh()

    assert cluster.state(job) is JobState.RUNNING


def test_one_folder_that_cannot_be_read_hinders_no_other_job(cluster, caplog):
    cluster.scheduler.is_down = True
    orphan = cluster.submit()
    cluster.scheduler.is_down = False
    other = cluster.submit()
    cluster.say(other, JobState.RUNNING)

    poller = cluster.poller
    with unreadable(orphan.job_dir, errno.ESTALE):
        poller.refresh()
        poller.refresh()

    assert caplog.text.count(f"what became of the submission of job {orphan.job_id}") == 1
    assert (cluster.state(other), cluster.state(orphan)) == (JobState.RUNNING, JobState.CREATED)


def ready_for_its_second_attempt(cluster, **parts):
    job = cluster.submit(retry=TWICE, **parts)
    cluster.refresh()
    cluster.start(job)
    cluster.end(job, 3)
    cluster.say(job, JobState.FAILED, exit_code=3)
    cluster.refresh()
    cluster.clock.turn(11)
    return job


@pytest.mark.parametrize("name", ["submitter.environ", "environment"])
def test_an_attempt_waits_while_its_variables_cannot_be_read(cluster, name):
    job = ready_for_its_second_attempt(cluster, env={"A": "1"})

    with unreadable(Path(job.job_dir) / name):
        cluster.keep_up()
    meanwhile = cluster.latest(job)
    cluster.clock.turn(31)
    cluster.keep_up()

    assert (meanwhile.state, "Input/output error" in meanwhile.reason) == (JobState.CREATED, True)
    assert cluster.latest(job).state is JobState.SUBMITTED


def test_a_script_that_cannot_be_read_is_not_said_to_be_gone(cluster):
    job = cluster.submit(command="exit 0")
    cluster.say(job, JobState.FAILED, exit_code=3)
    cluster.refresh()

    with unreadable(job.job_dir), pytest.raises(ScriptError, match=r"cannot be tried again now: .*Input/output error"):
        plan_by_hand(cluster.store, job.job_id, cluster.clock())

    assert plan_by_hand(cluster.store, job.job_id, cluster.clock())


def test_an_attempt_in_a_working_directory_that_cannot_be_looked_at_hinders_no_other(cluster):
    first, second = ready_for_its_second_attempt(cluster, command="exit 3"), ready_for_its_second_attempt(cluster)
    (Path(first.job_dir) / "payload").unlink()

    with pytest.MonkeyPatch.context() as patch:
        real = os.stat
        patch.setattr(os, "stat", lambda path, **more: refuse() if path == str(cluster.folder) else real(path, **more))
        cluster.keep_up()

    assert cluster.latest(second).state is JobState.SUBMITTED


def refuse():
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_folder_that_was_made_in_part_gets_its_manifest(cluster):
    job = ready_for_its_second_attempt(cluster)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JobFolder, "write", lambda *_, **__: fail_with(errno.ENOSPC))
        cluster.keep_up()
    meanwhile = cluster.latest(job).state
    Path(cluster.latest(job).job_dir).mkdir(exist_ok=True)

    cluster.clock.turn(40)
    cluster.keep_up()

    assert (meanwhile, cluster.latest(job).state) == (JobState.CREATED, JobState.SUBMITTED)
    assert (Path(cluster.latest(job).job_dir) / "manifest.json").exists()


def fail_with(number):
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("what", ["lock", "manifest"])
def test_a_submission_that_cannot_use_its_folder_leaves_none_behind(cluster, monkeypatch, what):
    if what == "lock":
        monkeypatch.setattr("fcntl.flock", lambda *_: fail_with(errno.ENOLCK))
    else:
        monkeypatch.setattr(JobFolder, "write", lambda *_, **__: fail_with(errno.ENOSPC))

    with pytest.raises(Exception, match=r"No (locks|space)"):
        cluster.submit()

    assert list((cluster.folder / ".molq" / "jobs").iterdir()) == []
