"""Render a request as a batch script with Slurm's directives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from molq.backend import JobScheduling, Memory, SubmitRejected, SubmitRequest
from molq_slurm.options import SlurmSchedulerOptions

SlurmRequest = SubmitRequest[SlurmSchedulerOptions]

# Field of JobScheduling -> option of sbatch whose value is the field's as it is.
# Source: https://slurm.schedmd.com/sbatch.html
_AS_IT_IS = {
    "account": "account",
    "array_spec": "array",
    "qos": "qos",
    "queue": "partition",
    "reservation": "reservation",
}

_LONGEST_NAME = 200  # Slurm 22.05 took 300 characters and refused 5000.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NUMBER = re.compile(r"-?\d{1,10}", re.ASCII)
_LARGEST_PRIORITY = 2**32 - 2


def render_script(request: SlurmRequest) -> str:
    """Return the script: an interpreter line, one directive a line, the body.

    Raises:
        SubmitRejected: a value cannot be said to Slurm.
    """
    directives = "".join(f"#SBATCH --{option}\n" for option in _options(request))
    return f"#!/bin/sh\n{directives}{request.body}"


def _options(request: SlurmRequest) -> Iterator[str]:
    scheduling, resources = request.scheduling, request.resources
    is_array = scheduling.array_spec is not None
    yield f"job-name={_quoted(safe_name(request.job_name))}"
    yield f"chdir={_quoted(_one_line(request.cwd))}"
    yield f"output={_quoted(output_pattern(request.stdout_path, is_array=is_array))}"
    yield f"error={_quoted(output_pattern(request.stderr_path, is_array=is_array))}"
    if {request.stdout_path.parent, request.stderr_path.parent} == {request.job_dir}:
        # Files of molq's own keep what was written before a requeue; the user's are Slurm's to begin anew.
        yield "open-mode=append"
    nodes = scheduling.node_count or 1
    yield f"nodes={nodes}"
    yield "ntasks-per-node=1"
    if resources.cpu_count is not None:
        yield f"cpus-per-task={resources.cpu_count}"
    if resources.memory is not None:
        yield from _memory(resources.memory, resources.cpu_count or 1, request.options)
    if resources.gpu_count is not None or resources.gpu_type is not None:
        yield _gpus(resources.gpu_count or 1, resources.gpu_type, nodes, request.options)
    if resources.time_limit is not None:
        yield f"time={resources.time_limit.to_slurm()}"
    for field, option in _AS_IT_IS.items():
        value = getattr(scheduling, field)
        if value is not None:
            yield f"{option}={_quoted(value)}"
    if scheduling.exclusive_node:
        yield "exclusive"
    if request.dependency is not None:
        yield f"dependency={_quoted(request.dependency)}"
        if scheduling.dependency is None:
            # molq itself ends what can never run, and may point the job to another attempt until then.
            yield "kill-on-invalid-dep=no"
    if scheduling.priority is not None:
        yield _priority(scheduling.priority)
    yield from _mail(scheduling)


def _memory(memory: Memory, cpus: int, options: SlurmSchedulerOptions) -> Iterator[str]:
    if options.memory_flag == "mem":
        yield f"mem={memory.to_slurm()}"
    elif options.memory_flag == "mem-per-cpu":
        yield f"mem-per-cpu={Memory(-(-memory.bytes // cpus)).to_slurm()}"


def _gpus(count: int, kind: str | None, nodes: int, options: SlurmSchedulerOptions) -> str:
    typed = f"{kind}:" if kind else ""
    if options.gpu_flag == "gres":
        return f"gres=gpu:{typed}{count}"
    if options.gpu_flag == "gpus":
        return f"gpus={typed}{count * nodes}"
    return f"gpus-per-node={typed}{count}"


def _priority(text: str) -> str:
    """Return the option that fits: a number from 1 on or TOP is a priority, a negative number lowers the usual one.

    sbatch itself takes any other word for 0, and passes over 0 (tried on 22.05.8).
    """
    if text.upper() == "TOP":
        return "priority=TOP"
    if not _NUMBER.fullmatch(text) or int(text) > _LARGEST_PRIORITY or int(text) == 0:
        raise SubmitRejected(
            f"Slurm's priority is a whole number from 1 to {_LARGEST_PRIORITY}, 'TOP', or a negative number that "
            f"lowers the usual priority (its --nice), not {text!r}; for a class of service use qos, and to hold a job "
            "the flag --hold among extra_sbatch_flags"
        )
    return f"nice={-int(text)}" if text.startswith("-") else f"priority={int(text)}"


def _mail(scheduling: JobScheduling) -> Iterator[str]:
    if scheduling.email is not None:
        yield f"mail-user={_quoted(scheduling.email)}"
        yield "mail-type=END,FAIL"  # without it, sbatch takes the address and never writes to it


def safe_name(name: str) -> str:
    """Return a job name that is one line and not too long. The true name stays in molq's store."""
    return _CONTROL.sub(" ", name).strip()[:_LONGEST_NAME] or "molq"


def output_pattern(path: Path, *, is_array: bool = False) -> str:
    """Return the pattern that Slurm expands to ``path``; for an array, to ``path.INDEX``, a file for each element.

    Slurm expands ``%j`` and the like unless the path holds a backslash; then it removes one of each pair of them
    instead (tried on 22.05.8, and https://slurm.schedmd.com/sbatch.html, "filename pattern").

    Raises:
        SubmitRejected: no pattern means this path.
    """
    text = _one_line(path)
    if "\\" not in text:
        return text.replace("%", "%%") + (".%a" if is_array else "")
    if is_array:
        raise SubmitRejected(
            f"Slurm cannot give each element of an array its own file below {text!r}; avoid the backslash"
        )
    return text.replace("\\", "\\\\")


def _one_line(path: Path) -> str:
    text = str(path)
    if _CONTROL.search(text):
        raise SubmitRejected(f"the path {text!r} has a control character, which no directive of Slurm can hold")
    return text


def _quoted(text: str) -> str:
    """Quote a value for a directive: tried on 22.05.8 with quotes of both kinds, backslashes, '#', '$' and spaces."""
    if re.fullmatch(r"[A-Za-z0-9_./,:%=@+-]+", text, re.ASCII):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
