"""Answer as scancel 22.05.8 does."""

from __future__ import annotations

import os
import re
import sys

from molq.testing.fake_programs import Record
from molq_slurm.testing.cluster_file import ACTIVE, end, judge_dependencies, matches
from molq_slurm.testing.fake_errors import CANCEL_EXIT_CODES, CONTROLLER_WORDS


def scancel(argv: list[str], cluster: Record) -> int:
    """Cancel jobs of the fake cluster."""
    is_verbose = bool({"-v", "--verbose"} & set(argv))
    ids = [word for word in argv if not word.startswith("-")]
    if not ids:
        sys.stderr.write("scancel: error: No job identification provided\n")
        return 1
    for job_id in ids:
        if not re.fullmatch(r"[1-9]\d*(?:_.*)?", job_id):
            sys.stderr.write(f"scancel: error: Invalid job id {job_id}\n")
            return 1
    said, code = [], 0
    for job_id in ids:
        if is_verbose:
            sys.stderr.write(f"scancel: Terminating job {job_id}\n")
        problem, loud = _cancel(job_id, cluster)
        if problem and (is_verbose or loud):
            said.append(f"scancel: error: Kill job error on job id {job_id}: {problem}\n")
        code = loud or code
    sys.stderr.write("".join(said))
    judge_dependencies(cluster)
    return code


def _cancel(job_id: str, cluster: Record) -> tuple[str | None, int]:
    """Return what scancel has to say, and its exit code if it says it without --verbose too."""
    controller = cluster["controller"]
    if controller in CONTROLLER_WORDS:
        return CONTROLLER_WORDS[controller], CANCEL_EXIT_CODES[controller]
    jobs = [job for job in cluster["jobs"] if job["in_queue"] and matches(job, job_id)]
    if not jobs:
        return "Invalid job id specified", 0
    active = [job for job in jobs if job["state"] in ACTIVE]
    if not active:
        return "Job/step already completing or completed", 0
    if cluster.get("denies_cancel"):
        return "Access/permission denied", CANCEL_EXIT_CODES["denied"]
    for job in active:
        job["cancelled_by"] = os.getuid()
        # A waiting element that is cancelled alone vanishes, and accounting never hears of it.
        if job["index"] is not None and job["start"] is None and "_" in job_id:
            job.update(in_queue=False, in_accounts=False)
        end(job, "CANCELLED", 0 if job["start"] is None else 15, job["reason"])
    return None, 0
