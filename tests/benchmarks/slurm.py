"""Slurm: submitting, waiting and polling, against what Slurm's own programs take.

Brings up a real Slurm of its own (about two minutes in all); ``SLURM_LAB_PORT`` moves it to other ports.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from timing import beside_floor, command, row

from molq import JobExecution, JobScheduling, JobStore, SlurmSchedulerOptions, Submitor
from molq_slurm.testing import FakeSlurm

_TESTS = Path(__file__).parents[2] / "molq-slurm" / "tests"
_MOLQ = str(Path(sys.executable).with_name("molq"))
_CLOSED = JobScheduling(queue="low")
"""A partition that takes jobs and runs none."""

_PORT = "18600"
"""The first of the ports of the benchmark's own Slurm; those of the tests' begin above 20000."""

_COUNTED = ("squeue", "sacct", "scontrol")
_COUNTING = """\
#!/bin/sh
echo "$0" >>{log}
exec {program} "$@"
"""


@contextlib.contextmanager
def _real_slurm() -> Iterator[None]:
    """Bring up a real Slurm that can run all the jobs that are awaited at once."""
    with tempfile.TemporaryDirectory() as folder:
        size = {"SLURM_LAB_CPUS": "64", "SLURM_LAB_MAX_JOBS": "50000"}
        lab = {**os.environ, **size, "SLURM_LAB_DIR": folder, "SLURM_LAB_PORT": _PORT}
        up = ["bash", str(_TESTS / "slurm_lab" / "up")]
        down = ["bash", str(_TESTS / "slurm_lab" / "down"), "--purge"]
        try:
            subprocess.run(up, env=lab, check=True, capture_output=True)
            os.environ["SLURM_CONF"] = str(Path(folder) / "etc" / "slurm.conf")
            subprocess.run(["scontrol", "update", f"partition={_CLOSED.queue}", "state=down"], check=True)
            yield
        finally:
            os.environ.pop("SLURM_CONF", None)
            subprocess.run(down, env=lab, check=True, capture_output=True)


@contextlib.contextmanager
def _submitor(options: SlurmSchedulerOptions | None = None) -> Iterator[Submitor]:
    """Give a Submitor with a store of its own on disk; cancel what it leaves behind."""
    # Jobs that are being cancelled may still write into their folders.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        base = Path(folder)
        store = JobStore(base / "jobs.db")
        yield Submitor("benchmark", "slurm", scheduler_options=options, store=store, jobs_dir=base / "jobs")
        subprocess.run(["scancel", "--me"], check=True)
        store.close()


def _submission() -> None:
    with _submitor() as submitor:
        script = Path(submitor.get(submitor.submit(argv=["true"], scheduling=_CLOSED).job_id).job_dir) / "job.sh"
        floor = command(["sbatch", "--parsable", str(script)])
        beside_floor(
            "API submission to Slurm",
            lambda: submitor.submit(argv=["true"], scheduling=_CLOSED),
            floor,
            rounds=100,
            goal="1.35x -> 1.15x",
        )
        molq = command(
            [_MOLQ, "submit", "slurm", "--queue", "low", "--cwd", str(script.parent), "--", "true"],
            {**os.environ, "MOLQ_HOME": str(script.parent)},
        )
        beside_floor("command line's submission to Slurm", molq, floor, goal="14x -> 11x")


def _lateness(rounds: int = 20) -> None:
    late = []
    with _submitor() as submitor, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            mark = Path(folder) / str(number)
            job = submitor.submit(
                command=f"sleep {number % 4}.{number % 7}; date +%s.%N >{mark}", execution=JobExecution(cwd=folder)
            )
            job.wait()
            late.append(time.time() - float(mark.read_text()))
    row(
        "wait() returns late by, Slurm (median)",
        f"{statistics.median(late) * 1e3:.1f} ms",
        "5.0 ms",
        "",
        "150 -> 50 ms",
    )
    row("  at worst", f"{max(late) * 1e3:.1f} ms", "", "", "500 -> 100 ms")


def _commands_while_waiting(jobs: int = 100, waiters: int = 10) -> None:
    counts = []
    for count in (1, waiters):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            with _submitor(_counting(Path(folder), log)) as submitor:
                ids = [submitor.submit(argv=["sleep", "10"]).job_id for _ in range(jobs)]
                environment = {**os.environ, "MOLQ_HOME": str(submitor._store.path.parent)}
                waiting = [
                    subprocess.Popen([_MOLQ, "watch", *ids], env=environment, stdout=subprocess.DEVNULL)
                    for _ in range(count)
                ]
                assert not any(process.wait() for process in waiting)
                counts.append(len(log.read_text().splitlines()))
    one, many = counts
    row(f"scheduler commands while {jobs} jobs of 10 s run", str(one), "", "", "3 -> 2")
    row(f"  with {waiters} processes waiting", str(many), str(one), f"{many / one:.2f}x", "1.3x -> 1.0x")


def _counting(folder: Path, log: Path) -> SlurmSchedulerOptions:
    """Return options by which each question to Slurm is noted in ``log``."""
    for name in _COUNTED:
        found = subprocess.run(["which", name], check=True, capture_output=True, text=True).stdout.strip()
        wrapper = folder / name
        wrapper.write_text(_COUNTING.format(log=log, program=found))
        wrapper.chmod(0o755)
    return SlurmSchedulerOptions(**{f"{name}_path": str(folder / name) for name in _COUNTED})


def _refreshing_waiting_jobs(count: int = 2_000) -> None:
    with _submitor() as submitor:
        for _ in range(count):
            submitor.submit(argv=["true"], scheduling=_CLOSED)
        _refreshing(submitor, f"refresh of {count} waiting jobs, real Slurm", ["squeue", "--me"])


def _refreshing_fake_jobs(count: int = 10_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fake = FakeSlurm(Path(folder))
        store = JobStore(Path(folder) / "jobs.db")
        submitor = Submitor(
            "benchmark", "slurm", scheduler_options=fake.options, store=store, jobs_dir=Path(folder) / "jobs"
        )
        submitor.submit(argv=["true"])
        fake.start("1")
        submitor.refresh()
        _multiply(count, store.path, fake.folder / "cluster.json")
        _refreshing(submitor, f"refresh of {count} running jobs, fake Slurm", [fake.options.squeue_path, "--me"])
        store.close()


def _multiply(count: int, database: Path, cluster_file: Path) -> None:
    """Make many jobs of the one that there is, in the store and in the fake cluster."""
    cluster = json.loads(cluster_file.read_text())
    (template,) = cluster["jobs"]
    template |= {"script": "", "environment": {}, "command": None}
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    columns = dict(connection.execute("SELECT * FROM jobs").fetchone())
    with connection:
        for number in range(2, count + 1):
            job_id = f"{number:08x}-0000"
            columns |= {"number": number, "job_id": job_id, "root_job_id": job_id, "scheduler_job_id": str(number)}
            connection.execute(f"INSERT INTO jobs VALUES ({', '.join('?' * len(columns))})", tuple(columns.values()))
            cluster["jobs"].append({**template, "id": number, "array_id": number, "comment": f"molq:{job_id}"})
    connection.close()
    cluster_file.write_text(json.dumps(cluster))


def _refreshing(submitor: Submitor, name: str, squeue: list[str]) -> None:
    submitor.refresh()
    before = _revisions(submitor)
    beside_floor(name, submitor.refresh, command(squeue), goal="1.4x -> 1.15x")
    row("  rows written", str(_revisions(submitor) - before), "0", "")


def _revisions(submitor: Submitor) -> int:
    """Return how often rows of jobs were written."""
    connection = sqlite3.connect(submitor._store.path)
    (total,) = connection.execute("SELECT sum(revision) FROM jobs").fetchone()
    connection.close()
    return int(total)


def _array(elements: int = 1_000) -> None:
    wanted = JobScheduling(queue=_CLOSED.queue, array_spec=f"0-{elements - 1}")
    with _submitor() as submitor:
        script = Path(submitor.get(submitor.submit(argv=["true"], scheduling=wanted).job_id).job_dir) / "job.sh"
        beside_floor(
            f"array of {elements}: submit",
            lambda: submitor.submit(argv=["true"], scheduling=wanted),
            command(["sbatch", "--parsable", str(script)]),
            rounds=7,
            goal="3x -> 1.5x",
        )
    with _submitor() as submitor:
        job = submitor.submit(argv=["sleep", "60"], scheduling=JobScheduling(array_spec=wanted.array_spec))
        time.sleep(3)  # as many as there is room for have started by then
        squeue = command(["squeue", "--states=all", f"--jobs={job.scheduler_job_id}"])
        beside_floor("  know all states", job.refresh, squeue, goal="3x -> 2x")


def run() -> None:
    """Print the rows, or why they cannot be measured here."""
    sys.path.append(str(_TESTS))
    from real_slurm import why_not

    _refreshing_fake_jobs()
    reason = why_not()
    if reason:
        print(f"the other rows for Slurm were not measured: {reason}")
        return
    with _real_slurm():
        _submission()
        _array()
        _lateness()
        _commands_while_waiting()
        _refreshing_waiting_jobs()
