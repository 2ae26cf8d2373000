"""Answer as bjobs of OpenLava 2.2 does, and as IBM documents bjobs of Spectrum LSF 10.1."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable

from molq.testing.fake_programs import Record
from molq_lsf.testing.cluster_file import HOST, OVER, WAITING, expand, is_named, matches, shown_name
from molq_lsf.testing.dependency_conditions import judge_all

USAGE = """\
Usage: bjobs [-h] [-V] [-w |-l] [-a] [-d] [-p] [-s] [-r] [-A]
             [-m host_name] [-q queue_name] [-u user_name | -u all]
             [-P project_name] [-N host_spec]
             [-J name_spec] [jobId | "jobId[idxList]" ...]
"""
_HEADER = "JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME\n"
_PENDING_HEADER = "JOBID   USER    STAT  QUEUE       FROM_HOST      JOB_NAME           SUBMIT_TIME\n"
_SWITCHES = "awpdrsl"
_ID = re.compile(r"\d+(?:\[[\d,:-]+\])?")
_WAIT = "LSF is processing your request. Please wait...\n"
# Spectrum's fields -> what is shown of a job.
_FIELDS: dict[str, Callable[[Record], str]] = {
    "jobid": lambda job: str(job["id"]),
    "jobindex": lambda job: str(job["index"] or 0),
    "stat": lambda job: job["state"],
    "exit_code": lambda job: str(job["code"]) if job["state"] == "EXIT" and job["code"] else "",
    "exit_reason": lambda job: f"{job['term']}: job killed" if job["term"] else "",
    "job_description": lambda job: job["description"],
    "pend_reason": lambda job: f"{job['reason']};" if job["reason"] else "",
    "job_name": shown_name,
    "user": lambda job: job["user"],
    "queue": lambda job: job["queue"],
}


def bjobs(argv: list[str], cluster: Record) -> int:
    """Print the fake cluster's jobs."""
    judge_all(cluster)
    options: Record = {}
    try:
        ids = _parse(argv, options, cluster)
    except ValueError as error:
        sys.stderr.write(f"bjobs: {error}\n{USAGE}")
        return 255
    for job_id in ids:
        if not _ID.fullmatch(job_id):
            sys.stderr.write(f"{job_id}: Illegal job ID.\n")
            return 255
    if ids == ["0"]:
        ids = []
    jobs = [job for job in cluster["jobs"] if job["in_queue"]]
    found = (
        [job for job in jobs if any(matches(job, job_id) for job_id in ids)] if ids else _chosen(jobs, options, cluster)
    )
    missing = _missing(ids, jobs)
    if cluster["filters_pending"] and "p" in options:
        found = [job for job in found if job["state"] in WAITING]
        missing = _missing(ids, found)
    found.sort(key=lambda job: (job["state"] in OVER, job["id"], job["index"] or 0))
    if cluster["is_busy"]:
        (sys.stdout if cluster["dialect"] == "spectrum" else sys.stderr).write(_WAIT)
    if "json" in options:
        return _print_json(found, missing, options)
    if "o" in options:
        _print_delimited(found, options)
    elif found:
        _print_table(found, options, has_ids=bool(ids), columns=os.environ.get("LSB_BJOBS_FORMAT"))
    sys.stderr.write("".join(f"Job <{name}> is not found\n" for name in missing))
    if not ids and not found:
        sys.stderr.write(f"{_nothing(options)}\n")
        return 254
    return 255 if missing and cluster["dialect"] == "openlava" else 0


def _parse(argv: list[str], options: Record, cluster: Record) -> list[str]:
    rest, ids = list(argv), []
    is_new = cluster["dialect"] == "spectrum" and not cluster["is_old"]
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            ids.append(word)
        elif is_new and word in ("-json", "-noheader"):
            options[word[1:]] = True
        elif (is_new and word == "-o") or word in ("-J", "-u", "-q", "-P") or (is_new and word == "-Jd"):
            options[word[1:]] = rest.pop(0)
        else:
            for letter in word[1:]:
                if letter not in _SWITCHES:
                    raise ValueError(f"invalid option -- '{letter}'")
                options[letter] = True
    return ids


