"""What subscribers are told."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from molq.errors import JobNotFoundError
from molq.events import EventBus, EventPayload, EventTail, EventType
from molq.job_state import JobState
from molq.store import JobStore


@pytest.fixture
def heard(cluster):
    """Return what was heard of all events, and the tail that tells."""
    bus, tail = cluster.listen()
    events: list[EventPayload] = []
    for event in EventType:
        bus.on(event, events.append)
    return events, tail


def names(events):
    return [payload.event.name for payload in events]


def test_each_step_is_told_once_and_in_order(cluster, heard):
    events, tail = heard
    job = cluster.submit()
    cluster.start(job)
    cluster.look()
    cluster.end(job, 0)
    cluster.look()

    tail.catch_up()
    tail.catch_up()

    assert names(events) == [
        "STATUS_CHANGE", "STATUS_CHANGE", "STATUS_CHANGE", "JOB_STARTED",
        "STATUS_CHANGE", "JOB_COMPLETED", "ALL_COMPLETED",
    ]  # fmt: skip
    steps = [p.transition.new_state for p in events if p.event is EventType.STATUS_CHANGE]
    assert steps == [JobState.CREATED, JobState.SUBMITTED, JobState.RUNNING, JobState.SUCCEEDED]


def test_what_happens_on_another_scheduler_of_the_same_cluster_name_is_not_told(cluster, heard):
    events, tail = heard
    cluster.submit()

    tail.catch_up()

    assert len(events) == 2
    assert cluster.store.jobs("c", "other") == []
    assert cluster.store.transitions_after(0, "c", "other") == []


def test_a_payload_has_the_step_and_the_record(cluster, heard):
    events, tail = heard
    job = cluster.submit()

    tail.catch_up()

    payload = events[-1]
    assert payload.job_id == payload.record.job_id == payload.transition.job_id == job.job_id
    assert payload.record.state is payload.transition.new_state is JobState.SUBMITTED


@pytest.mark.parametrize(
    ("state", "special"),
    [
        (JobState.SUCCEEDED, ["JOB_COMPLETED"]),
        (JobState.FAILED, ["JOB_FAILED"]),
        (JobState.CANCELLED, ["JOB_CANCELLED"]),
        (JobState.TIMED_OUT, ["JOB_TIMED_OUT", "JOB_TIMEOUT"]),
    ],
)
def test_each_end_has_its_event_after_the_general_one(cluster, heard, state, special):
    events, tail = heard
    job = cluster.submit()
    tail.catch_up()
    events.clear()
    cluster.say(job, state)
    cluster.refresh()

    tail.catch_up()

    assert names(events) == ["STATUS_CHANGE", *special, "ALL_COMPLETED"]


def test_a_loss_has_its_event(cluster, heard):
    events, tail = heard
    job = cluster.submit()
    cluster.forget(job)
    for _ in range(4):
        cluster.clock.turn(40)
        cluster.refresh()

    tail.catch_up()

    assert names(events)[-3:] == ["STATUS_CHANGE", "JOB_LOST", "ALL_COMPLETED"]


def test_what_another_process_learned_is_told_here_too(cluster, heard):
    events, tail = heard
    other = cluster.another_process()
    job = other.submit()
    other.end(job, 0)
    other.refresh()

    tail.catch_up()

    assert "JOB_COMPLETED" in names(events)
    other.store.close()


def test_two_processes_tell_the_same_step_once_each(cluster, heard):
    events, tail = heard
    bus, other_tail = cluster.listen()
    others = []
    bus.on("job_completed", others.append)
    cluster.end(cluster.submit(), 0)
    cluster.refresh()

    for each in (tail, other_tail, tail, other_tail):
        each.catch_up()

    assert names(events).count("JOB_COMPLETED") == len(others) == 1


def test_what_was_recorded_before_anybody_listened_is_not_told(cluster):
    bus, tail = cluster.listen()
    cluster.end(cluster.submit(), 0)
    cluster.refresh()
    tail.catch_up()
    events = []
    for event in EventType:
        bus.on(event, events.append)

    tail.catch_up()

    assert events == []


def test_the_end_of_all_is_told_once_though_a_handler_looks_itself(cluster):
    bus, tail = cluster.listen()
    ends = []
    bus.on("job_completed", lambda payload: tail.catch_up())
    bus.on("all_completed", ends.append)
    for job in (cluster.submit(), cluster.submit()):
        cluster.end(job, 0)
    cluster.refresh()

    tail.catch_up()
    tail.catch_up()

    assert len(ends) == 1


def test_the_end_of_all_waits_for_the_last_job(cluster, heard):
    events, tail = heard
    first, last = cluster.submit(), cluster.submit()
    cluster.end(first, 0)
    cluster.refresh()
    tail.catch_up()
    assert "ALL_COMPLETED" not in names(events)

    cluster.end(last, 1)
    cluster.say(last, JobState.FAILED)
    cluster.refresh()
    tail.catch_up()

    assert names(events).count("ALL_COMPLETED") == 1


def test_the_end_of_all_is_told_again_after_more_jobs(cluster, heard):
    events, tail = heard

    for _ in range(2):
        cluster.end(cluster.submit(), 0)
        cluster.refresh()
        tail.catch_up()

    assert names(events).count("ALL_COMPLETED") == 2


def test_events_of_another_cluster_are_not_told(cluster, heard):
    events, _ = heard
    from molq.events import EventBus, EventTail

    bus, others = EventBus(), []
    tail = EventTail(cluster.store, "elsewhere", "memory", bus)
    bus.on("status_change", others.append)
    cluster.submit()

    tail.catch_up()

    assert others == events == []


def test_a_handler_that_raises_hurts_neither_the_others_nor_the_caller(cluster, caplog):
    bus, tail = cluster.listen()
    heard = []

    def fail(payload):
        raise RuntimeError("a mistake of the user's")

    bus.on(EventType.STATUS_CHANGE, fail)
    bus.on(EventType.STATUS_CHANGE, heard.append)
    cluster.submit()

    with caplog.at_level(logging.ERROR, "molq.events"):
        tail.catch_up()

    assert len(heard) == 2
    assert "a mistake of the user's" in caplog.text


def test_a_handler_may_turn_itself_and_others_off(cluster):
    bus, _ = cluster.listen()
    heard = []

    def once(payload):
        heard.append("once")
        bus.off("job_failed", once)
        bus.off("job_failed", never)

    def never(payload):
        heard.append("never")

    bus.on("job_failed", once)
    bus.on("job_failed", never)
    bus.on("job_failed", lambda payload: heard.append("always"))

    bus.emit("job_failed")
    bus.emit("job_failed")

    assert heard == ["once", "always", "always"]


def test_a_handler_that_subscribes_another_is_no_loop(cluster):
    bus, _ = cluster.listen()
    heard = []
    bus.on("job_lost", lambda payload: (heard.append(1), bus.on("job_lost", heard.append)))

    bus.emit("job_lost")

    assert heard == [1]


def test_turning_off_what_was_never_on_is_harmless(cluster):
    bus, _ = cluster.listen()

    bus.off(EventType.JOB_LOST, print)

    assert not bus.is_heard


def test_users_may_emit_with_data_of_their_own(cluster):
    bus, _ = cluster.listen()
    heard = []
    bus.on("all_completed", heard.append)

    bus.emit("all_completed", {"mine": 1})

    assert heard == [EventPayload(event=EventType.ALL_COMPLETED, data={"mine": 1})]


def test_an_event_that_does_not_exist_is_refused(cluster):
    bus, _ = cluster.listen()

    with pytest.raises(ValueError, match="job_exploded"):
        bus.on("job_exploded", print)


def test_a_job_whose_row_was_cleaned_up_meanwhile_stops_nobody(cluster, heard, monkeypatch):
    events, tail = heard
    cluster.submit()

    def gone(self, job_id):
        raise JobNotFoundError("gone", job_id=job_id)

    monkeypatch.setattr(type(cluster.store), "job", gone)

    tail.catch_up()

    assert [payload.record for payload in events] == [None, None]


def tail_beside(cluster, bus):
    """Return the tail of another Submitor of the process, with a connection of its own."""
    return EventTail(JobStore(cluster.store.path), "c", "memory", bus)


def test_many_submitors_of_a_cluster_tell_each_step_once_on_their_bus(cluster):
    bus, first = cluster.listen()
    second = tail_beside(cluster, bus)
    events = []
    for event in EventType:
        bus.on(event, events.append)
    job = cluster.submit()
    cluster.start(job)
    cluster.look()

    second.catch_up()
    first.catch_up()
    cluster.end(job, 0)
    cluster.look()
    first.catch_up()
    second.catch_up()

    assert names(events) == [
        "STATUS_CHANGE", "STATUS_CHANGE", "STATUS_CHANGE", "JOB_STARTED",
        "STATUS_CHANGE", "JOB_COMPLETED", "ALL_COMPLETED",
    ]  # fmt: skip


def test_a_submitor_that_comes_later_neither_repeats_nor_skips_a_step(cluster):
    bus, first = cluster.listen()
    events = []
    bus.on("status_change", events.append)
    cluster.submit()
    first.catch_up()
    cluster.submit()

    second = tail_beside(cluster, bus)
    second.catch_up()
    first.catch_up()

    assert [payload.transition.new_state.name for payload in events] == ["CREATED", "SUBMITTED"] * 2


def test_a_submitor_goes_on_telling_when_the_one_before_it_is_closed(cluster):
    bus = EventBus()
    store = JobStore(cluster.store.path)
    first = EventTail(store, "c", "memory", bus)
    second = tail_beside(cluster, bus)
    events = []
    bus.on("status_change", events.append)
    first.catch_up()
    store.close()
    cluster.submit()

    second.catch_up()

    assert len(events) == 2


def test_each_bus_is_told_for_itself(cluster):
    (bus, tail), (other_bus, other) = cluster.listen(), cluster.listen()
    heard, heard_elsewhere = [], []
    bus.on("status_change", heard.append)
    other_bus.on("status_change", heard_elsewhere.append)
    cluster.submit()

    tail.catch_up()
    other.catch_up()

    assert len(heard) == len(heard_elsewhere) == 2


def test_of_many_threads_one_tells_a_step(cluster):
    bus, _ = cluster.listen()
    tails = [tail_beside(cluster, bus) for _ in range(8)]
    events = []
    bus.on("status_change", events.append)
    for _ in range(5):
        cluster.submit()

    with ThreadPoolExecutor(len(tails)) as threads:
        list(threads.map(lambda tail: tail.catch_up(), tails))

    assert len(events) == len({(p.job_id, p.transition.new_state) for p in events}) == 10
