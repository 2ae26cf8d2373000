"""One job that runs, and how it is brought to its end."""

from __future__ import annotations

import os
import signal

from molq_local import processes
from molq_local.processes import ProcessTable
from molq_local.queue_ledger import Job

_WATCH_EVERY = 0.05
_GIVE_UP_AFTER = 30.0


class WatchedJob:
    """A job whose process the agent watches.

    Attributes:
        job: its row.
        pid: the process of its script.
        is_child: whether that is a child of this agent; an adopted one is watched by ``pidfd``, or by looking.
        pidfd: the descriptor of an adopted process, where the kernel has such.
        started: the start time of the process; known when it was recorded or adopted.
        launched: when it was launched, on the monotonic clock.
        started_at: the same, seconds since the epoch.
        launched_boottime: the same on the boot clock.
        deadline: when its time is over, on the monotonic clock.
        is_recorded: whether the queue knows its pid.
        end: its exit code and signal, once its process is over; both None if they cannot be known.
        cause: why the agent set out to end it.
        look_at: when to see whether it ends.
    """

    __slots__ = (
        "_give_up_at",
        "_kill_at",
        "_known",
        "cause",
        "deadline",
        "end",
        "is_child",
        "is_recorded",
        "job",
        "launched",
        "launched_boottime",
        "look_at",
        "pid",
        "pidfd",
        "started",
        "started_at",
    )

    def __init__(self, job: Job, pid: int, *, started_at: float, launched_boottime: float, launched: float) -> None:
        self.job = job
        self.pid = pid
        self.is_child = True
        self.pidfd: int | None = None
        self.started = 0
        self.started_at = started_at
        self.launched_boottime = launched_boottime
        self.launched = launched
        self.deadline = None if job.time_limit is None else launched + job.time_limit
        self.is_recorded = False
        self.end: tuple[int | None, int | None] | None = None
        self.cause: str | None = None
        self.look_at: float | None = None
        self._kill_at = 0.0
        self._give_up_at = 0.0
        self._known: dict[int, int] = {}

    @classmethod
    def adopted(cls, job: Job, process: processes.Process, *, now: float, boottime: float, epoch: float) -> WatchedJob:
        """Return the job of an earlier agent, with what is left of its time."""
        age = 0.0 if job.launched_boottime is None else max(0.0, boottime - job.launched_boottime)
        started_at = epoch - age if job.started_at is None else job.started_at
        watched = cls(job, process.pid, started_at=started_at, launched_boottime=boottime - age, launched=now - age)
        watched.is_child = False
        watched.started = process.started
        watched.is_recorded = (job.pid, job.pid_started) == (process.pid, process.started)
        if job.cause is not None:
            watched.deadline = now
        watched.pidfd = processes.open_pidfd(process.pid)
        # The pid may have changed hands before the descriptor was there; after this it stands for the right one.
        if not processes.is_same(process.pid, process.started):
            watched.end = (None, None)
        return watched

    def look(self) -> None:
        """Notice whether its process is over; a child stays unreaped, so that its number remains its own."""
        if self.end is not None:
            return
        self.end = self._end_of_child() if self.is_child else self._end_of_adopted()
        if self.end is not None and self.cause is not None:
            self.look_at = 0.0

    def _end_of_child(self) -> tuple[int | None, int | None] | None:
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return (found.si_status, None) if found.si_code == os.CLD_EXITED else (None, found.si_status)

    def _end_of_adopted(self) -> tuple[int | None, int | None] | None:
        return None if processes.is_same(self.pid, self.started) else (None, None)

    def identify(self) -> int:
        """Return the start time of its process."""
        if not self.started and (process := processes.read_process(self.pid)):
            self.started = process.started
        return self.started

    def begin_to_end(self, cause: str, now: float, table: ProcessTable) -> None:
        """Ask all its processes to end; ``follow_up`` makes sure that they do."""
        self.cause = cause
        self.deadline = None
        self._kill_at = now + self.job.kill_grace
        self._give_up_at = self._kill_at + _GIVE_UP_AFTER
        self.look_at = now + _WATCH_EVERY
        for pid, started in self._family(table).items():
            processes.send(pid, started, signal.SIGTERM)
            # A stopped process would not hear of it before it goes on.
            processes.send(pid, started, signal.SIGCONT)

    def follow_up(self, now: float, table: ProcessTable) -> bool:
        """Return whether nothing is left of a job that was asked to end; kill what outstays its grace."""
        family = self._family(table)
        if not family and self.end is not None:
            return True
        if now >= self._kill_at:
            if self.is_child:
                processes.signal_group(self.pid, signal.SIGKILL)
            for pid, started in family.items():
                processes.send(pid, started, signal.SIGKILL)
        self.look_at = now + _WATCH_EVERY
        # A process that hangs in the kernel cannot be killed; its job is over nevertheless.
        return self.end is not None and now >= self._give_up_at

    def clear_away(self) -> None:
        """Kill what the job left behind, then let its number go."""
        if self.is_child:
            processes.signal_group(self.pid, signal.SIGKILL)
            os.waitid(os.P_PID, self.pid, os.WEXITED)
            return
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        kill_left_behind(self.job.tag.encode())

    def _family(self, table: ProcessTable) -> dict[int, int]:
        is_sure = self.is_child or self.end is None
        found = table.family(self.job.tag.encode(), self.pid if is_sure else None, self._known)
        self._known.update(found)
        return found


def kill_left_behind(tag: bytes) -> None:
    """Kill every process of a job whose script is over."""
    for _ in range(20):
        family = ProcessTable().family(tag, None, {})
        if not family:
            return
        for pid, started in family.items():
            processes.send(pid, started, signal.SIGKILL)
