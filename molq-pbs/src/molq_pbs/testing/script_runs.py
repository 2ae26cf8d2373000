"""Run the script of a job of the fake cluster for real, as the node's daemon does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import BinaryIO

from molq.testing.fake_programs import Record
from molq_pbs.testing.cluster_file import job_id


def environment_of(cluster: Record, job: Record, index: int | None, home: Path) -> dict[str, str]:
    """Return what PBS gives to a job: little of the user's, unless ``-V`` or ``-v`` was among its options."""
    given = dict(word.partition("=")[::2] for word in job["variables"])
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        **given,
        "HOME": str(home),
        "USER": cluster["user"],
        "LOGNAME": cluster["user"],
        "PBS_ENVIRONMENT": "PBS_BATCH",
        "PBS_JOBID": job_id(cluster, job, index),
        "PBS_JOBNAME": job["name"],
        "PBS_QUEUE": job["queue"],
        "NCPUS": "1",
        "OMP_NUM_THREADS": "1",
    }
    if index is not None:
        name = "PBS_ARRAYID" if cluster["dialect"] == "torque" else "PBS_ARRAY_INDEX"
        environment[name] = str(index)
    return environment


def run_script(path: Path, job: Record, index: int | None, environment: dict[str, str], home: Path) -> int:
    """Run a job's script from a copy at this path; return its exit code, negative for a signal."""
    path.write_bytes(os.fsencode(job["script"]))
    path.chmod(0o700)
    with _spool(job, index, home) as spool:
        done = subprocess.run(
            [str(path)],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=spool,
            stderr=subprocess.STDOUT,
            umask=0o077,
            check=False,
        )  # fmt: skip - one call
    return done.returncode


def _spool(job: Record, index: int | None, home: Path) -> BinaryIO:
    """Open what becomes of the output that the script leaves to PBS: it is copied when the job is over."""
    options = job["options"]
    tail = "" if index is None else f".{index}"
    if "o" in options.get("k", ""):
        return open(home / f"{job['name']}.o{job['number']}{tail}", "wb")
    return open(options.get("o", os.devnull).replace("^array_index^", str(index)), "wb")
