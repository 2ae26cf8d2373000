"""Cleaning up as users do it: by the API, and by the command line, which needs no scheduler for it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from molq import JobExecution, JobNotFoundError, JobState, JobStore, RetentionPolicy, Submitor
from molq.cli.output import size
from molq_slurm.testing import FakeSlurm

Molq = Callable[..., "subprocess.CompletedProcess[str]"]

DAY = 86_400.0


def _age(store: JobStore, job_id: str, days: float) -> None:
    """Have a job end so many days earlier."""
    with sqlite3.connect(store.path) as sqlite:
        sqlite.execute("UPDATE jobs SET finished_at = finished_at - ? WHERE job_id = ?", (days * DAY, job_id))
    sqlite.close()


def _run(submitor: Submitor, command: str, *, days: float) -> str:
    job_id = submitor.submit(command=command).wait().job_id
    _age(submitor._store, job_id, days)
    return job_id


def test_the_folder_goes_first_and_the_record_later(submitor: Submitor, store: JobStore):
    job_id = _run(submitor, "echo hello; mkdir -p $PWD/results; echo 42 >results/answer", days=31)
    job_dir = Path(submitor.get(job_id).job_dir)

    assert submitor.cleanup(dry_run=True) == {"job_dirs": [str(job_dir)], "records": []}
    assert job_dir.is_dir()
    assert submitor.cleanup() == {"job_dirs": [str(job_dir)], "records": []}
    assert not job_dir.exists()
    assert submitor.get(job_id).cleaned_at is not None
    assert Path("results/answer").read_text() == "42\n"

    _age(store, job_id, 60)
    assert submitor.cleanup() == {"job_dirs": [], "records": [job_id]}
    with pytest.raises(JobNotFoundError):
        submitor.get(job_id)


def test_folders_that_are_kept_for_longer_than_records_keep_the_records(
    molq: Molq, submitor: Submitor, store: JobStore
):
    job_id = _run(submitor, "true", days=100)

    reply = molq("cleanup", "--keep-job-dirs-days", "365")

    assert (reply.returncode, reply.stdout) == (0, "nothing to clean up\n")
    assert Path(submitor.get(job_id).job_dir).is_dir()
    _age(store, job_id, 300)
    assert "deleted 1 folder and 1 record" in molq("cleanup", "--keep-job-dirs-days", "365").stdout


def test_output_that_was_sent_elsewhere_stays(submitor: Submitor, store: JobStore):
    handle = submitor.submit(command="echo hello", execution=JobExecution(output_file="out.txt"))
    handle.wait()
    _age(store, handle.job_id, 100)

    assert submitor.cleanup()["records"] == [handle.job_id]
    assert Path("out.txt").read_text() == "hello\n"


def test_the_submitors_policy_is_the_default_and_another_may_be_given(store: JobStore):
    strict = Submitor("here", "local", store=store, retention_policy=RetentionPolicy(1, 2))
    _run(strict, "true", days=1.5)
    _run(strict, "false", days=1.5)

    assert strict.cleanup(retention_policy=RetentionPolicy()) == {"job_dirs": [], "records": []}
    assert len(strict.cleanup()["job_dirs"]) == 1
    assert len(strict.cleanup(retention_policy=RetentionPolicy(1, 2, keep_failed_job_dirs=False))["job_dirs"]) == 1


def test_a_running_job_and_other_clusters_are_left_alone(submitor: Submitor, store: JobStore):
    running = submitor.submit(command="sleep 60")
    other = _run(Submitor("there", "local", store=store), "true", days=100)
    everything = RetentionPolicy(0, 0, keep_failed_job_dirs=False)

    assert submitor.cleanup(retention_policy=everything) == {"job_dirs": [], "records": []}
    assert Path(submitor.get(running.job_id).job_dir).is_dir()
    assert Path(submitor.get(other).job_dir).is_dir()
    running.cancel()
    assert running.wait().state is JobState.CANCELLED
    assert submitor.cleanup(retention_policy=everything)["records"] == [running.job_id]


def test_the_neighbours_of_a_job_are_shown_without_those_that_are_gone(
    store: JobStore, fake_slurm: FakeSlurm, molq: Molq
):
    with Submitor("hpc", "slurm", store=store) as slurm:
        first, second = slurm.submit(argv=["true"]), slurm.submit(argv=["true"])
        third = slurm.submit(argv=["true"], after=[first.job_id, second.job_id])
        for handle in (first, second, third):
            fake_slurm.start(handle.scheduler_job_id)
            fake_slurm.finish(handle.scheduler_job_id, 0)
        slurm.watch()
        _age(store, first.job_id, 100)

        assert slurm.cleanup()["records"] == [first.job_id]
        assert {edge.dependency_job_id for edge in slurm.get_dependencies(third.job_id)} == {
            first.job_id,
            second.job_id,
        }
        preview = slurm.get_dependency_preview(third.job_id)

    assert [item.job_id for item in preview.upstream] == [second.job_id]
    assert (preview.upstream_total, preview.upstream_satisfied) == (1, 1)
    shown = molq("inspect", third.job_id)
    assert shown.returncode == 0
    assert first.job_id in shown.stdout


def test_the_command_tells_what_it_would_do_and_then_what_it_did(molq: Molq, submitor: Submitor):
    ids = [_run(submitor, "head -c 100000 /dev/zero", days=days) for days in (40, 100)]
    folders = [submitor.get(job_id).job_dir for job_id in ids]

    foretold, done, again = molq("cleanup", "--dry-run"), molq("cleanup"), molq("cleanup")

    listed = "".join(f"folder  {folder}\n" for folder in reversed(folders)) + f"record  {ids[1]}\n"
    assert foretold.stdout == f"{listed}would delete 2 folders and 1 record\n"
    assert done.stdout.startswith(f"{listed}deleted 2 folders and 1 record; freed ")
    assert done.stdout.endswith(" KiB\n")
    assert again.stdout == "nothing to clean up\n"
    assert [reply.returncode for reply in (foretold, done, again)] == [0, 0, 0]
    assert [reply.stderr for reply in (foretold, done, again)] == ["", "", ""]


def test_the_command_takes_a_policy_and_a_cluster_and_prints_json(molq: Molq, submitor: Submitor, store: JobStore):
    here = _run(submitor, "exit 1", days=5)
    _run(Submitor("there", "local", store=store), "true", days=5)
    folder = submitor.get(here).job_dir

    kept = molq("cleanup", "--cluster", "here", "--keep-job-dirs-days", "4", "--json")
    deleted = molq("cleanup", "-c", "here", "--keep-job-dirs-days", "4", "--delete-failed", "--json")
    records = molq("cleanup", "--keep-job-dirs-days", "0", "--keep-records-days", "0", "--json")

    assert json.loads(kept.stdout) == {"job_dirs": [], "records": [], "freed_bytes": 0}
    assert json.loads(deleted.stdout)["job_dirs"] == [folder]
    assert json.loads(deleted.stdout)["freed_bytes"] > 0
    assert len(json.loads(records.stdout)["records"]) == 2
    assert molq("list", "--all").stdout == "no jobs\n"


def test_a_cluster_that_nobody_knows_is_refused_with_those_that_there_are(molq: Molq, submitor: Submitor, home: Path):
    assert molq("cleanup", "-c", "typo").stderr.endswith("and no profile is for it; there is none yet\n")
    job_id = _run(submitor, "true", days=100)
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "config.toml").write_text('[profiles.lab]\nscheduler = "slurm"\n')
    (home / "config.toml").chmod(0o600)

    reply = molq("cleanup", "-c", "typo")

    assert (reply.returncode, reply.stdout) == (2, "")
    assert reply.stderr == (
        "molq: error: no job was submitted to a cluster 'typo', and no profile is for it; there are here, lab\n"
    )
    assert molq("cleanup", "-c", "lab").stdout == "nothing to clean up\n"
    assert job_id in molq("cleanup", "-c", "here").stdout


def test_the_command_needs_no_scheduler(submitor: Submitor, home: Path):
    _run(submitor, "true", days=100)
    hidden = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("molq_"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
from molq.cli.app import run
sys.exit(run(["cleanup"]))
"""

    reply = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)

    assert (reply.returncode, reply.stderr) == (0, "")
    assert "deleted 1 folder and 1 record" in reply.stdout


