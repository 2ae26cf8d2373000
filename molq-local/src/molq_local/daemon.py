"""Become the one agent of a queue: a process of its own, with the lock, the pipe and the log."""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__":
    # Started by its path, so that it finds itself whatever the import paths of the submitter were. At the end of the
    # path, so that what lies beside the package cannot stand in for the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import contextlib
import fcntl
import sqlite3
import stat
import time
import traceback

from molq_local import processes, wake
from molq_local.agent import Agent
from molq_local.place import Place
from molq_local.queue_file import QueueError, QueueFile
from molq_local.queue_ledger import Ledger

_LOCK_WAIT = 2.0
_LOG_SIZE = 1 << 20
_READY = b"+"


def main(arguments: list[str]) -> None:
    """Start the agent in the background, and return when it is awake; its exit code tells whether there is one.

    Args:
        arguments: the queue's folder, and the seconds to stay without work.
    """
    place, idle_seconds = Place(arguments[0]), float(arguments[1])
    _leave_the_submitter()
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os._exit(0 if os.read(ready, 1) == _READY else 1)
    os.close(ready)
    exit_code = 1
    try:
        exit_code = _serve(place, idle_seconds, tell)
    except Exception:  # noqa: BLE001 - whatever it is, the log is the one place where it can be told
        _log(traceback.format_exc())
    finally:
        os._exit(exit_code)


def _leave_the_submitter() -> None:
    os.chdir("/")
    os.umask(0o077)
    os.fchmod(2, 0o600)
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if int(name) > 2:
                os.close(int(name))
    # What the first submitter ignored would be ignored by the jobs of all; SIGPIPE and SIGXFSZ are Python's own choice.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _serve(place: Place, idle_seconds: float, tell: int) -> int:
    lock = _lock(place)
    if lock is None:
        os.write(tell, _READY)
        return 0
    child_fd = _child_events()
    processes.adopt_orphans()
    try:
        with QueueFile(place) as queue:
            return _work(Ledger(queue), child_fd, idle_seconds, tell)
    except (QueueError, sqlite3.Error) as error:
        _log(str(error))
        return 1


def _work(ledger: Ledger, child_fd: int, idle_seconds: float, tell: int) -> int:
    place = ledger.queue.place
    pipe = _open_pipe(place)
    agent = Agent(ledger, child_fd, idle_seconds, _log)
    os.write(tell, _READY)
    os.close(tell)
    ledger.prune()
    agent.recover()
    while agent.run(pipe):
        # In this order: whoever finds the pipe closed starts another agent, and who still found it open had recorded
        # the request before this look at the queue.
        os.close(pipe)
        if not ledger.has_work():
            return 0
        pipe = _open_pipe(place)
    return 1


def _lock(place: Place) -> int | None:
    """Return the locked lock file; None if another agent is awake."""
    descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    give_up_at = time.monotonic() + _LOCK_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            # It may be about to end; but if its pipe is open, it will see what was recorded before this.
            if wake.wake(place) or time.monotonic() > give_up_at:
                return None
            time.sleep(0.005)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, b"%d\n" % os.getpid())
    return descriptor


def _open_pipe(place: Place) -> int:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISFIFO(os.lstat(place.wake).st_mode):
            os.unlink(place.wake)
    with contextlib.suppress(FileExistsError):
        os.mkfifo(place.wake, 0o600)
    # Open for writing too, so that it never comes to its end.
    return os.open(place.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _child_events() -> int:
    readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _ignore)
    return readable


def _ignore(_number: int, _frame: object) -> None:
    """Take a signal, so that its number is written to the pipe."""


def _log(text: str) -> None:
    with contextlib.suppress(OSError):
        if os.fstat(2).st_size > _LOG_SIZE:
            os.ftruncate(2, 0)
        os.write(2, f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {os.getpid()} {text.rstrip()}\n".encode(errors="replace"))


if __name__ == "__main__":
    main(sys.argv[1:])
