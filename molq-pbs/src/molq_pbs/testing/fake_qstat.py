"""Answer as qstat of OpenPBS 23.06.06 does, or as Torque's documentation says."""

from __future__ import annotations

import sys

from molq.testing.fake_programs import Record
from molq_pbs.testing.cluster_file import find, full_id, job_id
from molq_pbs.testing.fake_errors import HISTORY_OFF, JOB_IS_OVER, UNKNOWN_JOB, say
from molq_pbs.testing.job_attributes import attributes, shown_state

_USAGE = "usage: \nqstat [-f] [-J] [-p] [-t] [-x] [-E] [ job_identifier... | destination... ]"
_HEADER = (
    "Job id            Name             User              Time Use S Queue\n"
    "----------------  ---------------- ----------------  -------- - -----\n"
)
_SERVER = """\
Server: {host}
    server_state = Active
    server_host = {host}
    scheduling = True
    default_queue = {queue}
    max_array_size = 10000
    pbs_version = 23.06.06
{history}
"""
_LONGEST_NAME = 15


def qstat(argv: list[str], cluster: Record) -> int:
    """Print the fake cluster's jobs."""
    is_torque = cluster["dialect"] == "torque"
    flags = [word for word in argv if word.startswith("-")]
    letters = {letter for word in flags for letter in word[1:]}
    operands = [word for word in argv if not word.startswith("-")]
    if is_torque and letters & set("Ew"):
        return say(f"qstat: invalid option -- '{min(letters & set('Ew'))}'\n{_USAGE}", 2)
    if is_torque and "x" in letters:
        sys.stdout.write("<Data></Data>\n")
        return 0
    if letters - set("fxwtEBQ1"):
        return say(f"qstat: invalid option -- '{min(letters - set('fxwtEBQ1'))}'\n{_USAGE}", 2)
    if "B" in letters or "Q" in letters:
        return _about_the_site(cluster, letters)
    if not operands:
        shown = [(job, index) for job in cluster["jobs"] for index in _indices(job, letters) if _is_seen(job, letters)]
        _print(cluster, shown, letters, with_header=True)
        return 0
    if "E" in letters:
        return _grouped(cluster, operands, letters)
    return _one_by_one(cluster, operands, letters)


def _one_by_one(cluster: Record, operands: list[str], letters: set[str]) -> int:
    code, with_header = 0, True
    for operand in operands:
        shown, problem, failure = _look_up(cluster, operand, letters)
        if problem:
            say(problem, 0)
            code = failure
        # The header is that of the first operand only, whether it is known or not.
        _print(cluster, shown, letters, with_header=with_header)
        with_header = False
    return code


def _grouped(cluster: Record, operands: list[str], letters: set[str]) -> int:
    """Answer ``-E``: what is not known is passed over without a word, unless nothing is known."""
    answers = [_look_up(cluster, operand, letters) for operand in sorted(set(operands), key=_number)]
    shown = [item for found, _, _ in answers for item in found]
    if not cluster["history"] and "x" in letters:
        return say(answers[-1][1], answers[-1][2])
    if not shown:
        return say(answers[-1][1], answers[-1][2])
    _print(cluster, shown, letters, with_header=True)
    return 0


def _number(operand: str) -> int:
    digits = operand.partition(".")[0].partition("[")[0]
    return int(digits) if digits.isdecimal() else 0


def _look_up(cluster: Record, operand: str, letters: set[str]) -> tuple[list[tuple[Record, int | None]], str, int]:
    """Return what to show of an operand, or what is wrong with it and the exit code for that."""
    server = operand.partition(".")[2]
    if server and server != cluster["host"]:
        return [], f"qstat: illegally formed job identifier: {operand}", 1
    if not operand[:1].isdecimal():
        return [], f"qstat: Unknown queue destination {operand}", 170
    shown_id = full_id(cluster, operand)
    if "x" in letters and not cluster["history"]:
        return [], HISTORY_OFF.format(shown_id), 0
    found = find(cluster, operand)
    if found is None or not found[0]["is_kept"]:
        return [], f"qstat: {UNKNOWN_JOB[cluster['dialect']]} {shown_id}", 153
    job, index = found
    if not _is_seen(job, letters) and cluster["dialect"] == "openpbs":
        return [], JOB_IS_OVER.format(shown_id), 35
    indices = [index] if index is not None else _indices(job, letters)
    return [(job, one) for one in indices], "", 0


def _is_seen(job: Record, letters: set[str]) -> bool:
    return bool(job["is_kept"]) and (job["state"] != "F" or "x" in letters)


def _indices(job: Record, letters: set[str]) -> list[int | None]:
    return [None, *(job["array"] or ())] if "t" in letters else [None]


def _print(cluster: Record, shown: list[tuple[Record, int | None]], letters: set[str], *, with_header: bool) -> None:
    if "f" in letters:
        for job, index in shown:
            sys.stdout.write(f"Job Id: {job_id(cluster, job, index)}\n")
            for name, value in attributes(cluster, job, index):
                sys.stdout.write(f"    {name} = {value if 'w' in letters or '1' in letters else _folded(value)}\n")
            sys.stdout.write("\n")
        return
    if shown and with_header:
        sys.stdout.write(_HEADER)
    for job, index in shown:
        run = job if index is None else job["elements"][str(index)]
        name = job["name"] if len(job["name"]) <= _LONGEST_NAME else f"{job['name'][:_LONGEST_NAME]}*"
        used = "00:00:00" if run["run_count"] and run["state"] not in "QHW" else "0"
        row = (
            f"{job_id(cluster, job, index):<17} {name:<16} {cluster['user']:<16}  {used:>8} {shown_state(job, index)} "
        )
        sys.stdout.write(f"{row}{job['queue']:<16}\n")


def _folded(value: str) -> str:
    """Fold a long value, as it is without -w; a line break in it stays one."""
    return value.replace("\\n", "\n").replace(",", ",\n\t")


def _about_the_site(cluster: Record, letters: set[str]) -> int:
    if "B" in letters:
        history = "    job_history_enable = True\n" if cluster["history"] else ""
        sys.stdout.write(_SERVER.format(host=cluster["host"], queue=cluster["queues"][0], history=history))
        return 0
    for queue in cluster["queues"]:
        sys.stdout.write(f"Queue: {queue}\n    queue_type = Execution\n    enabled = True\n    started = True\n\n")
    return 0
