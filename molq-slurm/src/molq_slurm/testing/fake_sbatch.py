"""Answer as sbatch 22.05.8 does."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time

from molq.testing.fake_programs import Record
from molq_slurm.testing.cluster_file import DEFAULT_PARTITION, PARTITIONS, expand, judge_dependencies

_FAILED = "sbatch: error: Batch job submission failed: "
_FLAGS = {"parsable", "exclusive", "hold", "requeue", "no-requeue"}
_WITH_VALUE = {
    *("account", "array", "begin", "chdir", "clusters", "comment", "constraint", "cpus-per-task", "dependency"),
    *("error", "export", "gpus", "gpus-per-node", "gres", "job-name", "kill-on-invalid-dep", "mail-type", "mail-user"),
    *("mem", "mem-per-cpu", "nice", "nodes", "ntasks-per-node", "open-mode", "output", "partition", "priority", "qos"),
    *("reservation", "time", "wrap"),
}
_SHORT = {
    "H": "hold",
    "J": "job-name",
    "o": "output",
    "d": "dependency",
    "p": "partition",
    "M": "clusters",
    "N": "nodes",
}
_DEPENDENCY = re.compile(r"(?:after|afterok|afternotok|afterany):\d+(?:_\S+)?(?::\d+)*")
_TIME = re.compile(r"-?\d+(?:-\d+)?(?::\d+){0,2}")


def sbatch(argv: list[str], cluster: Record) -> int:
    """Submit a job to the fake cluster; print its id."""
    options: dict[str, str] = {}
    try:
        operands = _parse(argv, options)
    except ValueError as error:
        return _say(f'sbatch: {error}\nTry "sbatch --help" for more information', 255)
    if "wrap" in options:
        script, path = f"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{options['wrap']}\n", ""
    else:
        path = operands[0] if operands else ""
        try:
            with open(path, "rb") as file:
                script = os.fsdecode(file.read())
        except OSError:
            return _say(f"sbatch: error: Unable to open file {path}", 1)
    problem = _problem_of_script(script)
    if problem:
        return _say(problem, 1)
    merged: dict[str, str] = {}
    for line in script.splitlines()[1:]:
        if not line.startswith("#"):
            break
        if line.startswith("#SBATCH"):
            _parse(shlex.split(line[7:], comments=True), merged)
    if "SBATCH_PARTITION" in os.environ:
        merged["partition"] = os.environ["SBATCH_PARTITION"]
    if "SBATCH_HOLD" in os.environ:
        merged["hold"] = ""
    merged.update(options)
    if "time" in merged and not _TIME.fullmatch(merged["time"]):
        return _say("sbatch: error: Invalid --time specification", 255)
    refusal = _refusal(merged)
    if refusal:
        return _say(refusal, 1)
    return _answer(merged, cluster, _record(argv, merged, path, script))


def _answer(options: dict[str, str], cluster: Record, job: Record) -> int:
    if cluster["controller"] == "down":
        return _say(_FAILED + "Unable to contact slurm controller (connect failure)", 1)
    if cluster["controller"] == "hung":
        cluster["unheard"].append(job)
        return _say(_FAILED + "Socket timed out on send/recv operation", 1)
    job_id = accept(cluster, job)
    if cluster["lose_reply"]:
        cluster["lose_reply"] = False
        return _say(_FAILED + "Socket timed out on send/recv operation", 1)
    sys.stdout.write(cluster["banner"])
    shown = f"{job_id};{options['clusters']}" if "clusters" in options else str(job_id)
    sys.stdout.write(f"{shown}\n" if "parsable" in options else f"Submitted batch job {job_id}\n")
    return 0


def accept(cluster: Record, job: Record) -> int:
    """Give a job its id and put it into the queue: one record, or one for each element of its array."""
    job_id: int = cluster["next_id"]
    cluster["next_id"] += 1
    indices = [None] if job["array"] is None else expand(job["array"])
    for index in indices:
        cluster["jobs"].append({**job, "id": job_id, "array_id": job_id, "index": index})
    judge_dependencies(cluster)
    return job_id


def _parse(words: list[str], options: dict[str, str]) -> list[str]:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        name, has_value, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            name, value, has_value = _SHORT.get(word[1], word), word[2:], "=" if word[2:] else ""
        if name in _FLAGS:
            options[name] = ""
        elif name not in _WITH_VALUE:
            raise ValueError(f"unrecognized option '{word}'")
        else:
            options[name] = value if has_value else rest.pop(0)
    return rest


def _problem_of_script(script: str) -> str | None:
    if not script.strip():
        return "sbatch: error: Batch script is empty!"
    if not script.startswith("#!"):
        return (
            "sbatch: error: This does not look like a batch script.  The first\n"
            "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
            "sbatch: error: For instance: #!/bin/sh"
        )
    if "\r\n" in script:
        return (
            "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"
            "sbatch: error: instead of expected UNIX line breaks (\\n)."
        )
    return None


def _refusal(options: dict[str, str]) -> str | None:
    """Return the words with which the controller refuses the job."""
    unavailable = f"{_FAILED}Requested node configuration is not available"
    for partition in options.get("partition", DEFAULT_PARTITION).split(","):
        if partition not in PARTITIONS:
            return f"sbatch: error: invalid partition specified: {partition}\n{_FAILED}Invalid partition name specified"
    if re.fullmatch(r"\d+T|\d{6,}G", options.get("mem", "")):
        return f"sbatch: error: Memory specification can not be satisfied\n{unavailable}"
    if "reservation" in options:
        return f"{_FAILED}Requested reservation is invalid"
    if options.get("gres", "").startswith("gpu") and options.get("partition") != "gpu":
        return unavailable
    if options.get("dependency") and not all(map(_DEPENDENCY.fullmatch, options["dependency"].split(","))):
        return f"{_FAILED}Job dependency problem"
    return None


def _record(argv: list[str], options: dict[str, str], path: str, script: str) -> Record:
    return {
        "name": options.get("job-name", os.path.basename(path) or "wrap"),
        "comment": options.get("comment"),
        "command": path or None,
        "submit_line": " ".join(["sbatch", *argv]),
        "script": script,
        "options": options,
        "environment": {name: value for name, value in os.environ.items() if not name.startswith("MOLQ_FAKE_")},
        "array": options.get("array"),
        "partition": options.get("partition", DEFAULT_PARTITION),
        "dependency": options.get("dependency", ""),
        "state": "PENDING",
        "reason": "JobHeldUser" if "hold" in options else "None",
        "status": 0,
        "restarts": 0,
        "submit": int(time.time()),
        "start": None,
        "end": None,
        "nodes": "",
        "cancelled_by": None,
        "in_queue": True,
        "in_accounts": True,
    }


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code
