"""Hold the jobs that run: launch them, notice their ends, record both in one transaction a turn."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from molq_local import admission, job_files, outcome, processes
from molq_local.admission import Load
from molq_local.launch import AlreadyStartedError, Launcher, LaunchError
from molq_local.outcome import Outcome
from molq_local.processes import Process, ProcessTable
from molq_local.queue_ledger import Job, Ledger
from molq_local.recovery import find_fates
from molq_local.watched import WatchedJob, kill_left_behind

# Launched jobs wait this long for their pid to be recorded: short ones then need one record, not two.
_RECORD_WITHIN = 0.005
_BATCH = 64
_HOLD = 1.0
_LOOK_AT_ADOPTED_EVERY = 0.2


class Workload:
    """The jobs in the agent's hands.

    Attributes:
        watched: the jobs that run, by number.
        is_queue_empty: whether nothing waits, as of the last record.
        has_news: whether the queue should be looked at, since somebody changed it.
    """

    def __init__(self, ledger: Ledger, log: Callable[[str], None]) -> None:
        self.watched: dict[int, WatchedJob] = {}
        self.is_queue_empty = False
        self.has_news = True
        self._ledger = ledger
        self._log = log
        self._boot_id = processes.boot_id()
        self._launcher = Launcher()
        self._children = processes.Children()
        self._ended: dict[int, tuple[Job, Outcome, float | None, float]] = {}
        self._put_back: list[int] = []
        self._hold_until = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return self.is_queue_empty and not (self.watched or self._ended or self._put_back or self.has_news)

    def recover(self) -> None:
        """Take over what an earlier agent left behind."""
        self._settle(self._ledger.active())

    def notice_ends(self, now: float) -> None:
        """Collect the jobs that ended, and see to the end of those that should."""
        ending = []
        for watched in list(self.watched.values()):
            watched.look()
            if watched.cause is None and watched.end is not None:
                self._finish(watched)
            elif watched.look_at is not None and now >= watched.look_at:
                ending.append(watched)
        if ending:
            # Taken after the looks: what was forked by a process that is over by now is in it.
            table = ProcessTable()
            for watched in ending:
                if watched.follow_up(now, table):
                    self._finish(watched)
        self._tend_orphans()

    def is_due(self, now: float) -> bool:
        """Tell whether there is something to record, or to decide."""
        if self._hold_until and now >= self._hold_until:
            self._hold_until = 0.0
            self.has_news = True
        if self._ended or self._put_back or self.has_news:
            return True
        return any(
            (watched.deadline is not None and now >= watched.deadline)
            or (not watched.is_recorded and now >= watched.launched + _RECORD_WITHIN)
            for watched in self.watched.values()
        )

    def next_due(self, now: float) -> float:
        """Return when to look again, on the monotonic clock; infinity if only events matter."""
        if self._ended or self._put_back or self.has_news:
            return now
        due = self._hold_until or float("inf")
        for watched in self.watched.values():
            if not watched.is_recorded:
                due = min(due, watched.launched + _RECORD_WITHIN)
            if watched.deadline is not None:
                due = min(due, watched.deadline)
            if watched.look_at is not None:
                due = min(due, watched.look_at)
            if not watched.is_child and watched.pidfd is None:
                due = min(due, now + _LOOK_AT_ADOPTED_EVERY)
        return due

    def record_and_launch(self, now: float) -> None:
        """Record what happened and what will, in one transaction; then do it.

        Raises:
            QueueError: it could not be recorded; nothing was done, and it can be tried again.
        """
        ledger = self._ledger
        running = [watched for watched in self.watched.values() if not watched.is_recorded]
        with ledger.queue.transaction():
            ledger.end((how, began, ended, job.id) for job, how, began, ended in self._ended.values())
            ledger.put_back(self._put_back)
            ledger.run((w.pid, w.identify(), w.launched_boottime, w.started_at, w.job.id) for w in running)
            to_end = self._to_end(now)
            ledger.set_out_to_end((cause, watched.job.id) for watched, cause in to_end)
            to_start = self._admit() if not self._hold_until else []
        self._ended.clear()
        self._put_back.clear()
        self.has_news = len(to_start) == _BATCH
        for watched in running:
            watched.is_recorded = True
        if to_end:
            table = ProcessTable()
            for watched, cause in to_end:
                watched.begin_to_end(cause, now, table)
        for job in to_start:
            self._launch(job)

    def _to_end(self, now: float) -> list[tuple[WatchedJob, str]]:
        causes: dict[int, str] = {}
        if self.has_news:
            causes = dict.fromkeys(self._ledger.cancel_requests(), outcome.CANCEL)
        for number, watched in self.watched.items():
            if watched.deadline is not None and now >= watched.deadline:
                causes.setdefault(number, outcome.TIME_LIMIT)
        found = ((self.watched.get(number), cause) for number, cause in causes.items())
        return [(w, w.job.cause or cause) for w, cause in found if w is not None and w.cause is None]

    def _admit(self) -> list[Job]:
        load = Load()
        for watched in self.watched.values():
            load.add(watched.job.demand)
        demands, is_all = admission.admit(self._ledger.queued(_BATCH), load)
        self.is_queue_empty = is_all and len(demands) < _BATCH
        return [self._ledger.start(demand.job_number, self._boot_id) for demand in demands]

    def _launch(self, job: Job) -> None:
        started_at, boottime, now = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic()
        try:
            pid = self._launcher.launch(job)
        except AlreadyStartedError:
            self._settle([job])
        except LaunchError as error:
            self._log(f"job {job.id}: {error}")
            if error.is_passing:
                self._put_back.append(job.id)
                self._hold_until = now + _HOLD
                self.is_queue_empty = False
            else:
                self._ended[job.id] = (job, outcome.not_started(str(error), error.cause), None, started_at)
        else:
            self.watched[job.id] = WatchedJob(job, pid, started_at=started_at, launched_boottime=boottime, launched=now)

    def _settle(self, jobs: list[Job]) -> None:
        fates = find_fates(jobs, self._boot_id) if jobs else {}
        for job in jobs:
            fate = fates[job.id]
            if isinstance(fate, Process):
                self._adopt(job, fate)
            elif fate is None:
                self._put_back.append(job.id)
            else:
                began = job.started_at or job_files.modified(job.job_dir, "start")
                ended = job_files.modified(job.job_dir, "exit") or time.time()
                self._ended[job.id] = (job, fate, began, max(ended, began or 0.0))
                kill_left_behind(job.tag.encode())

    def _adopt(self, job: Job, process: Process) -> None:
        boottime = time.clock_gettime(time.CLOCK_BOOTTIME)
        watched = WatchedJob.adopted(job, process, now=time.monotonic(), boottime=boottime, epoch=time.time())
        self.watched[job.id] = watched
        self._log(f"job {job.id}: adopted, pid {process.pid}")

    def _finish(self, watched: WatchedJob) -> None:
        job = watched.job
        watched.clear_away()
        if watched.is_child:
            how = outcome.of_process(*(watched.end or (None, None)), watched.cause)
        else:
            how = outcome.of_unseen_end(job_files.read_exit(job.job_dir), watched.cause, is_rebooted=False)
        # The wall clock may have been set back while the job ran.
        finished_at = max(time.time(), watched.started_at)
        self._ended[job.id] = (job, how, watched.started_at, finished_at)
        del self.watched[job.id]

    def _tend_orphans(self) -> None:
        """End what came to this process as the nearest reaper, if its job is over."""
        own = {watched.pid for watched in self.watched.values() if watched.is_child}
        for pid in self._children.pids():
            if pid in own:
                continue
            try:
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is None and self._is_left_behind(pid):
                    os.kill(pid, signal.SIGKILL)
            except (ChildProcessError, ProcessLookupError, PermissionError):
                continue

    def _is_left_behind(self, pid: int) -> bool:
        tag = (processes.tag_of(pid) or b"").decode("utf-8", "replace")
        if not tag or any(watched.job.tag == tag for watched in self.watched.values()):
            return False
        # Jobs of another queue can come here as well, if its agent was started inside a job of this one.
        return any(job.tag == tag for job, *_ in self._ended.values()) or self._ledger.is_over(tag)