def test_the_log_of_a_job_whose_folder_is_gone_says_so(molq: Molq, submitor: Submitor):
    job_id = _run(submitor, "echo hello", days=40)
    molq("cleanup")

    reply = molq("logs", job_id)

    assert reply.returncode == 2
    assert "has no log" in reply.stderr
    assert "its folder was deleted by a cleanup on 20" in reply.stderr


def test_a_folder_that_is_left_alone_is_named_and_one_that_could_not_be_deleted_is_a_failure(
    molq: Molq, submitor: Submitor
):
    strange, stuck = _run(submitor, "true", days=40), _run(submitor, "true", days=40)
    (Path(submitor.get(strange).job_dir) / "manifest.json").write_text("{}")

    reply = molq("cleanup", "--json")
    assert reply.returncode == 0
    assert reply.stderr == (
        f"molq: the folder {submitor.get(strange).job_dir!r} is left alone: its manifest.json is that of job None\n"
    )
    assert json.loads(reply.stdout)["job_dirs"] == [submitor.get(stuck).job_dir]

    outer = _run(submitor, "true", days=40)
    inner = Submitor("inside", "local", store=submitor._store, jobs_dir=submitor.get(outer).job_dir)
    young = _run(inner, "true", days=0)
    reply = molq("cleanup")
    assert reply.returncode == 1
    assert f"could not be deleted: the folder of job {young} is in it" in reply.stderr


