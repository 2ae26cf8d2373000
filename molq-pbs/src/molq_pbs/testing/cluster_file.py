"""Keep the fake cluster's jobs and faults in one file, which its programs and its driver share."""

from __future__ import annotations

import time

from molq.testing.fake_programs import FakeFile, Record

NEW_CLUSTER: Record = {
    "dialect": "openpbs",  # openpbs, torque
    "host": "vm",
    "user": "",
    "next_id": 1,
    "jobs": [],  # an array is one job with elements
    "queues": ["workq", "long"],
    "disabled_queues": [],
    "resources": ["arch", "cput", "host", "mem", "mpiprocs", "ncpus", "nodect", "ompthreads", "vmem", "vnode"],
    "most_jobs": None,  # how many jobs a user may have in the queue
    "history": True,
    "server": "up",  # up, down, hung
    "node": "up",  # up, down
    "denies_cancel": False,
    "lose_reply": False,
    "unheard": [],  # submissions that a hung server will hear once it goes on
    "heard": {},  # the ids that it then gave them
    "answers": {},  # program -> what it says instead of its own answer
    "kills_at_once": True,
    "cut_off": {},  # program -> how many of the last characters of its own answers do not arrive
    "banner": "",
    "logs": {},  # id -> lines of the server's log
}


class ClusterFile(FakeFile):
    """The file of a fake cluster."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder, NEW_CLUSTER)


def job_id(cluster: Record, job: Record, index: int | None = None) -> str:
    """Return the id of a job, or of an element of an array, as the server shows it."""
    brackets = "" if job["array"] is None else "[]" if index is None else f"[{index}]"
    return f"{job['number']}{brackets}.{cluster['host']}"


def find(cluster: Record, text: str) -> tuple[Record, int | None] | None:
    """Return the job that an id means, and the index if it is one of an element: ``7``, ``7.vm``, ``7[].vm``, ``7[2]``.

    The bare number of an array is no job.
    """
    number, bracket, rest = text.partition(".")[0].partition("[")
    for job in cluster["jobs"]:
        if str(job["number"]) != number or (job["array"] is not None) != bool(bracket):
            continue
        index = rest.partition("]")[0]
        if not index:
            return job, None
        return (job, int(index)) if index in job["elements"] else None
    return None


def full_id(cluster: Record, text: str) -> str:
    """Return an id with the server's name, as messages show it."""
    return text if "." in text else f"{text}.{cluster['host']}"


def log(cluster: Record, job: Record, words: str) -> None:
    """Write a line about a job to the server's log."""
    lines = cluster["logs"].setdefault(job_id(cluster, job), [])
    lines.append([int(time.time()), words])


def show_time(seconds: float) -> str:
    """Return a time as qstat shows it."""
    return time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(seconds))


def show_moment(seconds: float) -> str:
    """Return a time as comments show it."""
    return time.strftime("%a %b %d at %H:%M", time.localtime(seconds))
