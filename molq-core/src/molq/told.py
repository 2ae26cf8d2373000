"""Keep how far the transitions of a cluster were told, so that each is told once."""

from __future__ import annotations

import threading


class Told:
    """How far the transitions of a cluster were told on a bus. Threads share it.

    Args:
        newest: the number of the last transition that there is; it, and what came before, is over.

    Attributes:
        seen: the number of the last one that was told, or passed over because nobody listened.
    """

    def __init__(self, newest: int) -> None:
        self._lock = threading.Lock()
        self.seen = self._last_end = self._completed = newest

    def pass_over(self, newest: int) -> None:
        """Move on to the newest transition, since nobody listens."""
        with self._lock:
            self.seen = self._last_end = self._completed = max(newest, self.seen)

    def is_first_to_see(self, number: int, *, is_end: bool) -> bool:
        """Move on to a transition; tell whether this thread was the first to do so.

        Moved on before anybody is told: a handler may itself wait for jobs, and so come here again.
        """
        with self._lock:
            if number <= self.seen:
                return False
            self.seen = number
            if is_end:
                self._last_end = number
            return True

    @property
    def has_news_of_ends(self) -> bool:
        """Whether a job ended since it was last told that all had."""
        return self._last_end > self._completed

    def is_first_to_complete(self) -> bool:
        """Note that it is told that all jobs are over; tell whether this thread was the first to do so."""
        with self._lock:
            is_told, self._completed = self._last_end <= self._completed, self._last_end
            return not is_told
