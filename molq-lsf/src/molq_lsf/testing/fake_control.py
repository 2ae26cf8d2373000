"""Answer as bkill, bmod, bqueues and lsid of OpenLava 2.2 do."""

from __future__ import annotations

import re
import sys

from molq.testing.fake_programs import Record
from molq_lsf.testing.cluster_file import HOST, OVER, end, expand, happen, is_named, matches
from molq_lsf.testing.dependency_conditions import ConditionError, check, judge_all
from molq_lsf.testing.versions import VERSIONS

_KILL_USAGE = """\
Job ID or one of '-m', '-u' '-q' and '-J' must be specified.
Usage: bkill [-h] [-V] [-l] [-m host_name] [-q queue_name]
               [-u user_name | -u all] [0] [-r | -s sigval] [-J job_name] 
               [jobId | "jobId[index_list]"]...
"""  # noqa: W291 - so it was recorded

_ENDED_BY = {"INT": 130, "TERM": 143, "USR1": 138, "USR2": 140}
"""The exit code of a job that runs and is sent a signal, of which its history says nothing else."""

_LONGEST_WORD = 511  # what it copies words into is no longer


def bkill(argv: list[str], cluster: Record) -> int:
    """End jobs of the fake cluster."""
    rest, ids, name, signal = list(argv), [], None, "KILL"
    while rest:
        word = rest.pop(0)
        if word == "-J":
            name = rest.pop(0)
        elif word == "-s":
            signal = rest.pop(0)
        elif not word.startswith("-"):
            ids.append(word)
    if not ids and name is None:
        sys.stderr.write(_KILL_USAGE)
        return 255
    for job_id in ids:
        if len(job_id) > _LONGEST_WORD and cluster["dialect"] == "openlava":
            sys.stderr.write("*** stack smashing detected ***: terminated\n")
            return 134
        if not re.fullmatch(r"\d+(?:\[[\d,:-]+\])?", job_id):
            sys.stderr.write(f"{job_id}: Illegal job ID.\n")
            return 255
    if name is not None:
        named = (j for j in cluster["jobs"] if j["in_queue"] and j["user"] == cluster["user"] and is_named(j, name))
        ids = list(dict.fromkeys(str(job["id"]) for job in named))
    said = [one for job_id in ids for one in _targets(job_id)]
    codes = [_kill(one, signal, cluster) for one in said]
    judge_all(cluster)
    return max(codes, default=255)


def _targets(job_id: str) -> list[str]:
    """Return what is spoken of for an id: elements are told one by one."""
    base, bracket, listed = job_id.removesuffix("]").partition("[")
    if not bracket:
        return [job_id]
    return [f"{base}[{index}]" for index in expand(listed)]


def _kill(target: str, signal: str, cluster: Record) -> int:
    jobs = [job for job in cluster["jobs"] if job["in_queue"] and matches(job, target)]
    active = [job for job in jobs if job["state"] not in OVER]
    problem = None
    if not jobs:
        problem = "No matching job found"
    elif jobs[0]["user"] != cluster["user"] or cluster["denies_cancel"]:
        problem = "User permission denied"
    elif not active:
        problem = "Job has already finished"
    elif any(job["state"] in ("UNKWN", "ZOMBI") for job in active):
        problem = "Operation is in progress"
        for job in active:
            happen(job, f"Signal <KILL> requested by user or administrator <{cluster['user']}>;")
            job["state"] = "ZOMBI"
    elif cluster["dialect"] == "openlava" and jobs[0]["index"] is not None and "[" not in target:
        # The request is logged for the array, and so is in the history of none of its elements.
        problem = "Operation is in progress"
        for job in active:
            end(job, cluster["dialect"], code=None if job["start"] is None else 130)
    if problem:
        sys.stderr.write(f"Job <{target}>: {problem}\n")
        return 255
    for job in active:
        if signal == "KILL":
            kill(job, cluster["user"], cluster["dialect"], term="TERM_OWNER")
        elif job["start"] is not None and signal in _ENDED_BY:
            end(job, cluster["dialect"], code=_ENDED_BY[signal])
    sys.stdout.write(f"Job <{target}> is being {'terminated' if signal == 'KILL' else 'signaled'}\n")
    return 0


def kill(job: Record, by: str, dialect: str, *, term: str) -> None:
    """End a job as bkill does: one that runs has the exit code of an interrupt."""
    happen(job, f"Signal <KILL> requested by user or administrator <{by}>;")
    end(job, dialect, code=None if job["start"] is None else 130, term=term)


def bmod(argv: list[str], cluster: Record) -> int:
    """Change a waiting job of the fake cluster."""
    rest, changes, ids = list(argv), {}, []
    while rest:
        word = rest.pop(0)
        if word == "-wn":
            changes["dependency"] = ""
        elif word in ("-w", "-J"):
            changes["dependency" if word == "-w" else "name"] = rest.pop(0)
        else:
            ids.append(word)
    jobs = [job for job in cluster["jobs"] if job["in_queue"] and any(matches(job, one) for one in ids)]
    problem = None
    if not jobs:
        problem = f"{ids[0]}: No matching job found"
    elif all(job["state"] in OVER for job in jobs):
        problem = "Job has already finished"
    elif changes.get("dependency"):
        try:
            check(cluster, changes["dependency"])
        except ConditionError as error:
            problem = str(error)
    if problem:
        sys.stderr.write(f"{problem}. Job not modified.\n")
        return 255
    for job in jobs:
        job.update(changes, met=[])
    judge_all(cluster)
    sys.stdout.write(f"Parameters of job <{ids[0]}> are being changed\n")
    return 0


def bqueues(argv: list[str], cluster: Record) -> int:
    """Show the fake cluster's queues."""
    names = [word for word in argv if not word.startswith("-")]
    for name in names:
        if name not in cluster["queues"]:
            sys.stderr.write(f"{name}: No such queue\n")
            return 255
    if "-l" in argv:
        for name in names or cluster["queues"]:
            limit = cluster["queues"][name]["run_limit"]
            shown = f" RUNLIMIT                \n {limit:.1f} min of {HOST}           \n\n" if limit is not None else ""
            sys.stdout.write(f"\nQUEUE: {name}\n  -- a queue\n\nPARAMETERS/STATISTICS\n\n{shown}USERS:  all users\n")
        return 0
    sys.stdout.write("QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP \n")
    for name in names or cluster["queues"]:
        sys.stdout.write(f"{name:<15}  30  Open:Active       -    -    -    -     0     0     0     0\n")
    return 0


def lsid(_argv: list[str], cluster: Record) -> int:
    """Tell whose LSF this is."""
    version = VERSIONS[cluster["dialect"]]
    sys.stdout.write(f"{version}\n\nMy cluster name is {cluster['dialect']}\nMy master name is {HOST}\n")
    return 0
