"""Identify this machine's processes and signal them, and never a stranger that got a reused pid."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Mapping

TAG_VARIABLE = b"MOLQ_JOB_ID"
_PR_SET_CHILD_SUBREAPER = 36
_DEAD_STATES = (b"Z", b"X", b"x")


class Process:
    """One line of the process table; ``started`` (clock ticks since boot) makes the pid unique until a reboot."""

    __slots__ = ("group", "is_over", "parent", "pid", "session", "started")

    def __init__(self, pid: int, parent: int, group: int, session: int, started: int, is_over: bool) -> None:
        self.pid = pid
        self.parent = parent
        self.group = group
        self.session = session
        self.started = started
        self.is_over = is_over


def read_process(pid: int) -> Process | None:
    """Return what is known of ``pid``; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            content = file.read(4096)
    except OSError:
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    fields = (content or b"").rpartition(b")")[2].split()
    if len(fields) < 20:
        return None
    return Process(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), fields[0] in _DEAD_STATES)


def tag_of(pid: int) -> bytes | None:
    """Return the job that ``pid`` was started in, by its environment; None if it does not tell."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            content = file.read()
    except OSError:
        return None
    _, found, after = (b"\0" + content).partition(b"\0" + TAG_VARIABLE + b"=")
    return after.partition(b"\0")[0] if found else None


def is_same(pid: int, started: int) -> bool:
    """Tell whether ``pid`` is still the process that started then, and not over."""
    process = read_process(pid)
    return process is not None and process.started == started and not process.is_over


class ProcessTable:
    """The processes of one moment, without this one and without those that are over."""

    __slots__ = ("_processes", "_tags")

    def __init__(self) -> None:
        mine = os.getpid()
        found = (read_process(int(name)) for name in os.listdir("/proc") if name.isdigit())
        self._processes = {p.pid: p for p in found if p is not None and not p.is_over and p.pid != mine}
        self._tags: dict[int, bytes | None] = {}

    def tag(self, pid: int) -> bytes | None:
        """Return the job that ``pid`` was started in."""
        if pid not in self._tags:
            self._tags[pid] = tag_of(pid)
        return self._tags[pid]

    def session_leaders(self) -> dict[bytes, list[Process]]:
        """Return the session leaders of every job, by the job's tag, the oldest first."""
        found: dict[bytes, list[Process]] = {}
        for process in self._processes.values():
            if process.pid == process.session and (tag := self.tag(process.pid)):
                found.setdefault(tag, []).append(process)
        for processes in found.values():
            processes.sort(key=lambda process: (process.started, process.pid))
        return found

    def family(self, tag: bytes, leader: int | None, known: Mapping[int, int]) -> dict[int, int]:
        """Return the processes of a job: pid to start time.

        Args:
            tag: the job, as it stands in its processes' environment.
            leader: the pid of its script, while it is sure that it is still the script's.
            known: processes that were seen to belong to it.
        """
        found = {
            p.pid
            for p in self._processes.values()
            if (leader is not None and leader in (p.pid, p.group, p.session))
            or known.get(p.pid) == p.started
            or self.tag(p.pid) == tag
        }
        children: dict[int, list[int]] = {}
        for process in self._processes.values():
            children.setdefault(process.parent, []).append(process.pid)
        unseen = list(found)
        while unseen:
            for pid in children.get(unseen.pop(), ()):
                if pid not in found:
                    found.add(pid)
                    unseen.append(pid)
        return {pid: self._processes[pid].started for pid in found}

    def children_of(self, parent: int) -> list[int]:
        """Return the children of ``parent``."""
        return [p.pid for p in self._processes.values() if p.parent == parent]


def open_pidfd(pid: int) -> int | None:
    """Return a descriptor that stands for the process, whatever becomes of its pid; None if there cannot be one."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):  # kernels before 5.3
        return None


def send(pid: int, started: int, number: int) -> None:
    """Signal the process that started then, if it is still there."""
    descriptor = open_pidfd(pid)
    try:
        if not is_same(pid, started):
            return
        if descriptor is None:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        if descriptor is not None:
            os.close(descriptor)


def signal_group(leader: int, number: int) -> None:
    """Signal the process group of a child that is not yet reaped, so that its number is surely still its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def boot_id() -> str:
    """Return what tells this run of the machine from every other; empty if it does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def adopt_orphans() -> None:
    """Make descendants whose parent ended come to this process instead of init."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Children:
    """The list of this process's children, which costs one read."""

    __slots__ = ("_file",)

    def __init__(self) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):  # kernels without CONFIG_PROC_CHILDREN
            self._file = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)

    def pids(self) -> list[int]:
        """Return their pids; zombies included, where the kernel has the list."""
        if self._file is None:
            return ProcessTable().children_of(os.getpid())
        return [int(pid) for pid in os.pread(self._file, 65_536, 0).split()]
