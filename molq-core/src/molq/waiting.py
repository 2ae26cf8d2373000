"""Wait for jobs to end: by their files, by what other processes learned, and now and then by asking."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from molq.errors import MolqTimeoutError
from molq.job_state import JobState
from molq.polling import Poller

_SHORTEST_STEP = 0.01
_LONGEST_STEP = 0.1
_STEP_GROWTH = 0.01
"""How much of the time that was waited so far a step may take: short jobs are seen at once, long ones cost little."""

_LOOK_SHARE = 20.0
"""How many times as long as a look at all the files a step takes at least."""

_LONGEST_FOR_LOOKS = 2.0


@attrs.frozen(kw_only=True)
class Waiter:
    """Waits for jobs of one cluster.

    Attributes:
        poller: learns what happens to jobs.
        on_step: is called after each look, to tell others what was learned.
        monotonic: returns seconds that only grow.
    """

    poller: Poller
    on_step: Callable[[], None]
    monotonic: Callable[[], float] = time.monotonic

    def wait(self, job_ids: Sequence[str], timeout: float | None) -> None:
        """Return when all the jobs are over, with all of their attempts.

        Raises:
            MolqTimeoutError: after ``timeout`` seconds some are still active.
        """
        for _ in self.as_they_end(job_ids, timeout):
            pass

    def as_they_end(self, job_ids: Sequence[str], timeout: float | None) -> Iterator[str]:
        """Yield each job's id when it is over.

        Raises:
            MolqTimeoutError: after ``timeout`` seconds some are still active.
        """
        began = self.monotonic()
        pending = dict.fromkeys(job_ids)
        while pending:
            ended, look_took = self.step(list(pending))
            yield from ended
            for job_id in ended:
                del pending[job_id]
            now = self.monotonic()
            if not pending or ended:
                continue
            if timeout is not None and now - began >= timeout:
                raise self.too_late(list(pending), timeout)
            step = pause(now - began, look_took)
            self.poller.sleep(step if timeout is None else min(step, max(0.0, began + timeout - now)))

    def step(self, pending: Sequence[str]) -> tuple[list[str], float]:
        """Learn what can be learned now; return the jobs that are over, and how long the look at the files took."""
        store, looked = self.poller.store, self.monotonic()
        latest = store.latest_attempts(pending)
        in_a_hurry = self.poller.look(store.tracked_jobs(set(latest.values())))
        look_took = self.monotonic() - looked
        if self.poller.poll_is_due(in_a_hurry=in_a_hurry):
            self.poller.poll_quietly()
        self.on_step()
        # Asked anew: an attempt that has just failed may be followed by another.
        latest = store.latest_attempts(pending)
        states = store.states(set(latest.values()))
        ended = [job_id for job_id in pending if _is_over(job_id, latest.get(job_id, job_id), states)]
        if ended:
            self.on_step()  # another process may have learned of an end since
        return ended, look_took

    def too_late(self, pending: Sequence[str], timeout: float) -> MolqTimeoutError:
        """Return the error that names the jobs that are still active."""
        store = self.poller.store
        latest = store.latest_attempts(pending)
        states: dict[str, JobState] = store.states(set(latest.values()))
        active = {
            job_id: states[attempt]
            for job_id, attempt in latest.items()
            if attempt in states and not states[attempt].is_terminal
        }
        return MolqTimeoutError.naming(active, timeout)


def _is_over(job_id: str, attempt: str, states: Mapping[str, JobState]) -> bool:
    if attempt in states:
        return states[attempt].is_terminal
    # A row that is gone was cleaned up, which only happens to jobs that are over. But a later attempt is withdrawn if
    # the one before it goes on after all.
    return attempt == job_id


def pause(waited: float, look_took: float) -> float:
    """Return how long to sleep until the next look, in seconds.

    Args:
        waited: for how long it has been waited so far.
        look_took: how long the last look at the files took.
    """
    step = min(max(_STEP_GROWTH * waited, _SHORTEST_STEP), _LONGEST_STEP)
    return max(step, min(_LOOK_SHARE * look_took, _LONGEST_FOR_LOOKS))
