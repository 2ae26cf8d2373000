"""Tell subscribers of a process what happens to jobs, whoever learned it."""

from __future__ import annotations

import enum
import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

import attrs

from molq.errors import JobNotFoundError
from molq.job_state import JobState
from molq.records import JobRecord, StatusTransition
from molq.store import JobStore
from molq.told import Told

_log = logging.getLogger("molq.events")


class EventType(enum.StrEnum):
    """What can happen to jobs."""

    STATUS_CHANGE = "status_change"
    """A job went from one state to another; comes before the more special event."""
    JOB_STARTED = "job_started"
    JOB_COMPLETED = "job_completed"
    JOB_FAILED = "job_failed"
    JOB_CANCELLED = "job_cancelled"
    JOB_TIMEOUT = "job_timeout"
    """The same as JOB_TIMED_OUT, right after it."""
    JOB_TIMED_OUT = "job_timed_out"
    JOB_LOST = "job_lost"
    ALL_COMPLETED = "all_completed"
    """The last active job of the cluster is over."""


_SPECIAL: dict[JobState, tuple[EventType, ...]] = {
    JobState.RUNNING: (EventType.JOB_STARTED,),
    JobState.SUCCEEDED: (EventType.JOB_COMPLETED,),
    JobState.FAILED: (EventType.JOB_FAILED,),
    JobState.CANCELLED: (EventType.JOB_CANCELLED,),
    JobState.TIMED_OUT: (EventType.JOB_TIMED_OUT, EventType.JOB_TIMEOUT),
    JobState.LOST: (EventType.JOB_LOST,),
}


@attrs.frozen(kw_only=True)
class EventPayload:
    """What a handler is called with.

    Attributes:
        event: what happened.
        job_id: the job, if it is about one.
        transition: the step that the job made.
        record: the job as it is now.
        data: whatever else the emitter gave.
    """

    event: EventType
    job_id: str | None = None
    transition: StatusTransition | None = None
    record: JobRecord | None = None
    data: Any = None


Handler = Callable[[EventPayload], object]


class EventBus:
    """Calls handlers when events are emitted, in the order in which they subscribed.

    Submitors may share one: what happens to a job is emitted once, however many of them are for its cluster.
    """

    def __init__(self) -> None:
        self._handlers: dict[EventType, tuple[Handler, ...]] = {}
        self._lock = threading.Lock()
        # Weak: a cluster that nobody in this process follows any more is begun anew.
        self._told: weakref.WeakValueDictionary[tuple[str, str, str], Told] = weakref.WeakValueDictionary()

    def on(self, event: EventType | str, handler: Handler) -> None:
        """Call ``handler`` with an ``EventPayload`` whenever ``event`` is emitted."""
        event = EventType(event)
        self._handlers[event] = (*self._handlers.get(event, ()), handler)

    def off(self, event: EventType | str, handler: Handler) -> None:
        """Call ``handler`` no more; harmless if it did not subscribe."""
        event = EventType(event)
        self._handlers[event] = tuple(h for h in self._handlers.get(event, ()) if h != handler)

    def emit(self, event: EventType | str, data: Any = None) -> None:
        """Call the handlers of ``event``. One that raises is logged and hurts nobody else.

        Args:
            event: what happened.
            data: an ``EventPayload``, or anything else, which is wrapped into one.
        """
        event = EventType(event)
        payload = data if isinstance(data, EventPayload) else EventPayload(event=event, data=data)
        for handler in self._handlers.get(event, ()):
            if handler not in self._handlers[event]:
                continue  # a handler before it has turned it off
            try:
                handler(payload)
            except Exception:  # noqa: BLE001 - whatever a user's handler does, the others are called
                _log.exception("a handler of %s raised", event.value)

    @property
    def is_heard(self) -> bool:
        """Whether anybody has subscribed to anything."""
        return any(self._handlers.values())

    def told_of(self, store: JobStore, cluster_name: str, scheduler: str) -> Told:
        """Return what was told here of a cluster, which all that follow it in this process share."""
        key = (os.path.realpath(store.path), cluster_name, scheduler)
        with self._lock:
            told = self._told.get(key)
            if told is None:
                told = self._told[key] = Told(store.newest_transition())
            return told


class EventTail:
    """Emits what was recorded since the last time, once, in order. What nobody listened to is over.

    Tails of one cluster on one bus share what was told: whichever comes first tells it.

    Args:
        store: where transitions are recorded.
        cluster_name: the cluster whose events are emitted.
        scheduler: its scheduler.
        bus: where they are emitted.
    """

    def __init__(self, store: JobStore, cluster_name: str, scheduler: str, bus: EventBus) -> None:
        self._store = store
        self._cluster = (cluster_name, scheduler)
        self._bus = bus
        self._told = bus.told_of(store, cluster_name, scheduler)

    def catch_up(self) -> None:
        """Emit the transitions that were recorded since the last call, by any process."""
        if not self._bus.is_heard:
            self._told.pass_over(self._store.newest_transition())
            return
        for number, transition in self._store.transitions_after(self._told.seen, *self._cluster):
            if self._told.is_first_to_see(number, is_end=transition.new_state.is_terminal):
                self._emit(transition)
        if not self._told.has_news_of_ends or self._store.jobs(*self._cluster, limit=1):
            return
        if self._told.is_first_to_complete():
            self._bus.emit(EventType.ALL_COMPLETED)

    def _emit(self, transition: StatusTransition) -> None:
        try:
            record = self._store.job(transition.job_id)
        except JobNotFoundError:  # cleaned up meanwhile
            record = None
        for event in (EventType.STATUS_CHANGE, *_SPECIAL.get(transition.new_state, ())):
            self._bus.emit(
                event,
                EventPayload(event=event, job_id=transition.job_id, transition=transition, record=record),
            )
