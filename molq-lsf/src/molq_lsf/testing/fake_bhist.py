"""Answer as bhist of OpenLava 2.2 does, with the termination reasons of Spectrum LSF where that is faked."""

from __future__ import annotations

import re
import sys
import time

from molq.testing.fake_programs import Record
from molq_lsf.testing.cluster_file import OVER, is_named, matches, native_id, shown_name

_STATES = "  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL\n"
_LINE = "-" * 78 + "\n"
_FIRST, _REST = 79, 58


def bhist(argv: list[str], cluster: Record) -> int:
    """Print the history of the fake cluster's jobs."""
    if cluster["history"] == "down":
        sys.stderr.write("ls_getclustername(): LIM is down; try later\n")
        return 255
    options: Record = {}
    ids = _parse(argv, options)
    for job_id in ids:
        if not re.fullmatch(r"\d+(?:\[[\d,:-]+\])?", job_id):
            sys.stderr.write(f"{job_id}: Illegal job ID.\n")
            return 255
    jobs = [job for job in cluster["jobs"] if job["in_history"] and cluster["history"] == "on"]
    if "n" not in options:
        jobs = [job for job in jobs if not job.get("is_in_old_log")]
    if ids:
        wanted = {job_id for job_id in ids if "[" not in job_id}
        parts = [job_id for job_id in ids if "[" in job_id]
        jobs = [j for j in jobs if str(j["id"]) in wanted or any(matches(j, part) for part in parts)]
    else:
        jobs = [job for job in jobs if job["user"] == cluster["user"]]
        jobs = [job for job in jobs if "a" in options or job["state"] not in OVER]
        jobs = [job for job in jobs if "J" not in options or is_named(job, options["J"])]
    if not jobs:
        sys.stdout.write("No matching job found\n")
        return 255
    if "l" in options:
        sys.stdout.write(_LINE.join(_long(job) for job in jobs) + "\n")
        return 0
    sys.stdout.write("Summary of time in seconds spent in various states:\n")
    sys.stdout.write("JOBID   USER    JOB_NAME  PEND    PSUSP   RUN     USUSP   SSUSP   UNKWN   TOTAL\n")
    for job in jobs:
        sys.stdout.write(_short(job, is_wide="w" in options))
    sys.stdout.write("\n")
    return 0


def _parse(argv: list[str], options: Record) -> list[str]:
    rest, ids = list(argv), []
    while rest:
        word = rest.pop(0)
        if word in ("-n", "-J", "-Jd", "-u", "-P"):
            options[word[1:]] = rest.pop(0)
        elif word.startswith("-"):
            options.update(dict.fromkeys(word[1:], True))
        else:
            ids.append(word)
    return ids


def _long(job: Record) -> str:
    name = f", Job Name <{shown_name(job)}>" if job["is_named"] else ""
    described = f", Job Description <{job['description']}>" if job["description"] else ""
    first, *events = job["events"]
    text = "\n" + _folded(
        f"Job <{native_id(job)}>{name}{described}, User <{job['user']}>, Project <{job['project']}>, "
        f"Command <{job['command']}>"
    )
    text += _folded(f"{_time(first[0])}: {first[1]}")
    text += _limits(job)
    text += "".join(_folded(f"{_time(at)}: {what}") for at, what in events)
    waited = (job["start"] or job["end"] or job["submit"]) - job["submit"]
    ran = (job["end"] or int(time.time())) - job["start"] if job["start"] is not None else 0
    spent = (waited, 0, ran, 0, 0, 0, waited + ran)
    by = job["end"] or int(time.time())
    text += f"\nSummary of time in seconds spent in various states by  {_time(by)}\n{_STATES}"
    return text + "  " + "".join(f"{seconds:<9}" for seconds in spent[:-1]) + f"{spent[-1]:<12}\n"


def _limits(job: Record) -> str:
    text = ""
    if job["run_limit"] is not None:
        text += f"\n RUNLIMIT                \n {job['run_limit']:.1f} min of vm           \n"
    if job["memory_limit"] is not None:
        text += f"\n MEMLIMIT\n{job['memory_limit']:>7} K\n"
    return text


def _short(job: Record, *, is_wide: bool) -> str:
    user, name = job["user"], shown_name(job)
    if not is_wide:
        user, name = user[:7], name[:9]
    return f"{native_id(job):<7} {user:<7} {name:<9} 1       0       1       0       0       0       2         \n"


def _folded(text: str) -> str:
    """Return a line as LSF prints it: cut after 79 characters, also within words, and the rest below, indented."""
    lines, rest, width = "", text, _FIRST
    while len(rest) >= width:
        lines, rest, width = f"{lines}{rest[:width]}\n{' ' * 21}", rest[width:], _REST
    return f"{lines}{rest}\n"


def _time(at: float) -> str:
    return time.strftime("%a %b %d %H:%M:%S", time.localtime(at))
