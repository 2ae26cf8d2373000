"""Answer as sacct 22.05.8 does."""

from __future__ import annotations

import re
import sys

from molq.testing.fake_programs import Record
from molq_slurm.testing.cluster_file import ACTIVE, PARTITIONS, fold, matches, native_id
from molq_slurm.testing.fake_squeue import show_time

_WITH_VALUE = {"jobs": "-j", "format": "-o", "starttime": "-S", "user": "-u", "clusters": "-M", "name": "--name"}
_FIELDS = {
    *("JobIDRaw", "JobID", "JobName", "Partition", "State", "ExitCode", "Submit", "Start", "End", "TimelimitRaw"),
    *("NodeList", "SubmitLine", "Comment"),
}
_LONGEST_NAME = 255  # of the recorded name of 300 characters
_DOWN = (
    "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection to "
    "host:127.0.0.1:16819: Connection refused\n"
    "sacct: error: Sending PersistInit msg: Connection refused\n"
    "sacct: error: Problem talking to the database: Connection refused\n"
)


def sacct(argv: list[str], cluster: Record) -> int:
    """Print what the fake cluster's accounting knows."""
    options = _options(argv)
    if cluster["accounting"] == "off":
        return _fail("Slurm accounting storage is disabled\n")
    if cluster["accounting"] == "down":
        return _fail(_DOWN)
    ids = [part for part in options.get("-j", "").split(",") if part]
    for job_id in ids:
        if not re.fullmatch(r"\d+(?:[_+].*)?", job_id):
            return _fail(f"sacct: fatal: Bad job/step specified: {job_id}\n")
    fields = options.get("-o", "JobID,JobName,Partition,State,ExitCode").split(",")
    for field in fields:
        if field not in _FIELDS:
            return _fail(f'sacct: error: Invalid field requested: "{field}"\n')
    delimiter = options.get("--delimiter", "|")
    if "-n" not in options:
        sys.stdout.write(delimiter.join(fields) + "\n")
    for job, indices in _lines(cluster, ids):
        sys.stdout.write(delimiter.join(_column(field, job, indices, cluster["lag"]) for field in fields) + "\n")
    return 0


def _options(argv: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.removeprefix("--").partition("=")
        key = _WITH_VALUE.get(name, word.partition("=")[0]) if word.startswith("--") else word
        key = {"--noheader": "-n", "--parsable2": "-P", "--allocations": "-X"}.get(key, key)
        if key in _WITH_VALUE.values():
            options[key] = value if has_value else rest.pop(0)
        else:
            options[key] = value
    return options


def _lines(cluster: Record, ids: list[str]) -> list[tuple[Record, list[int]]]:
    if cluster["lag"] == "nothing":
        return []
    lines: list[tuple[Record, list[int]]] = []
    rests: dict[tuple[int, str], list[int]] = {}
    for job in cluster["jobs"]:
        if not job["in_accounts"] or (ids and not any(matches(job, job_id) for job_id in ids)):
            continue
        # Without a search by id, jobs that never were eligible are left out.
        if not ids and job["start"] is None and (job["reason"] in ("JobHeldUser", "Dependency")):
            continue
        if job["index"] is None or job["start"] is not None:
            lines.append((job, []))
            continue
        key = (job["array_id"], job["state"])
        if key in rests:
            rests[key].append(job["index"])
        elif job["state"] != "CANCELLED" or not job.get("cancelled_alone"):
            rests[key] = [job["index"]]
            lines.append((job, rests[key]))
    return lines


def _column(field: str, job: Record, indices: list[int], lag: str) -> str:
    is_stub = lag == "stub"
    over = job["state"] not in ACTIVE
    state = "PENDING" if is_stub and not over else job["state"]
    if state == "CANCELLED" and job["cancelled_by"] is not None:
        state = f"CANCELLED by {job['cancelled_by']}"
    values = {
        "JobIDRaw": job["id"],
        "JobID": f"{job['array_id']}_[{fold(indices)}]" if indices else native_id(job),
        "JobName": "allocation" if is_stub else _latin(job["name"])[:_LONGEST_NAME] or "allocation",
        "Partition": "" if is_stub else job["partition"],
        "State": state,
        "ExitCode": "0:0" if lag == "state" else _exit_code(job),
        "Submit": show_time(job["submit"], "Unknown"),
        "Start": show_time(job["start"], "None" if over else "Unknown"),
        "End": show_time(job["end"], "Unknown"),
        "TimelimitRaw": PARTITIONS[job["partition"]],
        "NodeList": job["nodes"] or "None assigned",
        "SubmitLine": job["submit_line"],
        "Comment": "",
    }
    return str(values[field])


def _exit_code(job: Record) -> str:
    status: int = job["status"]
    if job["state"] in ("CANCELLED", "PREEMPTED"):
        return "0:0"
    code = status >> 8
    return f"{code - 128 if code >= 128 else code}:{status & 0x7F}"


def _latin(name: str) -> str:
    return "".join(c if ord(c) < 256 else "?" for c in name).replace('"', "`")


def _fail(text: str) -> int:
    sys.stderr.write(text)
    return 1
