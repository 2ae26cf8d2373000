"""Answer as qselect of OpenPBS 23.06.06 does."""

from __future__ import annotations

import re
import sys
import time

from molq.testing.fake_programs import Record
from molq_pbs.testing.cluster_file import job_id
from molq_pbs.testing.fake_errors import say
from molq_pbs.testing.job_attributes import shown_state

_USAGE = """\
usage: qselect [-a [op]date_time] [-A account_string] [-c [op]interval]
\t[-h hold_list] [-H] [-J] [-l resource_list] [-N name] [-p [op]priority]
\t[-q destination] [-r y|n] [-s states] [-t subopt[op]date_time] [-T] [-P project_name]
\t[-x] [-u user_name]
       qselect --version"""
_WITH_VALUE = "AhlNpqrstPuac"
_NAME = re.compile(r"[A-Za-z0-9_.+-]+")


def qselect(argv: list[str], cluster: Record) -> int:
    """Print the ids of the jobs that fit."""
    options: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        letter, value = word[1:2], word[2:]
        if letter in _WITH_VALUE:
            options[letter] = value or rest.pop(0)
        elif letter and letter in "HJTx" and not (letter in "HTx" and cluster["dialect"] == "torque"):
            options[letter] = ""
        else:
            return say(f"qselect: invalid option -- '{letter}'\n{_USAGE}", 2)
    if "N" in options and not _NAME.fullmatch(options["N"]):
        return say(f"qselect: illegal -N value\n{_USAGE}", 2)
    if "q" in options and options["q"] not in cluster["queues"]:
        return say("qselect: Unknown queue destination", 170)
    if ("x" in options or "H" in options) and not cluster["history"]:
        return say("qselect: PBS is not configured to maintain job history", 0)
    for job in cluster["jobs"]:
        if job["is_kept"] and _fits(cluster, job, options):
            for index in job["array"] if "T" in options and job["array"] is not None else [None]:
                if _has_state(job, index, options):
                    sys.stdout.write(f"{job_id(cluster, job, index)}\n")
    return 0


def _fits(cluster: Record, job: Record, options: dict[str, str]) -> bool:
    is_over = job["state"] == "F"
    if is_over and not ("x" in options or "H" in options or cluster["dialect"] == "torque"):
        return False
    owner = "stranger" if job["is_strangers"] else cluster["user"]
    wanted = {"N": job["name"], "A": job["account"], "q": job["queue"], "u": owner, "P": job["options"].get("P")}
    if any(options[letter] != value for letter, value in wanted.items() if letter in options):
        return False
    if ("J" in options and job["array"] is None) or ("H" in options and not is_over):
        return False
    since = re.fullmatch(r"c\.gt\.(\d{12}\.\d\d)", options.get("t", "c.gt.197001020000.00"))
    if since is None:
        return False
    return bool(job["submitted"] > time.mktime(time.strptime(since[1], "%Y%m%d%H%M.%S")))


def _has_state(job: Record, index: int | None, options: dict[str, str]) -> bool:
    return "s" not in options or shown_state(job, index) in options["s"]
