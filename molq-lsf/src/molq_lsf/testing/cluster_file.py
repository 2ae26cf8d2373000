"""Keep the fake cluster's jobs and faults in one file, which its programs and its driver share."""

from __future__ import annotations

import time

from molq.testing.fake_programs import FakeFile, Record

HOST = "vm"
WAITING = frozenset({"PEND", "PSUSP", "PROV", "WAIT"})
OVER = frozenset({"DONE", "EXIT"})
SLOTS = 128
LARGEST_ARRAY = 1000
DEFAULT_QUEUE = "normal"

NEW_CLUSTER: Record = {
    "dialect": "openlava",
    "user": "molqtest",
    "next_id": 1,
    "jobs": [],
    # name -> the minutes that a job may run; whether it takes jobs, and exclusive ones
    "queues": {
        "normal": {"run_limit": None, "is_open": True, "is_exclusive": False},
        "short": {"run_limit": 1, "is_open": True, "is_exclusive": False},
        "excl": {"run_limit": None, "is_open": True, "is_exclusive": True},
        "closed": {"run_limit": None, "is_open": False, "is_exclusive": False},
    },
    "daemon": "up",  # up, down, hung
    "history": "on",  # on, off, down
    "schedules": True,
    "lose_reply": False,
    "denies_cancel": False,
    "is_busy": False,
    "is_old": False,  # a Platform LSF without -json and -o
    "filters_pending": False,  # whether bjobs -p shows nothing but waiting jobs
    "answers": {},  # program -> what it says instead of its own answer
    "banner": "",
}


class ClusterFile(FakeFile):
    """The file of a fake cluster."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder, NEW_CLUSTER)


def native_id(job: Record) -> str:
    """Return the id as bkill takes it, for a job or a single element."""
    return str(job["id"]) if job["index"] is None else f"{job['id']}[{job['index']}]"


def shown_name(job: Record) -> str:
    """Return the name as bjobs lists it: an array's element with its index instead of the array's."""
    return job["name"] if job["index"] is None else f"{base_name(job['name'])}[{job['index']}]"


def base_name(name: str) -> str:
    """Return an array's name without its indices."""
    return name.partition("[")[0]


def matches(job: Record, job_id: str) -> bool:
    """Tell whether ``12``, ``12[3]``, ``12[1-3,7]`` or the driver's ``12_3`` means this job or element."""
    base, _, indices = job_id.replace("_", "[").removesuffix("]").partition("[")
    return base == str(job["id"]) and (not indices or job["index"] in expand(indices))


def is_named(job: Record, pattern: str) -> bool:
    """Tell whether a name, or the beginning of one before a ``*``, means this job, an array's elements included."""
    names = {job["name"], base_name(job["name"]), shown_name(job)}
    if pattern.startswith("*"):
        return True
    if pattern.endswith("*"):
        return pattern in names or any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names or bool(
        job["index"] is not None and pattern.partition("%")[0] == job["name"].partition("%")[0]
    )


def expand(text: str) -> list[int]:
    """Return the indices in ``0-4,7,9-20:2``."""
    indices: list[int] = []
    for part in text.split(","):
        bounds, _, step = part.partition(":")
        first, _, last = bounds.partition("-")
        indices.extend(range(int(first), int(last or first) + 1, int(step or 1)))
    return indices


def happen(job: Record, text: str, at: float | None = None) -> None:
    """Write an event into a job's history."""
    job["events"].append([int(time.time() if at is None else at), text])


def start(job: Record) -> None:
    """Let a waiting job run."""
    job.update(state="RUN", start=int(time.time()), reason="")
    happen(job, f"Dispatched to <{HOST}>;")
    happen(job, f"Starting (Pid {job['pid']});")
    happen(
        job,
        f"Running with execution home <{job['home']}>, Execution CWD <{job['cwd']}>, Execution Pid <{job['pid']}>;",
    )


def end(
    job: Record, dialect: str, *, code: int | None = 0, signal: int | None = None, term: str = "", is_known: bool = True
) -> None:
    """End a job, and write into its history what LSF would.

    Args:
        job: the job.
        dialect: whose words.
        code: its exit code; None if LSF does not tell one.
        signal: the signal by whose number LSF tells the end.
        term: IBM's termination reason.
        is_known: whether LSF knows how much CPU time it used.
    """
    has_run = job["start"] is not None
    job.update(state="EXIT" if code != 0 or signal else "DONE", end=int(time.time()), code=code, reason="")
    job["term"] = term if dialect == "spectrum" else ""
    used = "The CPU time used is 0.0 seconds" if is_known else "The CPU time used is unknown"
    if not has_run:
        happen(job, "Exited;")
    elif job["state"] == "DONE":
        happen(job, f"Done successfully. {used};")
        happen(job, "Post job process done successfully;")
    elif signal is not None:
        happen(job, f"Exited by signal {signal}. {used};")
    else:
        happen(job, f"Exited. {used};" if code is None else f"Exited with exit code {code}. {used};")
    if job["term"]:
        happen(job, f"Completed <exit>; {job['term']}: {TERM_WORDS.get(job['term'], 'job killed')};")


TERM_WORDS = {
    "TERM_ADMIN": "job killed by root or LSF administrator",
    "TERM_MEMLIMIT": "job killed after reaching LSF memory usage limit",
    "TERM_OWNER": "job killed by owner",
    "TERM_PREEMPT": "job killed after preemption",
    "TERM_RUNLIMIT": "job killed after reaching LSF run time limit",
}


def finished(jobs: list[Record], kind: str) -> bool | None:
    """Judge ``kind(JOB)``: True if it holds, False if not yet, None if it never will. Of an array, all must hold.

    What ended before it started has not started: so OpenLava's mbd.dep.c; read and not seen.
    """
    for job in jobs:
        is_over = job["state"] in OVER
        holds = {
            "done": job["state"] == "DONE",
            "post_done": job["state"] == "DONE",
            "exit": job["state"] == "EXIT",
            "ended": is_over,
            "started": job["start"] is not None,
        }[kind]
        if not holds:
            return None if is_over else False
    return True
