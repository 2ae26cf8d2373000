"""Repeat rounds of work until a signal says that it is enough."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_PATIENCE_SECONDS = 3
"""How long a round that is under way may go on after the signal; to break it off loses nothing, as no crash does."""

_LONGEST_SECONDS = 86_400.0
"""The longest time between rounds; poll() takes no number of whatever size."""


class _StopError(BaseException):
    """A round did not end in time after the signal."""


def run_rounds(work: Callable[[], None], *, once: bool, interval: float) -> None:
    """Call ``work`` every ``interval`` seconds until SIGTERM or SIGINT; in another than the main thread, for ever.

    Args:
        work: one round.
        once: whether one round is enough.
        interval: seconds from the start of one round to that of the next.
    """
    with _signals() as stopped, suppress(_StopError):
        while True:
            began = time.monotonic()
            work()
            left = min(max(0.0, began + interval - time.monotonic()), _LONGEST_SECONDS)
            if once or _can_be_read(stopped, left):
                return


def _can_be_read(descriptor: int, seconds: float) -> bool:
    """Tell whether a descriptor, whatever its number, can be read from within some time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


@contextmanager
def _signals() -> Iterator[int]:
    """Give a descriptor that can be read from once a signal has come: nothing else is safe to do in a handler."""
    readable, writable = os.pipe()

    def stop(_number: int, _frame: FrameType | None) -> None:
        os.write(writable, b"x")
        signal.alarm(_PATIENCE_SECONDS)

    def break_off(_number: int, _frame: FrameType | None) -> None:
        raise _StopError

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGALRM: break_off}
    if threading.current_thread() is not threading.main_thread():
        handlers = {}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield readable
    finally:
        if before:
            signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(readable)
        os.close(writable)
