"""Keep the fake cluster's jobs and faults in one file, which its programs and its driver share."""

from __future__ import annotations

import time

from molq.testing.fake_programs import FakeFile, Record

ACTIVE = frozenset({"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED"})
PARTITIONS = {"debug": 60, "long": 10080, "gpu": 1440, "low": 1440, "lowrq": 1440}
DEFAULT_PARTITION = "debug"
FIRST_NODE = "node1"

NEW_CLUSTER: Record = {
    "next_id": 1,
    "jobs": [],
    "controller": "up",  # up, down, hung, frozen
    "accounting": "on",  # on, off, down
    "lag": "none",  # none, nothing, stub, state: what accounting says of a job that is newer than the lag
    "lose_reply": False,
    "unheard": [],  # submissions that a hung controller will hear once it goes on
    "answers": {},  # program -> what it says instead of its own answer
    "banner": "",
}


class ClusterFile(FakeFile):
    """The file of a fake cluster."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder, NEW_CLUSTER)


def native_id(job: Record) -> str:
    """Return the id as squeue's ``%i`` has it, for a job or a single element."""
    return str(job["id"]) if job["index"] is None else f"{job['array_id']}_{job['index']}"


def matches(job: Record, job_id: str) -> bool:
    """Tell whether ``12``, ``12_3`` or ``12_[1-3]`` means this job or element."""
    base, _, index = job_id.partition("_")
    if not index:
        return base in (str(job["array_id"]), str(job["id"]))
    return base == str(job["array_id"]) and job["index"] in expand(index)


def expand(text: str) -> list[int]:
    """Return the indices in ``[0-4,7%2]``."""
    indices: list[int] = []
    for part in text.strip("[]").partition("%")[0].split(","):
        bounds, _, step = part.partition(":")
        first, _, last = bounds.partition("-")
        indices.extend(range(int(first), int(last or first) + 1, int(step or 1)))
    return indices


def fold(indices: list[int]) -> str:
    """Return ``0-4,7`` for indices."""
    parts: list[list[int]] = []
    for index in sorted(indices):
        if parts and parts[-1][1] == index - 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in parts)


def end(job: Record, state: str, status: int = 0, reason: str = "None") -> None:
    """End a job in the way that squeue will show."""
    job.update(state=state, status=status, reason=reason, end=int(time.time()))
    if job["start"] is None and state == "CANCELLED":
        job["nodes"] = ""


def judge_dependencies(cluster: Record) -> None:
    """Give waiting jobs the reason that their dependencies have by now. Ids that are unknown count as satisfied."""
    for job in cluster["jobs"]:
        if job["state"] != "PENDING" or not job["dependency"] or job["reason"] == "JobHeldUser":
            continue
        verdicts = [_judge(cluster, part) for part in job["dependency"].split(",")]
        if "never" in verdicts:
            job["reason"] = "DependencyNeverSatisfied"
        elif "wait" in verdicts:
            job["reason"] = "Dependency"
        else:
            job.update(reason="None", dependency="")


def _judge(cluster: Record, part: str) -> str:
    kind, _, ids = part.partition(":")
    verdict = "met"
    for job_id in ids.split(":"):
        upstreams = [job for job in cluster["jobs"] if job["in_queue"] and matches(job, job_id)]
        states = {job["state"] for job in upstreams}
        has_ended = not states & ACTIVE
        if not upstreams or (kind == "after" and all(job["start"] is not None or has_ended for job in upstreams)):
            continue
        if kind == "after" or not has_ended:
            verdict = "wait"
        elif (kind == "afterok" and states != {"COMPLETED"}) or (kind == "afternotok" and states == {"COMPLETED"}):
            return "never"
    return verdict
