"""Lists of jobs, against a bare query of the same rows."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

from timing import beside_floor

from molq import JobRecord, JobState, JobStore
from molq.store import rows

_HISTORY = 1_000_000
_ACTIVE = 250


def _fill(path: Path) -> None:
    """Fill a database as that many submissions would, in one transaction."""
    JobStore(path).close()
    columns = ""
    connection = sqlite3.connect(path)
    with connection:
        for number in range(_HISTORY):
            state = JobState.RUNNING if number % (_HISTORY // _ACTIVE) == 0 else JobState.SUCCEEDED
            record = JobRecord(
                job_id=f"{number:08x}-0000",
                root_job_id=f"{number:08x}-0000",
                cluster_name="hpc",
                scheduler="slurm",
                state=state,
                scheduler_job_id=str(number),
                cwd="/home/user/project",
                command_type="argv",
                command_display="python train.py",
                metadata={},
                created_at=time.time(),
                job_dir="/home/user/project/.molq/jobs/x",
                stdout_path="/home/user/project/.molq/jobs/x/stdout.log",
                stderr_path="/home/user/project/.molq/jobs/x/stderr.log",
            )
            values = rows.to_columns(record)
            columns = columns or f"({', '.join(values)}) VALUES ({', '.join('?' for _ in values)})"
            connection.execute(f"INSERT INTO jobs {columns}", tuple(values.values()))
    connection.close()


def run() -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        _fill(path)
        store = JobStore(path)
        bare = sqlite3.connect(path)
        query = (
            "SELECT job_id, state FROM jobs WHERE state IN ('created', 'submitted', 'queued', 'running', 'lost') "
            "AND state != 'lost' AND cluster_name = 'hpc' ORDER BY number"
        )
        assert len(store.jobs("hpc")) == len(bare.execute(query).fetchall()) == _ACTIVE
        beside_floor(
            f"list {_ACTIVE} active of {_HISTORY} jobs",
            lambda: store.jobs("hpc"),
            lambda: bare.execute(query).fetchall(),
            goal="9x -> 4x",
        )
        bare.close()
        store.close()
