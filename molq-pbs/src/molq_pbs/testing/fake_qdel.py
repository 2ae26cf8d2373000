"""Answer as qdel of OpenPBS 23.06.06 does, and let its server crash as that does."""

from __future__ import annotations

import re

from molq.testing.fake_programs import Record
from molq_pbs.testing.cluster_file import find, full_id
from molq_pbs.testing.fake_errors import UNKNOWN_JOB, say
from molq_pbs.testing.job_life import delete

_USAGE = "usage:\n\tqdel [-W force|suppress_email=X] [-x] job_identifier...\n\tqdel --version"


def qdel(argv: list[str], cluster: Record) -> int:
    """Cancel jobs, elements or arrays."""
    is_forced = "-W" in argv and "force" in argv
    operands = [word for word in argv if not word.startswith("-") and word != "force"]
    if not operands:
        return say(_USAGE, 2)
    if any(not re.match(r"\d", word) for word in operands):
        bad = next(word for word in operands if not re.match(r"\d", word))
        return say(f"qdel: illegally formed job identifier: {bad}", 1)
    found = [find(cluster, word) for word in operands]
    known = [one for one in found if one is not None and one[0]["is_kept"]]
    if known and len(known) < len(operands) and found[0] is not None and found[0][0]["state"] != "R":
        for job, index in known:
            delete(cluster, job, index)
        cluster["server"] = "down"
        return 0
    code = 0
    for word, one in zip(operands, found, strict=True):
        said, failure = _delete(cluster, word, one, is_forced=is_forced)
        if said and not code:
            code = say(f"qdel: {said}", failure)
    return code


def _delete(cluster: Record, word: str, found: tuple[Record, int | None] | None, *, is_forced: bool) -> tuple[str, int]:
    """Delete one job; return why not, and the exit code for that."""
    shown = full_id(cluster, word)
    if found is None or not found[0]["is_kept"]:
        return f"{UNKNOWN_JOB[cluster['dialect']]} {shown}", 153
    job, index = found
    run = job if index is None else job["elements"][str(index)]
    if run["state"] == "F":
        if cluster["dialect"] == "torque":
            return f"Request invalid for state of job MSG=invalid state for job - COMPLETE {shown}", 170
        return f"Job has finished {shown}", 35
    if cluster["denies_cancel"] or job["is_strangers"]:
        return f"Unauthorized Request  {shown}", 159
    if run["state"] == "E":
        return f"Request invalid for state of job {shown}", 168
    if run["state"] in "RSB" and cluster["node"] == "down" and not is_forced:
        return f"Server could not connect to MOM {shown}", 222
    delete(cluster, job, index)
    return "", 0
