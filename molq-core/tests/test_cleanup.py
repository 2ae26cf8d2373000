"""A cleanup deletes what may go, tells what it deleted, and hurts nothing else, whoever else is at work."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from molq.cleanup import Cleanup, clean_up
from molq.errors import JobNotFoundError, StoreError
from molq.folder_removal import ASIDE
from molq.job_state import JobState
from molq.policies import RetentionPolicy
from molq.store import JobStore

NOON = 1_750_000_000.0
POLICY = RetentionPolicy()


def candidates(history, until=NOON):
    """Return the families as a cleanup would read them now."""
    pages = history.store.retention.ended_families("c", "memory", cleaned=False, until=until, now=NOON)
    return [family for page in pages for family in page]


def test_a_folder_goes_after_30_days_and_its_record_says_when(history):
    old, young = history.job(age=31), history.job(age=29)

    cleaned = clean_up(history.store, POLICY, NOON)

    assert (cleaned.job_dirs, cleaned.records, cleaned.kept) == ([old.job_dir], [], [])
    assert history.folders() == {young.job_id}
    assert history.store.job(old.job_id).cleaned_at == NOON
    assert history.store.job(young.job_id).cleaned_at is None


def test_a_record_goes_after_90_days_with_its_folder_and_all_that_was_said_of_it(history):
    upstream = history.job(age=120)
    old = history.job(age=100, after=[upstream.job_id])

    cleaned = clean_up(history.store, POLICY, NOON)

    assert sorted(cleaned.records) == sorted([upstream.job_id, old.job_id])
    assert (history.folders(), history.ids()) == (set(), set())
    assert history.store.transitions(old.job_id) == []
    assert history.store.dependencies(old.job_id) == []
    with pytest.raises(JobNotFoundError):
        history.store.request(old.job_id)


def test_only_what_another_is_kept_for_stays(history):
    kept = [history.job(state, age=40) for state in (JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT)]
    history.job(age=40)

    clean_up(history.store, POLICY, NOON)
    assert history.folders() == {job.job_id for job in kept}

    clean_up(history.store, attrs.evolve(POLICY, keep_failed_job_dirs=False), NOON)
    assert history.folders() == set()


def test_a_dry_run_tells_the_same_and_does_nothing(history):
    retried = history.job(JobState.FAILED, age=100)
    history.retry(retried, age=95)
    history.job(age=40)
    history.job(age=50, with_folder=False)
    onlooker = JobStore(history.store.path)
    before = onlooker.data_version(), sorted(os.walk(history.cwd))

    foretold = clean_up(history.store, POLICY, NOON, dry_run=True)

    assert (onlooker.data_version(), sorted(os.walk(history.cwd))) == before
    onlooker.close()
    done = clean_up(history.store, POLICY, NOON)
    assert (sorted(foretold.job_dirs), foretold.records) == (sorted(done.job_dirs), done.records)
    assert (len(done.job_dirs), len(done.records)) == (3, 2)


def test_a_second_cleanup_finds_nothing_left_to_do(history):
    history.job(age=40)
    clean_up(history.store, POLICY, NOON)

    again = clean_up(history.store, POLICY, NOON + 1)

    assert (again.job_dirs, again.records) == ([], [])
    (record,) = history.store.jobs(include_terminal=True)
    assert record.cleaned_at == NOON


def test_only_the_clusters_own_jobs_are_cleaned(history):
    own = history.job(age=40)
    other = history.job(age=40, cluster_name="d")
    namesake = history.job(age=40, scheduler="slurm")

    cleaned = clean_up(history.store, POLICY, NOON, cluster_name="c", scheduler="memory")
    assert cleaned.job_dirs == [own.job_dir]

    cleaned = clean_up(history.store, POLICY, NOON, cluster_name="c")
    assert cleaned.job_dirs == [namesake.job_dir]

    cleaned = clean_up(history.store, POLICY, NOON)
    assert cleaned.job_dirs == [other.job_dir]


def test_a_folder_that_is_gone_already_is_recorded_and_not_listed(history):
    job = history.job(age=40, with_folder=False)

    cleaned = clean_up(history.store, POLICY, NOON)

    assert cleaned.job_dirs == []
    assert history.store.job(job.job_id).cleaned_at == NOON


@pytest.mark.parametrize("gone", [".molq", ".molq/jobs"])
def test_folders_that_somebody_deleted_with_molqs_own_are_recorded_as_gone(history, gone):
    job = history.job(age=40)
    shutil.rmtree(history.cwd / gone)

    clean_up(history.store, POLICY, NOON)

    assert history.store.job(job.job_id).cleaned_at == NOON


def test_a_folder_that_is_only_out_of_sight_is_not_said_to_be_gone(history, tmp_path):
    near, far = history.job(age=40), history.job(age=40, jobs_dir=tmp_path / "scratch")
    history.cwd.rename(tmp_path / "away")
    (tmp_path / "scratch").rename(tmp_path / "unmounted")

    clean_up(history.store, POLICY, NOON)
    assert [history.store.job(job.job_id).cleaned_at for job in (near, far)] == [None, None]

    (tmp_path / "away").rename(history.cwd)
    (tmp_path / "unmounted").rename(tmp_path / "scratch")
    cleaned = clean_up(history.store, POLICY, NOON)
    assert sorted(cleaned.job_dirs) == sorted([near.job_dir, far.job_dir])


def test_records_go_even_if_their_folders_are_out_of_sight(history):
    history.job(age=100)
    shutil.rmtree(history.cwd)

    assert len(clean_up(history.store, POLICY, NOON).records) == 1


def test_a_folder_that_is_not_the_jobs_is_left_alone_and_the_others_go(history, caplog):
    odd, good = history.job(age=40), history.job(age=40)
    (Path(odd.job_dir) / "manifest.json").unlink()

    cleaned = clean_up(history.store, POLICY, NOON)

    assert cleaned.job_dirs == [good.job_dir]
    assert history.folders() == {odd.job_id}
    assert history.store.job(odd.job_id).cleaned_at is None
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.name == "molq"
    assert warning.getMessage() == f"the folder {odd.job_dir!r} is left alone: it has no manifest.json by molq"


def test_the_record_of_a_job_whose_folder_must_be_left_alone_goes_all_the_same(history):
    odd = history.job(age=100)
    (Path(odd.job_dir) / "manifest.json").unlink()

    assert clean_up(history.store, POLICY, NOON).records == [odd.job_id]
    assert history.folders() == {odd.job_id}


def test_the_record_of_a_job_whose_folder_could_not_be_deleted_stays_for_the_next_cleanup(history):
    outer = history.job(age=100)
    inner = history.job(JobState.RUNNING, jobs_dir=Path(outer.job_dir) / "work")

    cleaned = clean_up(history.store, POLICY, NOON)
    assert (cleaned.job_dirs, cleaned.records) == ([], [])
    assert cleaned.kept == [
        f"the folder {outer.job_dir!r} could not be deleted: the folder of job {inner.job_id} is in it"
    ]
    assert (Path(inner.job_dir) / "stdout.log").exists()

    history.become(history.store.tracked_job(inner.job_id), JobState.SUCCEEDED, NOON)
    for now in (NOON + 40 * 86_400, NOON + 41 * 86_400):
        clean_up(history.store, POLICY, now)
    assert not Path(outer.job_dir).exists()


@pytest.mark.parametrize("field", ["cwd", "stdout_path", "stderr_path"])
@pytest.mark.parametrize("below", [".", "results/deep"])
def test_a_folder_in_which_an_active_job_works_or_writes_stays(history, tmp_path, field, below):
    used, like_it = history.job(age=100), history.job(age=100)
    path = os.path.normpath(os.path.join(used.job_dir, below))
    active = history.job(JobState.RUNNING, jobs_dir=tmp_path / "elsewhere", cluster_name="d", **{field: path})
    history.job(JobState.RUNNING, jobs_dir=tmp_path / "elsewhere", cluster_name="d", **{field: like_it.job_dir + "x"})

    assert clean_up(history.store, POLICY, NOON, dry_run=True).job_dirs == [like_it.job_dir]
    assert clean_up(history.store, POLICY, NOON).job_dirs == [like_it.job_dir]
    history.become(history.store.tracked_job(active.job_id), JobState.SUCCEEDED, NOON)
    assert clean_up(history.store, POLICY, NOON).job_dirs == [used.job_dir]


def test_all_attempts_go_together_and_only_when_the_last_is_old(history):
    first = history.job(JobState.FAILED, age=200)
    second = history.retry(first, JobState.RUNNING, age=0)

    assert clean_up(history.store, POLICY, NOON).job_dirs == []

    history.become(history.store.tracked_job(second.job_id), JobState.SUCCEEDED, NOON)
    assert clean_up(history.store, POLICY, NOON + 29 * 86_400).job_dirs == []
    assert clean_up(history.store, POLICY, NOON + 30 * 86_400).job_dirs == [second.job_dir, first.job_dir]
    assert sorted(clean_up(history.store, POLICY, NOON + 90 * 86_400).records) == sorted([first.job_id, second.job_id])


@pytest.mark.parametrize("waits_for", ["root", "attempt"])
@pytest.mark.parametrize("waits_by", ["itself", "its retry"])
def test_a_job_stays_while_an_active_one_depends_on_it(history, waits_for, waits_by):
    root = history.job(JobState.FAILED, age=200)
    latest = history.retry(root, age=150)
    upstream = root if waits_for == "root" else latest
    first = JobState.QUEUED if waits_by == "itself" else JobState.FAILED
    dependant = history.job(first, age=100, after=[upstream.job_id])
    if waits_by == "its retry":
        history.retry(dependant, JobState.CREATED, age=0)

    cleaned = clean_up(history.store, POLICY, NOON)

    assert (cleaned.job_dirs, cleaned.records) == ([], [])
    assert {root.job_id, latest.job_id} <= history.folders()


def test_a_job_stays_while_one_that_was_lost_of_late_depends_on_it(history):
    upstream = history.job(age=200)
    history.job(JobState.LOST, age=6, after=[upstream.job_id])

    assert clean_up(history.store, POLICY, NOON).records == []
    assert clean_up(history.store, POLICY, NOON + 86_400).records == [upstream.job_id]


def test_a_retry_that_was_recorded_after_the_look_keeps_the_folder(history):
    job = history.job(age=40)
    read = candidates(history)
    other = JobStore(history.store.path)
    attrs.evolve(history, store=other).retry(job, JobState.CREATED, age=0)
    other.close()

    cleanup = Cleanup(store=history.store, policy=POLICY, now=NOON)
    cleanup.clean(read)

    assert cleanup.cleaned.job_dirs == []
    assert (Path(job.job_dir) / "stdout.log").read_text() == "hello"
    assert history.store.job(job.job_id).cleaned_at is None


def test_a_dependant_that_was_recorded_after_the_look_keeps_the_folder_and_the_record(history):
    job = history.job(age=100)
    read = candidates(history)
    history.job(JobState.QUEUED, after=[job.job_id])

    cleanup = Cleanup(store=history.store, policy=POLICY, now=NOON)
    cleanup.clean(read)

    assert (cleanup.cleaned.job_dirs, cleanup.cleaned.records) == ([], [])
    assert job.job_id in history.folders() & history.ids()


def test_a_cleanup_that_comes_late_to_what_another_has_cleaned_lists_nothing(history):
    history.job(age=100), history.job(age=40)
    read = candidates(history)
    clean_up(history.store, POLICY, NOON)

    late = Cleanup(store=history.store, policy=POLICY, now=NOON + 1)
    late.clean(read)

    assert (late.cleaned.job_dirs, late.cleaned.records, late.cleaned.kept) == ([], [], [])
    (left,) = history.store.jobs(include_terminal=True)
    assert left.cleaned_at == NOON


_CLEANING = """
import sys
from molq.cleanup import clean_up
from molq.policies import RetentionPolicy
from molq.store import JobStore
store = JobStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
cleaned = clean_up(store, RetentionPolicy(), float(sys.argv[2]))
print(len(cleaned.job_dirs), len(cleaned.records), len(cleaned.kept))
"""


def test_four_cleanups_at_once_delete_each_thing_once(history):
    for number in range(60):
        job = history.job(age=40 + number)
        (Path(job.job_dir) / "deep" / "er").mkdir(parents=True)
    command = [sys.executable, "-c", _CLEANING, str(history.store.path), str(NOON)]
    processes = [subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()

    told = [process.communicate() for process in processes]

    assert [error for _, error in told] == [""] * 4
    folders, records, kept = (sum(int(reply.split()[i]) for reply, _ in told) for i in range(3))
    assert (folders, records, kept) == (60, 10, 0)
    clean_up(history.store, POLICY, NOON)
    assert history.folders() == set()
    left = history.store.jobs(include_terminal=True)
    assert len(left) == 50
    assert all(record.cleaned_at is not None for record in left)


def test_what_a_killed_cleanup_left_is_finished_by_the_next(history):
    job = history.job(age=40)
    os.rename(job.job_dir, job.job_dir + ASIDE)
    (Path(job.job_dir + ASIDE) / "stdout.log").unlink()

    cleaned = clean_up(history.store, POLICY, NOON)

    assert cleaned.job_dirs == [job.job_dir]
    assert history.folders() == set()


def test_a_store_that_cannot_be_written_stops_the_cleanup_before_it_deletes(history):
    job = history.job(age=40)
    impatient = JobStore(history.store.path, busy_seconds=0.05)
    with history.store._connection.writing(), pytest.raises(StoreError, match="is locked"):
        clean_up(impatient, POLICY, NOON)
    impatient.close()

    assert history.folders() == {job.job_id}


def test_a_family_with_a_row_that_cannot_be_read_stays_and_the_others_go(history, caplog):
    retried, good = history.job(age=100), history.job(age=100)
    odd = history.retry(retried, age=95)
    with history.store._connection.writing() as sqlite:
        sqlite.execute("UPDATE jobs SET state = 'dreaming' WHERE job_id = ?", (odd.job_id,))

    cleaned = clean_up(history.store, POLICY, NOON)

    assert cleaned.records == [good.job_id]
    assert history.folders() == {retried.job_id, odd.job_id}
    assert "its state is 'dreaming'" in caplog.text


@pytest.mark.parametrize("job_dir", ["/", "/etc", "", ".", "/tmp/..", "relative/{id}", "/nowhere/../{id}/", "{id}"])
def test_a_row_that_names_some_other_folder_harms_none(history, tmp_path, job_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = history.job(age=100, job_dir=job_dir)
    with history.store._connection.writing() as sqlite:
        sqlite.execute("UPDATE jobs SET job_dir = ?", (job_dir.replace("{id}", job.job_id),))

    cleaned = clean_up(history.store, POLICY, NOON)

    assert cleaned.job_dirs == []
    assert history.folders() == {job.job_id}
