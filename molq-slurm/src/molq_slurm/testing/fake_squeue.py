"""Answer as squeue 22.05.8 does."""

from __future__ import annotations

import os
import re
import sys
import time

from molq.testing.fake_programs import Record
from molq_slurm.testing.cluster_file import ACTIVE, fold, matches, native_id
from molq_slurm.testing.fake_errors import CONTROLLER_WORDS

_LETTERS = {
    "i": "JobArrayID",
    "A": "JobID",
    "F": "ArrayJobID",
    "K": "ArrayTaskID",
    "T": "State",
    "r": "Reason",
    "k": "Comment",
    "j": "Name",
    "N": "NodeList",
    "S": "StartTime",
    "e": "EndTime",
    "E": "Dependency",
    "o": "Command",
}  # fmt: skip - one line for each row of letters
_WITH_VALUE = ("-j", "-t", "-u", "-o", "-O", "-M", "-n")
_NAMES = {"jobs": "-j", "states": "-t", "user": "-u", "format": "-o", "Format": "-O", "clusters": "-M", "name": "-n"}
_SWITCHES = {"noheader": "-h", "all": "-a", "me": "--me", "array": "-r"}
_CUT = 64
_NO_CLUSTER = (
    "squeue: error: No cluster '{0}' known by database.\n"
    "squeue: error: '{0}' can't be reached now, or it is an invalid entry for SLURM_CLUSTERS.  "
    "Use 'sacctmgr list clusters' to see available clusters.\n"
)


def squeue(argv: list[str], cluster: Record) -> int:
    """Print the fake cluster's queue."""
    options = _options(argv)
    wanted = os.environ.get("SLURM_CLUSTERS")
    if wanted is not None and "-M" not in options:
        sys.stderr.write(_NO_CLUSTER.format(wanted))
        return 1
    if cluster["controller"] in ("down", "hung"):
        sys.stderr.write(f"slurm_load_jobs error: {CONTROLLER_WORDS[cluster['controller']]}\n")
        return 1
    ids = [part for part in options.get("-j", "").split(",") if part]
    for job_id in ids:
        if not re.fullmatch(r"[1-9]\d*(?:_.*)?", job_id):
            sys.stderr.write(f"squeue: error: Invalid job id: {job_id}\n")
            return 1
    jobs = [job for job in cluster["jobs"] if job["in_queue"]]
    if ids:
        jobs = [job for job in jobs if any(matches(job, job_id) for job_id in ids)]
        if not jobs and len(ids) == 1 and "_" not in ids[0]:
            sys.stderr.write("slurm_load_jobs error: Invalid job id specified\n")
            return 1
    states = options.get("-t", os.environ.get("SQUEUE_STATES", ""))
    if states in ("PD", "PENDING"):
        jobs = [job for job in jobs if job["state"] == "PENDING"]
    elif states != "all":
        jobs = [job for job in jobs if job["state"] in ACTIVE]
    layout = _layout(options)
    for job, indices in _folded(jobs, split="-r" in options):
        row = "".join(_column(name, job, indices) + suffix for name, suffix in layout)
        sys.stdout.write(f"{row}\n")
    return 0


def _options(argv: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.removeprefix("--").partition("=")
        if word.startswith("--"):
            key = _NAMES.get(name) or _SWITCHES.get(name, word)
        else:
            key, value, has_value = word[:2], word[2:], word[2:]
        if key in _WITH_VALUE:
            options[key] = value if has_value else rest.pop(0)
        else:
            options[key] = ""
    return options


def _layout(options: dict[str, str]) -> list[tuple[str, str]]:
    if "-O" in options:
        return [(name, suffix) for name, _, suffix in (part.partition(":") for part in options["-O"].split(","))]
    letters = options.get("-o", os.environ.get("SQUEUE_FORMAT", "%i %T"))
    parts = re.findall(r"%(\w)([^%]*)", letters)
    return [(_LETTERS.get(letter, letter), between) for letter, between in parts]


def _folded(jobs: list[Record], *, split: bool) -> list[tuple[Record, list[int]]]:
    """Return jobs with the elements that their line stands for: what waits of an array is one line."""
    lines: list[tuple[Record, list[int]]] = []
    waiting: dict[tuple[int, str], list[int]] = {}
    for job in jobs:
        if job["index"] is None or split or job["start"] is not None:
            lines.append((job, [] if job["index"] is None else [job["index"]]))
            continue
        key = (job["array_id"], job["state"])
        if key in waiting:
            waiting[key].append(job["index"])
        else:
            waiting[key] = [job["index"]]
            lines.append((job, waiting[key]))
    return lines


def _column(name: str, job: Record, indices: list[int]) -> str:
    is_single = job["start"] is not None or not indices
    if name in ("ArrayTaskID", "JobArrayID"):
        if not indices:
            return "N/A" if name == "ArrayTaskID" else native_id(job)
        text = _cut(fold(indices) + _throttle(job)) if not is_single else str(indices[0])
        return text if name == "ArrayTaskID" else f"{job['array_id']}_{text if is_single else f'[{text}]'}"
    if name in ("StartTime", "EndTime"):
        return show_time(job["start" if name == "StartTime" else "end"], "N/A")
    values = {
        "JobID": job["id"],
        "ArrayJobID": job["array_id"],
        "State": job["state"],
        "exit_code": job["status"],
        "RestartCnt": job["restarts"],
        "NodeList": job["nodes"],
        "Reason": job["reason"],
        "Name": job["name"],
        "Comment": job["comment"] if job["comment"] is not None else "(null)",
        "Command": job["command"] or "(null)",
        "Dependency": f"{job['dependency']}(unfulfilled)" if job["dependency"] else "(null)",
    }
    return str(values.get(name, ""))


def _throttle(job: Record) -> str:
    _, percent, limit = str(job["array"]).partition("%")
    return percent + limit


def _cut(text: str) -> str:
    limit = int(os.environ.get("SLURM_BITSTR_LEN", _CUT))
    return text if not limit or len(text) < limit else text[: limit - 4] + "..."


def show_time(seconds: int | None, nothing: str) -> str:
    """Return a time as Slurm's programs print it."""
    if seconds is None:
        return nothing
    form = os.environ.get("SLURM_TIME_FORMAT", "%Y-%m-%dT%H:%M:%S")
    return str(seconds) if form == "%s" else time.strftime(form, time.localtime(seconds))
