"""Repeat rounds of work until a signal says that it is enough."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_PATIENCE_SECONDS = 3
"""How long a round that is under way may go on after the signal; to break it off loses nothing, as no crash does."""


class _StopError(BaseException):
    """A round did not end in time after the signal."""


def run_rounds(work: Callable[[], None], *, once: bool, interval: float) -> None:
    """Call ``work`` every ``interval`` seconds until SIGTERM or SIGINT; in another than the main thread, for ever.

    Args:
        work: one round.
        once: whether one round is enough.
        interval: seconds from the start of one round to that of the next.
    """
    stopped = threading.Event()
    with _signals(stopped):
        while not stopped.is_set():
            began = time.monotonic()
            try:
                work()
            except _StopError:
                return
            if once:
                return
            _sleep(stopped, max(0.0, began + interval - time.monotonic()))


def _sleep(stopped: threading.Event, seconds: float) -> None:
    try:
        stopped.wait(seconds)
    except _StopError:
        return


@contextmanager
def _signals(stopped: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()
        signal.alarm(_PATIENCE_SECONDS)

    def break_off(_number: int, _frame: FrameType | None) -> None:
        raise _StopError

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGALRM: break_off}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
