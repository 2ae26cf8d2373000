"""Render a request as a batch script with LSF's directives."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from molq.backend import JobResources, JobScheduling, Memory, SubmitRejected, SubmitRequest, expand_indices
from molq_lsf.options import LSFSchedulerOptions, MemoryPer
from molq_lsf.tags import name_argument

LSFRequest = SubmitRequest[LSFSchedulerOptions]

# Field of JobScheduling -> option of bsub whose value is the field's as it is.
# Source: bsub(1) of OpenLava 2.2 and IBM Spectrum LSF 10.1.
_AS_IT_IS = {
    "account": "-P",
    "queue": "-q",
    "reservation": "-U",
}

_KB = {"KB": 1, "MB": 2**10, "GB": 2**20, "TB": 2**30}
_PLAIN = re.compile(r"[A-Za-z0-9_./,:%=@+!~^-]+", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_./,:%=@+!~^'-]+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PRIORITY = re.compile(r"[1-9]\d{0,9}", re.ASCII)
_LARGEST_PRIORITY = 2**31 - 1

# LSF's own -o would hold the output back until the job is over, behind a report of LSF's. What was written before a
# requeue stays. `true` is no special builtin, so that the shell survives if it cannot write.
_PRELUDE = """\
molq_dir={job_dir}
molq_element={element}
molq_stdout={stdout}"$molq_element"
molq_stderr={stderr}"$molq_element"
for molq_file in "$molq_stdout" "$molq_stderr"; do
    if [ -e "$molq_dir/start$molq_element" ]; then true >>"$molq_file"; else true >"$molq_file"; fi && continue
    [ -e "$molq_dir/exit$molq_element" ] ||
        printf '1 cannot write the output file %s\\n' "$molq_file" >"$molq_dir/exit$molq_element"
    exit 1
done
exec >>"$molq_stdout" 2>>"$molq_stderr"
"""


def render_script(request: LSFRequest) -> str:
    """Return the script: an interpreter line, one directive a line, where the output goes, the body.

    Raises:
        SubmitRejected: a value cannot be said to LSF.
    """
    directives = "".join(f"#BSUB {option}\n" for option in _options(request))
    return f"#!/bin/sh\n{directives}{_prelude(request)}{request.body}"


def header_of(script: str) -> str:
    """Return the lines of a script that bsub reads as directives."""
    lines = script.splitlines(keepends=True)
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[:end])


def submitted_text(script: str, path: str) -> str:
    """Return what bsub is given on standard input: the directives, and a line that runs the script.

    bsub takes each line that begins with ``#BSUB`` for a directive, wherever it stands, OpenLava's stops at a line
    ``_USER_SCRIPT_`` and cuts long lines in pieces. So the rest of the script, which holds the user's command, stays
    out of its sight, and so does the one directive that may be long, for which there is ``dependency_arguments``.
    """
    header = "".join(line for line in header_of(script).splitlines(keepends=True) if not line.startswith("#BSUB -w "))
    return f"{header}exec /bin/sh {shlex.quote(path)}\n"


def dependency_arguments(request: LSFRequest) -> list[str]:
    """Return the arguments of bsub that say what the job waits for."""
    return [] if request.dependency is None else ["-w", request.dependency]


def needs_spectrum(request: LSFRequest) -> str | None:
    """Return the name of a field that only IBM's LSF can express as it would be sent; None if there is none."""
    if request.scheduling.reservation is not None:
        return "reservation"
    return "gpu_count" if _asks_for_gpus(request.resources) and request.options.gpu_syntax == "gpu" else None


def refuse_on_openlava(field: str) -> SubmitRejected:
    """Return the refusal of a field that OpenLava has no option for."""
    hint = "; set gpu_syntax='rusage' if the site has a resource for GPUs" if field == "gpu_count" else ""
    return SubmitRejected(f"OpenLava has no {field}{hint}")


