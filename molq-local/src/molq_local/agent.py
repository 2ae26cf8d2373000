"""Run the loop of the agent: wait for events, take turns, and know when to stop."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from molq_local.queue_file import QueueError
from molq_local.queue_ledger import Ledger
from molq_local.workload import Workload

_RETRY_AFTER = 1.0
_RETRIES = 60
_LOOK_EVERY = 5.0
# Where several hosts share the queue, a request on another one cannot wake this agent.
_LOOK_EVERY_IF_SHARED = 1.0


class Agent:
    """Works on one queue until there is nothing to do.

    Args:
        ledger: the queue.
        child_fd: becomes readable when a child ended.
        idle_seconds: how long to stay without work.
        log: takes lines for the agent's log.
    """

    def __init__(self, ledger: Ledger, child_fd: int, idle_seconds: float, log: Callable[[str], None]) -> None:
        self._place = ledger.queue.place
        self._inode = _inode(self._place.queue)
        self._child_fd = child_fd
        self._idle_seconds = idle_seconds
        self._log = log
        self._work = Workload(ledger, log)
        self._failures = 0

    def recover(self) -> None:
        """Take over what an earlier agent left behind."""
        self._work.recover()

    def run(self, wake_fd: int) -> bool:
        """Work until the queue was idle for long enough.

        Args:
            wake_fd: becomes readable when a submitter has something new.

        Returns:
            Whether it is worth looking again; not if the queue is gone or cannot be used.
        """
        self._work.has_news = True
        idle_since: float | None = None
        while True:
            now = time.monotonic()
            if not self._take_turn(now):
                return False
            if not self._work.is_idle:
                idle_since = None
            elif idle_since is None:
                idle_since = now
            elif now - idle_since >= self._idle_seconds:
                return True
            due = self._work.next_due(now)
            if idle_since is not None:
                due = min(due, idle_since + self._idle_seconds)
            self._wait(wake_fd, due)

    def _take_turn(self, now: float) -> bool:
        if _inode(self._place.queue) != self._inode:
            self._log("the queue was deleted or replaced; its jobs go on without an agent")
            return False
        try:
            self._work.notice_ends(now)
            if self._work.is_due(now):
                self._work.record_and_launch(now)
        except QueueError as error:
            self._log(str(error))
            self._failures += 1
            time.sleep(_RETRY_AFTER)
            return self._failures < _RETRIES
        self._failures = 0
        return True

    def _wait(self, wake_fd: int, due: float) -> None:
        poll = select.poll()
        poll.register(wake_fd, select.POLLIN)
        poll.register(self._child_fd, select.POLLIN)
        for watched in self._work.watched.values():
            if watched.pidfd is not None and watched.end is None:
                poll.register(watched.pidfd, select.POLLIN)
        look_every = _LOOK_EVERY_IF_SHARED if self._place.host else _LOOK_EVERY
        ready = poll.poll(min(look_every, max(0.0, due - time.monotonic())) * 1000)
        for descriptor, _ in ready:
            if descriptor in (wake_fd, self._child_fd):
                os.read(descriptor, 65_536)
            if descriptor == wake_fd:
                self._work.has_news = True
        if not ready and self._place.host:
            self._work.has_news = True


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
