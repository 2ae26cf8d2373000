"""Say what the elements of an array make of it as a whole."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from molq.array_indices import format_indices
from molq.job_state import JobState

# The first of these that an element has is the state of an array that is over.
_WORST_FIRST = (
    (JobState.FAILED, "failed"),
    (JobState.TIMED_OUT, "exceeded their time limit"),
    (JobState.LOST, "are lost"),
    (JobState.CANCELLED, "were cancelled"),
)


# An element that is cancelled or lost need not have started.
_HAVE_STARTED = frozenset({JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.TIMED_OUT})


@attrs.frozen(kw_only=True)
class ElementReport:
    """What is said of one element of an array; fields as in ``JobReport``."""

    index: int
    native_state: str
    state: JobState | None
    exit_code: int | None = None
    signal: int | None = None
    cause: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is said to be over."""
        return self.state is not None and self.state.is_terminal

    @property
    def has_started(self) -> bool:
        """Whether its state tells that it has started; also one that is cancelled may have."""
        return self.state in _HAVE_STARTED


@attrs.frozen(kw_only=True)
class RolledUp:
    """What an array is as a whole; fields as in ``JobReport``."""

    state: JobState | None
    native_state: str
    exit_code: int | None = None
    signal: int | None = None
    cause: str | None = None
    reason: str | None = None


def roll_up(elements: Collection[ElementReport]) -> RolledUp:
    """Return what an array with these elements, of which there is at least one, is as a whole.

    It runs while an element runs, or while some are known to have started and others wait; else it waits; it is
    over when all are. Then it failed if any failed, and so on from the worst to the best; the reason counts those
    elements and lists their indices. The state is None if an element that decides it has a word that nobody knows.
    """
    states = {element.state for element in elements}
    if JobState.RUNNING in states:
        return _as_whole(elements, JobState.RUNNING)
    waiting = states & {JobState.QUEUED, JobState.SUBMITTED, JobState.CREATED}
    if waiting:
        have_started = any(element.has_started for element in elements)
        return _as_whole(elements, JobState.RUNNING if have_started else JobState.QUEUED)
    if None in states:
        return _as_whole(elements, None)
    for state, word in _WORST_FIRST:
        bad = [element for element in elements if element.state is state]
        if bad:
            sentence = f"{len(bad)} of {len(elements)} elements {word}: {format_indices(e.index for e in bad)}"
            first = min(bad, key=lambda element: element.index)
            return RolledUp(
                state=state,
                native_state=first.native_state,
                exit_code=first.exit_code,
                signal=first.signal,
                cause=first.cause,
                reason=sentence,
            )
    return attrs.evolve(_as_whole(elements, JobState.SUCCEEDED), exit_code=0)


def _as_whole(elements: Collection[ElementReport], state: JobState | None) -> RolledUp:
    decisive = next((e for e in elements if e.state is state), None) or next(iter(elements))
    return RolledUp(state=state, native_state=decisive.native_state)
