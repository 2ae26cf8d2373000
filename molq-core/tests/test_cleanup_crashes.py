"""A cleanup may be killed at any system call: the next one does what is left, and nothing else is ever touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from molq.cleanup import clean_up
from molq.folder_removal import ASIDE
from molq.job_state import JobState
from molq.policies import RetentionPolicy
from molq.store import JobStore

NOON = 1_750_000_000.0

_CLEANING = """
import sys
from molq.cleanup import clean_up
from molq.policies import RetentionPolicy
from molq.store import JobStore
store = JobStore(sys.argv[1])
print("ready", flush=True)
clean_up(store, RetentionPolicy(), float(sys.argv[2]))
"""

# Both wait until the other is there too; each dies before what it would do next after some steps.
_CLEANING_BESIDE_ANOTHER = """
import os, signal, sys
steps = int(sys.argv[3])
def step(event, _):
    global steps
    if event in ("os.rename", "os.remove", "os.rmdir"):
        steps -= 1
        if steps < 0:
            os.kill(os.getpid(), signal.SIGKILL)
from molq.cleanup import clean_up
from molq.policies import RetentionPolicy
from molq.store import JobStore
store = JobStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
sys.addaudithook(step)
clean_up(store, RetentionPolicy(), float(sys.argv[2]))
"""

# All that change files, and those that look at a job's folder.
_CHANGING = (
    "rename,renameat,renameat2,unlink,unlinkat,rmdir,fchmod,chmod,fchmodat,flock,fcntl,ftruncate,write,pwrite64,fsync,"
    "fdatasync,getdents64"
)


def _facts(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and not path.is_symlink()}


def _assert_sound(store: JobStore, folders: set[str], expected: set[str]) -> None:
    """Check what holds after any death: what is said to be clean is gone, and what must stay is whole."""
    records = {record.job_id: record for record in store.jobs(include_terminal=True)}
    for record in records.values():
        if record.cleaned_at is not None:
            assert not {record.job_id, record.job_id + ASIDE} & folders
    for name in folders:
        assert name.removesuffix(ASIDE) in records, "a folder has lost its record"
    assert expected <= records.keys()
    assert expected <= folders


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_cleanup_killed_at_each_system_call_is_finished_by_the_next(history, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    active, failed, young = history.job(JobState.RUNNING), history.job(JobState.FAILED, age=40), history.job(age=3)
    old, gone = history.job(age=40), history.job(age=41, with_folder=False)
    ancient = history.job(JobState.FAILED, age=100)
    retried = history.retry(ancient, age=95)
    inner = Path(old.job_dir) / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "link").symlink_to(outside)
    os.link(outside / "file", inner / "hard")
    staying = {active.job_id, failed.job_id, young.job_id}
    history.store.close()
    past = tmp_path / "past"
    past.mkdir()
    for name in ("home", "project"):
        shutil.copytree(tmp_path / name, past / name, symlinks=True)
    whole = {name: content for name, content in _facts(history.cwd).items() if any(job in name for job in staying)}

    deaths, code = 0, -1
    for number in range(1, 500):
        for name in ("home", "project"):
            shutil.rmtree(tmp_path / name)
            shutil.copytree(past / name, tmp_path / name, symlinks=True)
        tracer = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={_CHANGING}"]
        killer = ["-e", f"inject={_CHANGING}:signal=KILL:when={number}"]
        command = [*tracer, *killer, sys.executable, "-c", _CLEANING, str(history.store.path), str(NOON)]
        code = subprocess.run(command, capture_output=True, check=False).returncode
        store = JobStore(history.store.path)
        _assert_sound(store, history.folders(), staying)

        clean_up(store, RetentionPolicy(), NOON + 1)

        assert history.folders() == staying
        records = {record.job_id: record.cleaned_at for record in store.jobs(include_terminal=True)}
        store.close()
        assert records.keys() == staying | {old.job_id, gone.job_id}
        assert None not in (records[old.job_id], records[gone.job_id])
        assert retried.job_id not in records
        assert (outside / "file").read_text() == "precious"
        assert _facts(history.cwd) == whole
        if code == 0:
            break
        deaths += 1

    assert code == 0
    assert deaths > 40


def test_cleanups_killed_at_some_step_beside_each_other_are_finished_by_the_next(history):
    staying = {history.job(JobState.FAILED, age=40).job_id, history.job(JobState.QUEUED).job_id}
    for number in range(300):
        job = history.job(age=50 + number % 50)
        (Path(job.job_dir) / "a" / "b" / "c").mkdir(parents=True)
    command = [sys.executable, "-c", _CLEANING_BESIDE_ANOTHER, str(history.store.path), str(NOON)]

    for steps in ((7 * number, 11 * number + 3) for number in range(10)):
        pair = [
            subprocess.Popen(
                [*command, str(few)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for few in steps
        ]
        for process in pair:
            process.stdout.readline()
        for process in pair:
            process.stdin.write(b"go\n")
            process.stdin.flush()
        assert [(process.communicate()[1], process.returncode) for process in pair] == [(b"", -9), (b"", -9)]
        _assert_sound(history.store, history.folders(), staying)
    assert len(history.folders()) > len(staying), "there was too little to do for all these deaths"
    clean_up(history.store, RetentionPolicy(), NOON + 1)

    assert history.folders() == staying
    records = [record for record in history.store.jobs(include_terminal=True) if record.job_id not in staying]
    assert len(records) == 240
    assert all(record.cleaned_at is not None for record in records)
