"""Tell what this machine and its queue are like."""

from __future__ import annotations

import os
import re

from molq.backend import Finding
from molq_local import admission, wake
from molq_local.options import LocalSchedulerOptions
from molq_local.place import Place, file_system
from molq_local.queue_file import QueueError, QueueFile
from molq_local.queue_requests import Requests

_UMASK = re.compile(rb"^Umask:\s*([0-7]+)$", re.MULTILINE)


def current_umask() -> int:
    """Return this process's umask."""
    try:
        with open("/proc/self/status", "rb") as file:
            if found := _UMASK.search(file.read()):
                return int(found[1], 8)
    except OSError:
        pass
    # Kernels before 4.7 only tell it when it is set.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def probe(options: LocalSchedulerOptions) -> tuple[Finding, ...]:
    """Return what ``molq doctor`` tells of the local queue."""
    place = Place(options.folder())
    capacity = admission.counted(options.cpu_capacity(), "CPU", "CPUs")
    findings = [
        Finding(name="queue", value=place.queue),
        Finding(name="file system", value=file_system(place.folder) or "unknown", meaning=_meaning_of_host(place)),
        Finding(name="capacity", value=f"{capacity}, {admission.readable_bytes(options.memory_capacity())}"),
        Finding(name="agent", value=_agent(place)),
    ]
    if not os.path.isdir("/proc/self"):
        meaning = "The local queue needs Linux and its /proc: jobs cannot be submitted here."
        findings.append(Finding(name="/proc", value="missing", is_problem=True, meaning=meaning))
    return (*findings, _jobs(place))


def _jobs(place: Place) -> Finding:
    if not os.path.exists(place.queue):
        return Finding(name="jobs", value="none", meaning="The queue is made with the first job.")
    try:
        with QueueFile(place) as queue:
            counts = Requests(queue).counts()
    except QueueError as error:
        return Finding(name="jobs", value="unknown", is_problem=True, meaning=str(error))
    return Finding(name="jobs", value=", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "none")


def _agent(place: Place) -> str:
    if not wake.is_awake(place):
        return "asleep"
    try:
        with open(place.lock, encoding="ascii") as file:
            return f"pid {int(file.read())}"
    except (OSError, ValueError):
        return "awake"


def _meaning_of_host(place: Place) -> str:
    if not place.host:
        return ""
    return f"Other hosts see this folder too: each runs the jobs that were submitted on it, this one as {place.host!r}."
