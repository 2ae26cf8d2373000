"""Answer as scontrol 22.05.8 does."""

from __future__ import annotations

import sys

from molq.testing.fake_programs import Record
from molq_slurm.testing.cluster_file import ACTIVE, DEFAULT_PARTITION, PARTITIONS, judge_dependencies, matches
from molq_slurm.testing.fake_errors import CONTROLLER_WORDS


def scontrol(argv: list[str], cluster: Record) -> int:
    """Show or change the fake cluster."""
    words = [word for word in argv if not word.startswith("-")]
    if words[:1] == ["ping"]:
        is_down = cluster["controller"] == "down"
        sys.stdout.write(f"Slurmctld(primary) at fake is {'DOWN' if is_down else 'UP'}\n")
        return int(is_down)
    if cluster["controller"] in CONTROLLER_WORDS:
        sys.stderr.write(f"slurm_load_jobs error: {CONTROLLER_WORDS[cluster['controller']]}\n")
        return 1
    if words[:2] == ["show", "config"]:
        kind = "none" if cluster["accounting"] == "off" else "slurmdbd"
        sys.stdout.write(
            f"AccountingStorageType   = accounting_storage/{kind}\nClusterName             = fake\n"
            "MaxArraySize            = 10001\nMinJobAge               = 300 sec\nSLURM_VERSION           = 22.05.8\n"
        )
        return 0
    if words[:2] == ["show", "partitions"]:
        for name, minutes in PARTITIONS.items():
            default = "YES" if name == DEFAULT_PARTITION else "NO"
            sys.stdout.write(
                f"PartitionName={name} AllowGroups=ALL Default={default} DefaultTime=00:10:00 MaxNodes=UNLIMITED "
                f"MaxTime={minutes} State=UP\n"
            )
        return 0
    if words[:1] == ["update"]:
        return _update(dict(word.partition("=")[::2] for word in words[1:]), cluster)
    sys.stderr.write(f"invalid keyword: {' '.join(words)}\n")
    return 1


def _update(changes: dict[str, str], cluster: Record) -> int:
    settings = {name.lower(): value for name, value in changes.items()}
    job_id = settings["jobid"]
    jobs = [job for job in cluster["jobs"] if job["in_queue"] and matches(job, job_id)]
    problem = None
    if not jobs:
        problem = "Invalid job id specified"
    elif all(job["state"] not in ACTIVE for job in jobs):
        problem = "Job has already finished"
    elif any(job["state"] != "PENDING" for job in jobs):
        problem = "Job is no longer pending execution"
    elif settings["dependency"] and ":" not in settings["dependency"]:
        problem = "Job dependency problem"
    if problem:
        sys.stderr.write(f"{problem} for job {job_id}\n")
        return 1
    for job in jobs:
        job.update(dependency=settings["dependency"], reason="None")
    judge_dependencies(cluster)
    return 0