@pytest.mark.parametrize(
    "arguments", [("--keep-job-dirs-days", "-1"), ("--keep-records-days", "soon"), ("everything",)]
)
def test_misuse_of_the_command_is_one_sentence(molq: Molq, arguments: tuple[str, ...]):
    reply = molq("cleanup", *arguments)

    assert reply.returncode == 2
    assert reply.stderr.startswith("molq: error: ")
    assert reply.stderr.count("\n") == 1


def test_a_folder_with_an_odd_name_is_deleted_and_shown(
    molq: Molq, store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff \x1b[2J")
    submitor = Submitor("here", "local", store=store, jobs_dir=odd)
    jobs = [_run(submitor, "true", days=40) for _ in range(2)]
    one = submitor.get(jobs[0]).job_dir

    foretold = molq("cleanup", "--dry-run", "--json")
    reply = molq("cleanup")

    assert one in json.loads(foretold.stdout)["job_dirs"]
    assert reply.returncode == 0, reply.stderr
    assert "\x1b" not in reply.stdout
    assert "\\udcff \\x1b[2J" in reply.stdout
    assert os.listdir(odd) == []


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (4300, "4.2 KiB"), (102_400, "100 KiB"), (5 << 40, "5.0 TiB"),
     (1 << 60, "1048576 TiB")],
)  # fmt: skip
def test_sizes_are_short(count: int, shown: str):
    assert size(count) == shown


def test_a_cluster_is_cleaned_up_as_its_profile_says(molq: Molq, submitor: Submitor, home: Path):
    job = submitor.submit(command="true")
    job.wait(30)
    config = home / "config.toml"
    config.write_text(
        '[profiles.mine]\nscheduler = "gone"\ncluster_name = "here"\nretention.keep_job_dirs_for_days = 0\n'
    )
    config.chmod(0o600)

    reply = molq("cleanup", "--dry-run", "--json")

    assert json.loads(reply.stdout)["job_dirs"] == [submitor.get(job.job_id).job_dir]
    assert json.loads(molq("cleanup", "--dry-run", "--json", "--keep-job-dirs-days", "1").stdout)["job_dirs"] == []


def test_nothing_is_deleted_by_a_retention_that_cannot_be_read(molq: Molq, submitor: Submitor, home: Path):
    job = submitor.submit(command="true")
    job.wait(30)
    config = home / "config.toml"
    config.write_text('[profiles.here]\nscheduler = "local"\nretention.keep_job_dirs_for_days = "long"\n')
    config.chmod(0o600)

    reply = molq("cleanup", "--keep-records-days", "0")

    assert reply.returncode == 2
    assert "profiles.here.retention.keep_job_dirs_for_days" in reply.stderr
    assert Path(submitor.get(job.job_id).job_dir).is_dir()