def _chosen(jobs: list[Record], options: Record, cluster: Record) -> list[Record]:
    """Return the jobs that a call without ids is about."""
    whose = options.get("u", cluster["user"])
    chosen = [job for job in jobs if whose in ("all", job["user"])]
    if "J" in options:
        chosen = [job for job in chosen if is_named(job, options["J"])]
    if "q" in options:
        chosen = [job for job in chosen if job["queue"] == options["q"]]
    if "P" in options:
        chosen = [job for job in chosen if job["project"] == options["P"]]
    if "a" in options:
        return chosen
    if "d" in options:
        return [job for job in chosen if job["state"] in OVER]
    if "p" in options:
        return [job for job in chosen if job["state"] in WAITING]
    if "r" in options:
        return [job for job in chosen if job["state"] == "RUN"]
    return [job for job in chosen if job["state"] not in OVER]


def _missing(ids: list[str], jobs: list[Record]) -> list[str]:
    names = []
    known = {str(job["id"]) for job in jobs}
    for job_id in ids:
        base, bracket, listed = job_id.removesuffix("]").partition("[")
        if not bracket:
            names += [] if base in known else [base]
            continue
        there = {job["index"] for job in jobs if str(job["id"]) == base}
        names += [f"{base}[{index}]" for index in expand(listed) if index not in there]
    return names


def _nothing(options: Record) -> str:
    if "J" in options:
        return f"Job <{options['J']}> is not found"
    if "P" in options:
        return f"No job found in project {options['P']}"
    kind = next(
        (word for letter, word in (("a", ""), ("r", "running "), ("p", "pending ")) if letter in options), "unfinished "
    )
    return f"No {kind}job found"


def _print_json(jobs: list[Record], missing: list[str], options: Record) -> int:
    fields = _layout(options["o"])[0]
    records = [{name.upper(): _shown(name, job) for name in fields} for job in jobs]
    records += [{"JOBID": name.partition("[")[0], "ERROR": f"Job <{name}> is not found"} for name in missing]
    json.dump({"COMMAND": "bjobs", "JOBS": len(records), "RECORDS": records}, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


def _print_delimited(jobs: list[Record], options: Record) -> None:
    fields, delimiter = _layout(options["o"])
    if "noheader" not in options and jobs:
        sys.stdout.write(delimiter.join(name.upper() for name in fields) + "\n")
    for job in jobs:
        sys.stdout.write(delimiter.join(_shown(name, job) or "-" for name in fields) + "\n")


def _shown(name: str, job: Record) -> str:
    return _FIELDS[name](job) if name in _FIELDS else ""


def _layout(text: str) -> tuple[list[str], str]:
    match = re.search(r"delimiter='(.)'", text)
    fields = re.sub(r"delimiter='.'", "", text).split()
    return fields, match[1] if match else " "


def _print_table(jobs: list[Record], options: Record, *, has_ids: bool, columns: str | None) -> None:
    if columns is not None:
        sys.stdout.write(f"{columns.upper()}\n" + "".join(f"{job['id']}\n" for job in jobs))
        return
    is_pending_only = set(options) == {"p"} and not has_ids
    sys.stdout.write(_PENDING_HEADER if is_pending_only else _HEADER)
    for job in jobs:
        sys.stdout.write(_row(job, is_wide="w" in options, is_pending_only=is_pending_only))
        if "p" in options and job["state"] in WAITING and job["reason"]:
            sys.stdout.write(f" {job['reason']}: 1 host;\n")


def _row(job: Record, *, is_wide: bool, is_pending_only: bool) -> str:
    name, date = shown_name(job), time.strftime("%b %d %H:%M", time.localtime(job["submit"]))
    state, queue, user = job["state"], job["queue"], job["user"]
    if is_pending_only:
        return f"{job['id']:<7} {user:<7.7} {state:<5.5} {queue:<11.11} {HOST:<14.14} {_cut(name, 18):<18.18} {date}\n"
    has_hosts = job["start"] is not None and state not in WAITING
    if is_wide:
        hosts = ":".join([HOST] * job["slots"]) if has_hosts else "   -    "
        return f"{job['id']:<7} {user:<7} {state:<5} {queue:<10} {HOST:<11} {hosts:<11} {name:<10} {date}\n"
    host = HOST if has_hosts else ""
    left = f"{job['id']:<7} {user:<7.7} {state:<5.5} {queue:<10.10} {HOST:<11.11}"
    return f"{left} {host:<11.11} {_cut(name, 10):<10} {date}\n"


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"*{name[1 - width :]}"
