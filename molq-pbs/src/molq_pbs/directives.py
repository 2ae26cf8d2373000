"""Render a request as a script with PBS's directives."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from molq.backend import JobScheduling, SubmitRejected, expand_indices, format_indices
from molq_pbs.array_ranges import cover
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.prelude import PBS_LOG, PBSRequest, can_take_pbs_log, render_prelude
from molq_pbs.resource_lists import resource_options

_LONGEST_NAME = 230  # OpenPBS 23.06 took 230 characters and refused 236
_LONGEST_TORQUE_NAME = 15
_LONGEST_VALUE = 2000  # qsub of older releases reads a line only up to its 4095th character
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.+-]+", re.ASCII)
_QUEUE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:@[A-Za-z0-9_.:-]+)?", re.ASCII)
_RESERVATION = re.compile(r"[A-Za-z]\d{1,18}(?:\.[A-Za-z0-9_.-]+)?", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:@/+=-]*", re.ASCII)
_ADDRESS = re.compile(r"[A-Za-z0-9_.,@+=/'!%{}~^-]+", re.ASCII)
_DEPENDENCY = re.compile(r"[A-Za-z]+:[A-Za-z0-9_.@:\[\],-]+", re.ASCII)
_PRIORITY = re.compile(r"-?\d{1,4}", re.ASCII)
_LIMIT = re.compile(r"%\d+$")
_LOWEST_PRIORITY, _HIGHEST_PRIORITY = -1024, 1023


def render_script(request: PBSRequest) -> str:
    """Return the script: an interpreter line, one directive a line, molq's prelude, the body.

    Raises:
        SubmitRejected: a value cannot be said to PBS.
    """
    directives = "".join(f"#PBS {option}\n" for option in _options(request))
    return f"#!/bin/sh\n{directives}{render_prelude(request)}{request.body}"


def _options(request: PBSRequest) -> Iterator[str]:
    scheduling, options = request.scheduling, request.options
    is_array = scheduling.array_spec is not None
    yield f"-N {safe_name(request.job_name, options)}"
    yield "-S /bin/sh"
    yield from _spool(request, is_array=is_array)
    yield from resource_options(request.resources, scheduling, options)
    yield from _destination(scheduling, options)
    if scheduling.account is not None:
        letter = "P" if options.account_flag == "project" else "A"
        yield f"-{letter} {_fitting(_ACCOUNT, scheduling.account, 'account', 'letters, digits and any of _.,:@/+=-')}"
    if scheduling.priority is not None:
        yield f"-p {_priority(scheduling.priority)}"
    if scheduling.array_spec is not None:
        yield _array(scheduling.array_spec, options)
    depend = dependency_attribute(request)
    if depend is not None and fits_a_directive(depend):
        yield f"-W {depend}"
    if scheduling.email is not None:
        address = _fitting(_ADDRESS, scheduling.email, "e-mail address", "an address such as 'me@example.org'")
        yield f'-M "{address}"' if "'" in address else f"-M {address}"
        yield "-m ae"


def dependency_attribute(request: PBSRequest) -> str | None:
    """Return what the job waits for as ``-W`` takes it; None if that is nothing.

    Raises:
        SubmitRejected: it is no expression of PBS.
    """
    if request.dependency is None:
        return None
    wanted = "types and ids such as 'afterok:12.server:13.server,afterany:14.server'"
    return f"depend={_fitting(_DEPENDENCY, request.dependency, 'dependency', wanted)}"


def fits_a_directive(value: str) -> bool:
    """Tell whether every qsub reads the whole of a value in a script; on its command line it may be longer."""
    return len(value) <= _LONGEST_VALUE


def _spool(request: PBSRequest, *, is_array: bool) -> Iterator[str]:
    """Give what PBS itself writes a place. The output of the command goes where it should by the prelude."""
    yield "-j oe"
    if not can_take_pbs_log(request.job_dir):
        yield "-k oe"
        return
    index = ".^array_index^" if is_array and not request.options.is_torque else ""
    yield f"-o {request.job_dir}/{PBS_LOG}{index}"


def _destination(scheduling: JobScheduling, options: PBSSchedulerOptions) -> Iterator[str]:
    queue, reservation = scheduling.queue, scheduling.reservation
    if reservation is not None:
        if options.is_torque:
            raise SubmitRejected(
                "Torque itself has no reservations; drop reservation, or use the flag of your scheduler"
            )
        if queue is not None:
            raise SubmitRejected(
                f"a reservation of PBS is a queue of its own, so a job is either in {reservation!r} or in queue "
                f"{queue!r}; drop one of the two"
            )
        wanted = "its id, such as 'R123' or 'R123.server', as pbs_rstat shows it"
        yield f"-q {_fitting(_RESERVATION, reservation, 'reservation', wanted).partition('.')[0]}"
    elif queue is not None:
        yield f"-q {_fitting(_QUEUE, queue, 'queue', 'letters, digits and any of _.-, perhaps with @server')}"


def _priority(text: str) -> int:
    if not _PRIORITY.fullmatch(text) or not _LOWEST_PRIORITY <= int(text) <= _HIGHEST_PRIORITY:
        raise SubmitRejected(
            f"PBS's priority is a whole number from {_LOWEST_PRIORITY} to {_HIGHEST_PRIORITY}, not {text!r}"
        )
    return int(text)


def _array(spec: str, options: PBSSchedulerOptions) -> str:
    indices = expand_indices(spec)
    limit = match[0] if (match := _LIMIT.search(spec)) else ""
    if options.is_torque:
        return f"-t {format_indices(indices)}{limit}"
    return f"-J {cover(indices)}{limit}"


def _fitting(pattern: re.Pattern[str], value: str, field: str, wanted: str) -> str:
    if not pattern.fullmatch(value):
        raise SubmitRejected(f"PBS cannot be told the {field} {value!r}; use {wanted}")
    return value


def safe_name(name: str, options: PBSSchedulerOptions) -> str:
    """Return a job name that PBS takes: letters, digits and ``_.+-``. The true name stays in molq's store.

    Accents are dropped and all else becomes ``_``. A name begins with a letter or a digit, on Torque with a letter.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    safe = _NOT_IN_NAMES.sub("_", plain).lstrip("_.+-")
    if not safe:
        return "molq"
    if options.is_torque:
        safe = safe if safe[0].isalpha() else f"j{safe}"
        return safe[:_LONGEST_TORQUE_NAME]
    return safe[:_LONGEST_NAME]
