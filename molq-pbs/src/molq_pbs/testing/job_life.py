"""Let things happen to the fake cluster's jobs, as they happen to those of OpenPBS."""

from __future__ import annotations

import time
from typing import Any

from molq.testing.fake_programs import Record
from molq_pbs.testing.cluster_file import find, job_id, log, show_moment

TERMINATED, SUCCEEDED, FAILED = 91, 92, 93
SIGTERM_STATUS = 271
_DELETED_BY = " and terminated by "
_BEFORE = {"afterok": "beforeok", "afternotok": "beforenotok", "afterany": "beforeany", "after": "before"}
NEW_RUN: Record = {
    "state": "Q",
    "substate": 10,
    "status": None,
    "comment": None,
    "run_count": 0,
    "started": None,
    "ended": None,
}


def accept(cluster: Record, job: Record) -> str:
    """Take a job into the queue, and return its id."""
    job["number"] = cluster["next_id"]
    cluster["next_id"] += 1
    job.update(NEW_RUN, submitted=int(time.time()), is_kept=True, was_moved=False)
    job["elements"] = {str(index): dict(NEW_RUN) for index in job["array"] or ()}
    cluster["jobs"].append(job)
    log(cluster, job, "enqueuing into workq, state Q hop 1")
    owner = f"{cluster['user']}@localhost"
    said = f"Job Queued at request of {owner}, owner = {owner}, job name = {job['name']}, queue = {job['queue']}"
    log(cluster, job, said)
    rest(job)
    judge_dependencies(cluster)
    return job_id(cluster, job)


def rest(job: Record) -> None:
    """Let a job wait: held by its user, by what it waits for, or by nothing."""
    holds = job["holds"]
    if job["depend"]:
        job.update(state="H", substate=22)
    elif "u" in holds or "o" in holds:
        job.update(state="H", substate=20)
    else:
        job.update(state="Q", substate=10)


def start(cluster: Record, job: Record, index: int | None = None) -> None:
    """Start a job, an element or all elements of an array."""
    job["depend"], job["holds"] = [], ""
    for run in _runs(job, index):
        if run["state"] in "QHW":
            moment = show_moment(time.time())
            run.update(state="R", substate=42, started=int(time.time()), run_count=run["run_count"] + 1)
            run["comment"] = f"Job run at {moment} on ({cluster['host']}:ncpus=1)"
    if job["array"] is not None:
        if job["state"] != "B":
            job.update(state="B", substate=70, started=int(time.time()))
            job["comment"] = f"Job Array Began at {show_moment(time.time())}"
        for run in job["elements"].values():
            if run["state"] == "H":
                run.update(state="Q", substate=10)
    log(cluster, job, f"Job Run at request of Scheduler@{cluster['host']} on exec_vnode ({cluster['host']}:ncpus=1)")
    judge_dependencies(cluster)


def end(cluster: Record, job: Record, status: int, suffix: str | None, index: int | None = None) -> None:
    """Let running jobs or elements end with an exit status and a word about it."""
    for run in _runs(job, index):
        if run["state"] not in "RSE":
            continue
        if suffix is not None:
            run["comment"] = f"{run['comment']} and {suffix}"
        substate = TERMINATED if _is_deleted(run) else SUCCEEDED if status == 0 else FAILED
        run.update(state="F", substate=substate, status=status, ended=int(time.time()))
    log(cluster, job, f"Exit_status={status} resources_used.cpupercent=0 resources_used.cput=00:00:00")
    _end_array(job, status)
    _forget_if_over(cluster, job)
    judge_dependencies(cluster)


def delete(cluster: Record, job: Record, index: int | None = None, by: str | None = None) -> None:
    """Delete a job or an element, in whatever state it is."""
    who = by or f"{cluster['user']}@localhost"
    log(cluster, job, f"Job to be deleted at request of {who}")
    for run in _runs(job, index):
        if run["state"] in "QHW":
            run.update(state="F", substate=TERMINATED)
            if job["array"] is not None:
                run["comment"] = "Subjob finished"
            elif run["comment"]:
                run["comment"] += " and terminated"
    if job["array"] is not None and job["state"] in "QHW" and all(_is_over(run) for run in job["elements"].values()):
        job.update(state="F", substate=TERMINATED)
        _forget_if_over(cluster, job)
    dying = [run for run in _runs(job, index) if run["state"] in "RSE"]
    for run in dying:
        if not _is_deleted(run):
            run["comment"] = f"{run['comment']}{_DELETED_BY}{who}"
    if dying and cluster["kills_at_once"]:
        end(cluster, job, SIGTERM_STATUS, None, index)
    if dying:
        return
    _end_array(job, None)
    _forget_if_over(cluster, job)