def _options(request: LSFRequest) -> Iterator[str]:
    scheduling, resources, options = request.scheduling, request.resources, request.options
    field = needs_spectrum(request) if options.dialect == "openlava" else None
    if field is not None:
        raise refuse_on_openlava(field)
    if _CONTROL.search(str(request.job_dir)):
        raise SubmitRejected(f"the path {str(request.job_dir)!r} has a control character, which bsub would not pass on")
    if scheduling.array_spec is not None and expand_indices(scheduling.array_spec)[0] == 0:
        raise SubmitRejected(f"LSF's arrays begin at index 1, so it has no element 0 of {scheduling.array_spec!r}")
    yield f"-J {_quoted(name_argument(request))}"
    yield "-o /dev/null"  # without it LSF sends a mail
    nodes, cores = scheduling.node_count or 1, resources.cpu_count or 1
    if scheduling.node_count is not None or resources.cpu_count is not None:
        yield f"-n {nodes * cores}"
    if resources.memory is not None and options.memory_flag in ("both", "limit"):
        yield f"-M {_in_unit(_counted(resources.memory, options.memory_limit_per, request), options.memory_unit)}"
    requirements = list(_requirements(request))
    if requirements:
        yield f"-R {_quoted(' '.join(requirements))}"
    if _asks_for_gpus(resources) and options.gpu_syntax == "gpu":
        model = f":gmodel={resources.gpu_type}" if resources.gpu_type else ""
        yield f"-gpu {_quoted(f'num={resources.gpu_count or 1}{model}')}"
    if resources.time_limit is not None:
        yield f"-W {resources.time_limit.to_lsf_minutes()}"
    yield from _scheduling(scheduling)
    if request.dependency is not None:
        yield f"-w {_quoted(request.dependency)}"


def _asks_for_gpus(resources: JobResources) -> bool:
    return resources.gpu_count is not None or resources.gpu_type is not None


def _scheduling(scheduling: JobScheduling) -> Iterator[str]:
    for field, option in _AS_IT_IS.items():
        value = getattr(scheduling, field)
        if value is not None:
            yield f"{option} {_word(field, value)}"
    if scheduling.exclusive_node:
        yield "-x"
    if scheduling.priority is not None:
        if not _PRIORITY.fullmatch(scheduling.priority) or int(scheduling.priority) > _LARGEST_PRIORITY:
            raise SubmitRejected(
                f"LSF's priority is a whole number from 1 to the site's MAX_USER_PRIORITY, not {scheduling.priority!r}"
            )
        yield f"-sp {int(scheduling.priority)}"
    if scheduling.email is not None:
        yield f"-u {_word('email', scheduling.email)}"
        yield "-N"  # without it there is no mail, since the output has a file


def _requirements(request: LSFRequest) -> Iterator[str]:
    """Yield the parts of the resource requirement string."""
    resources, options = request.resources, request.options
    if request.scheduling.node_count is not None or resources.cpu_count is not None:
        yield f"span[ptile={resources.cpu_count or 1}]"
    usage = []
    if resources.memory is not None and options.memory_flag in ("both", "reservation"):
        # Only units larger than its default, MB, change what rusage[mem] is counted in.
        unit = "MB" if options.memory_unit == "KB" else options.memory_unit
        usage.append(f"mem={_in_unit(_counted(resources.memory, options.memory_per, request), unit)}")
    if _asks_for_gpus(resources) and options.gpu_syntax == "rusage":
        if resources.gpu_type is not None:
            raise SubmitRejected(
                f"a kind of GPU cannot be asked for by rusage[{options.gpu_resource}]; drop gpu_type, or choose a "
                "queue or a resource of the site's by extra_bsub_flags"
            )
        usage.append(f"{options.gpu_resource}={resources.gpu_count}")
    if usage:
        yield f"rusage[{','.join(usage)}]"


def _counted(memory: Memory, per: MemoryPer, request: LSFRequest) -> Memory:
    """Return the amount for what the site counts by; molq's is per node."""
    cores, nodes = request.resources.cpu_count or 1, request.scheduling.node_count or 1
    if per == "core":
        return Memory(-(-memory.bytes // cores))
    return Memory(memory.bytes * nodes) if per == "job" else memory


def _in_unit(memory: Memory, unit: str) -> int:
    """Return whole units, rounded up."""
    return -(-memory.to_lsf_kb() // _KB[unit])


def _prelude(request: LSFRequest) -> str:
    return _PRELUDE.format(
        job_dir=shlex.quote(str(request.job_dir)),
        element="''" if request.scheduling.array_spec is None else '".${LSB_JOBINDEX:?}"',
        stdout=shlex.quote(str(request.stdout_path)),
        stderr=shlex.quote(str(request.stderr_path)),
    )


def _word(field: str, value: str) -> str:
    if not _WORD.fullmatch(value):
        raise SubmitRejected(
            f"LSF cannot be given {value!r} as {field}: it may have letters, digits and _./,:%=@+!~^'-"
        )
    return _quoted(value)


def _quoted(text: str) -> str:
    """Quote a value for a directive: one kind of quotes around it, in which bsub knows no escapes.

    Raises:
        SubmitRejected: it has quotes of both kinds.
    """
    if _PLAIN.fullmatch(text):
        return text
    if '"' not in text:
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    raise SubmitRejected(f"bsub cannot be given {text!r}, which has quotes of both kinds; use one kind")