def requeue(cluster: Record, job: Record, status: int | None) -> None:
    """Put a running job back into the queue; the exit status of its last run stays with it."""
    for run in _runs(job, None):
        run.update(state="Q", substate=10, started=None, ended=None)
        run["comment"] = "Not Running: Not enough free nodes available"
        if status is not None:
            run["status"] = status
    log(cluster, job, "Job requeued, execution node down")


def judge_dependencies(cluster: Record) -> None:
    """Release what has nothing left to wait for, and drop what can never run: the server does so at once."""
    while any(_judge(cluster, job) for job in cluster["jobs"] if job["depend"] and not _is_over(job)):
        pass  # what one job became may decide about another


def _judge(cluster: Record, job: Record) -> bool:
    left = []
    for kind, upstream_id in job["depend"]:
        found = find(cluster, upstream_id)
        verdict = "never" if found is None else _verdict(kind, found[0], registered=job["is_registered"])
        if verdict == "never":
            log(cluster, job, f"Job deleted as result of dependency on job {upstream_id}.{cluster['host']}")
            job.update(state="F", substate=SUCCEEDED)
            for run in job["elements"].values():
                run.update(state="F", substate=TERMINATED, comment="Subjob finished")
            return True
        if verdict == "wait":
            left.append([kind, upstream_id])
    has_changed: bool = left != job["depend"]
    job["depend"], job["is_registered"] = left, True
    if has_changed or job["substate"] != 22:
        rest(job)
    return has_changed


def _verdict(kind: str, upstream: Record, *, registered: bool) -> str:
    """Return ``"wait"``, ``"free"`` or ``"never"``. An array is judged by the exit status of its last element."""
    if upstream["state"] == "F" and upstream["substate"] == SUCCEEDED and upstream["status"] is None:
        return "never"  # it was dropped itself, and the loss runs down the chain
    if kind == "after":
        return "free" if upstream["started"] is not None or upstream["state"] == "F" else "wait"
    if upstream["state"] != "F":
        return "wait"
    if upstream["status"] is None:
        # Deleted before it started: those that wait already wait for ever, and a new one is judged as by a success.
        return "wait" if registered else "never" if kind == "afternotok" else "free"
    is_good = upstream["status"] == 0
    if kind == "afterany" or is_good == (kind == "afterok"):
        return "free"
    return "never"


def dependants_of(cluster: Record, job: Record) -> list[str]:
    """Return what the attribute ``depend`` of a job says of those that wait for it."""
    groups: dict[str, list[str]] = {}
    own = job_id(cluster, job).partition(".")[0]
    for other in cluster["jobs"]:
        shown = f"{job_id(cluster, other)}@{cluster['host']}"
        for kind, upstream_id in other["asked_depend"]:
            waiting = groups.setdefault(_BEFORE[kind], [])
            if upstream_id == own and kind != "after" and shown not in waiting:
                waiting.append(shown)
    return [":".join([kind, *ids]) for kind, ids in groups.items() if ids]


def _runs(job: Record, index: int | None) -> list[Record]:
    if job["array"] is None:
        return [job]
    return [job["elements"][str(index)]] if index is not None else list(job["elements"].values())


def _is_deleted(run: Record) -> bool:
    return _DELETED_BY in (run["comment"] or "")


def _is_over(run: Record) -> bool:
    return bool(run["state"] == "F")


def _end_array(job: Record, status: int | None) -> None:
    if job["array"] is None or job["state"] != "B":
        return
    runs = list(job["elements"].values())
    if status is not None:
        job["status"] = 0 if status == 0 else 2 if status < 0 else 1
    if not all(_is_over(run) for run in runs):
        return
    substates = {run["substate"] for run in runs}
    worst = next((s for s in (FAILED, TERMINATED) if s in substates), SUCCEEDED)
    words: dict[Any, str] = {SUCCEEDED: "finished", FAILED: "failed", TERMINATED: "terminated"}
    job.update(state="F", substate=worst, ended=int(time.time()), comment=f"{job['comment']} and {words[worst]}")


def _forget_if_over(cluster: Record, job: Record) -> None:
    if _is_over(job) and not cluster["history"] and cluster["dialect"] == "openpbs":
        job["is_kept"] = False
