"""What the store keeps of jobs, and what it answers about them."""

from __future__ import annotations

import logging
import sqlite3

import attrs
import pytest

from molq.errors import JobNotFoundError, StoreError
from molq.job_state import JobState
from molq.records import JobDependency, JobRecord
from molq.store import JobStore
from molq.store.questions import LOST_SECONDS
from molq.tracking import Change


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    yield store
    store.close()


def a_record(job_id="a1", **changes):
    facts = {
        "job_id": job_id,
        "root_job_id": job_id,
        "cluster_name": "hpc",
        "scheduler": "slurm",
        "state": JobState.CREATED,
        "cwd": "/work",
        "command_type": "argv",
        "command_display": "python train.py",
        "metadata": {},
        "created_at": 100.0,
        "job_dir": f"/project/.molq/jobs/{job_id}",
        "stdout_path": "/project/out",
        "stderr_path": "/project/err",
    }
    return JobRecord(**(facts | changes))


def add(store, job_id="a1", **changes):
    return store.add_job(a_record(job_id, **changes), request={"resources": {}}, time_limit=60, reason="recorded")


def step(store, job, reason="seen", now=200.0, **changes):
    return store.apply([Change(old=job, new=attrs.evolve(job, **changes), reason=reason)], now)


def edit(store, statement, *values):
    with sqlite3.connect(store.path) as other:
        other.execute(statement, values)
    other.close()


def plan(store, question, *values):
    with sqlite3.connect(store.path) as other:
        steps = [row[3] for row in other.execute(f"EXPLAIN QUERY PLAN {question}", values)]
    other.close()
    return steps


def asked(store, monkeypatch, call):
    """Return the SQL by which the store answers a call, with its values."""
    questions = []
    original = store._connection.ask
    monkeypatch.setattr(
        store._connection, "ask", lambda sql, values=(): questions.append((sql, values)) or original(sql, values)
    )
    call()
    return questions[-1]


def test_a_job_comes_back_as_it_was_recorded(store):
    record = a_record(metadata={"run": "7", "ünï": "\n"}, job_name="it's", stdout_path="/a b/é")

    store.add_job(record, request={"options": {"x": 1}}, array_spec="0-3", reason="recorded")

    assert store.job("a1") == record
    assert store.request("a1") == {"options": {"x": 1}}
    assert store.tracked_job("a1").is_array is True


def test_paths_that_are_not_utf_8_come_back_as_they_were(store):
    odd = b"/project/\xff\xe9".decode(errors="surrogateescape")

    add(store, cwd=odd, command_display=odd, job_dir=odd)

    assert store.job("a1").cwd == odd
    assert store.tracked_job("a1").job_dir == odd


def test_an_id_that_no_database_could_hold_is_just_not_found(store):
    add(store)

    for ask in (store.job, store.tracked_job, store.resolve, store.request):
        with pytest.raises(JobNotFoundError, match="there is no job"):
            ask("\udcff")


def test_the_first_transition_is_recorded_with_the_job(store):
    add(store)

    (first,) = store.transitions("a1")

    assert (first.old_state, first.new_state, first.timestamp, first.reason) == (None, "created", 100.0, "recorded")


def test_edges_are_found_from_both_ends(store):
    add(store, "up")
    edge = JobDependency("down", "up", "after_success", "afterok:7")

    store.add_job(a_record("down"), request={}, dependencies=[edge], reason="recorded")

    assert store.dependencies("down") == [edge]
    assert store.dependents("up") == [edge]
    assert store.dependencies("up") == []


def test_a_job_that_cannot_be_recorded_as_a_whole_is_not_recorded_at_all(store):
    edge = JobDependency("a1", "up", "after_success", None)

    with pytest.raises(StoreError, match="UNIQUE"):
        store.add_job(a_record(), request={}, dependencies=[edge, edge], reason="recorded")

    with pytest.raises(JobNotFoundError):
        store.job("a1")
    assert store.transitions("a1") == []


def test_a_change_and_its_transition_are_written_together(store):
    job = add(store)

    (applied,) = step(store, job, "the scheduler accepted it", state=JobState.SUBMITTED, scheduler_job_id="7")

    assert applied.new.scheduler_job_id == "7"
    assert store.job("a1").state is JobState.SUBMITTED
    assert [t.new_state for t in store.transitions("a1")] == ["created", "submitted"]
    assert store.transitions("a1")[1].reason == "the scheduler accepted it"


def test_a_change_of_what_was_meanwhile_changed_by_another_is_left_out(store):
    job = add(store)
    step(store, job, state=JobState.RUNNING)

    applied = step(store, job, state=JobState.LOST)

    assert applied == []
    assert store.job("a1").state is JobState.RUNNING
    assert len(store.transitions("a1")) == 2


def test_a_state_that_may_not_follow_is_refused_and_logged(store, caplog):
    step(store, add(store), state=JobState.SUCCEEDED)

    with caplog.at_level(logging.WARNING, "molq.store"):
        applied = step(store, store.tracked_job("a1"), state=JobState.RUNNING)

    assert applied == []
    assert store.job("a1").state is JobState.SUCCEEDED
    assert "a1 is succeeded and cannot become running" in caplog.text


def test_a_job_that_the_scheduler_started_again_becomes_active_again(store):
    step(store, add(store), state=JobState.FAILED)

    step(store, store.tracked_job("a1"), state=JobState.RUNNING, restarts=1)

    assert store.job("a1").state is JobState.RUNNING


def test_a_change_that_changes_nothing_writes_nothing(store):
    job = add(store)

    assert step(store, job) == []
    assert store.tracked_job("a1").revision == job.revision


def test_one_impossible_change_does_not_hinder_the_others(store):
    over, fine = add(store, "over"), add(store, "fine")
    step(store, over, state=JobState.SUCCEEDED)
    changes = [
        Change(old=over, new=attrs.evolve(over, state=JobState.RUNNING), reason="stale"),
        Change(old=fine, new=attrs.evolve(fine, state=JobState.RUNNING), reason="seen"),
    ]

    applied = store.apply(changes, 200.0)

    assert applied == changes[1:]


def test_a_clock_that_steps_back_hinders_nothing_and_keeps_the_order(store):
    job = add(store)
    step(store, job, now=200.0, state=JobState.SUBMITTED)

    step(store, store.tracked_job("a1"), now=50.0, state=JobState.RUNNING)

    assert [(t.new_state, t.timestamp) for t in store.transitions("a1")] == [
        ("created", 100.0),
        ("submitted", 200.0),
        ("running", 50.0),
    ]


def test_a_request_to_cancel_keeps_its_first_time(store):
    add(store)

    store.request_cancel("a1", 150.0)
    store.request_cancel("a1", 160.0)

    assert store.job("a1").cancel_requested_at == 150.0


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled", "timed_out", "lost"])
def test_a_job_that_is_over_takes_no_request_to_cancel(store, end):
    step(store, add(store), state=JobState(end))

    job = store.request_cancel("a1", 150.0)

    assert job.cancel_requested_at is None
    assert job.state == end


def test_a_refusal_takes_the_request_back(store):
    add(store)
    store.request_cancel("a1", 150.0)

    store.settle_cancel("a1", None)

    assert store.job("a1").cancel_requested_at is None


def test_a_refusal_does_not_take_back_what_was_accepted_for_another(store):
    add(store)
    store.request_cancel("a1", 150.0)
    store.settle_cancel("a1", 151.0)

    store.settle_cancel("a1", None)

    assert store.tracked_job("a1").cancel_requested_at == 150.0
    assert store.tracked_job("a1").cancel_accepted_at == 151.0


def test_what_was_accepted_was_also_requested(store):
    add(store)
    store.request_cancel("a1", 150.0)
    store.settle_cancel("a1", None)

    store.settle_cancel("a1", 152.0)

    assert store.tracked_job("a1").cancel_requested_at == 152.0


def test_jobs_are_listed_oldest_first_by_cluster_and_activity(store):
    for job_id, cluster in (("a", "hpc"), ("b", "other"), ("c", "hpc"), ("d", "hpc")):
        add(store, job_id, cluster_name=cluster)
    step(store, store.tracked_job("c"), state=JobState.LOST)

    def ids(*arguments, **options):
        return [record.job_id for record in store.jobs(*arguments, **options)]

    assert ids() == ["a", "b", "d"]
    assert ids("hpc") == ["a", "d"]
    assert ids(include_terminal=True) == ["a", "b", "c", "d"]
    assert ids("hpc", include_terminal=True, limit=2) == ["c", "d"]
    assert ids(limit=1) == ["d"]
    assert ids("nowhere") == []


def test_open_jobs_are_those_that_are_active_or_were_lost_of_late(store):
    now = LOST_SECONDS * 3
    for job_id in ("active", "late", "long-ago", "over"):
        add(store, job_id)
    step(store, store.tracked_job("late"), state=JobState.LOST, finished_at=now - 1)
    step(store, store.tracked_job("long-ago"), state=JobState.LOST, finished_at=now - LOST_SECONDS - 1)
    step(store, store.tracked_job("over"), state=JobState.FAILED, finished_at=now)

    found = store.open_jobs("hpc", "slurm", now)

    assert [job.job_id for job in found] == ["active", "late"]


def test_an_id_may_be_shortened_while_it_fits_one_job(store):
    for job_id in ("abc1", "abd2", "x"):
        add(store, job_id)

    assert store.resolve("abc") == "abc1"
    assert store.resolve("x") == "x"
    with pytest.raises(JobNotFoundError, match=r"fits several jobs: abc1, abd2") as caught:
        store.resolve("ab")
    assert caught.value.candidates == ("abc1", "abd2")
    for nothing in ("", "q", "abc12", "%", "ab_"):
        with pytest.raises(JobNotFoundError, match="there is no job"):
            store.resolve(nothing)


def test_a_whole_id_is_that_job_even_if_others_begin_with_it(store):
    for job_id in ("a", "ab"):
        add(store, job_id)

    assert store.resolve("a") == "a"


def test_transitions_after_a_number_are_those_of_one_cluster_in_order(store):
    add(store, "before")
    seen = store.newest_transition()
    add(store, "a")
    add(store, "b", cluster_name="other")
    step(store, store.tracked_job("a"), state=JobState.RUNNING)

    news = store.transitions_after(seen, "hpc", "slurm")

    assert [(t.job_id, t.new_state) for _, t in news] == [("a", "created"), ("a", "running")]
    assert store.transitions_after(news[-1][0], "hpc", "slurm") == []


def test_the_data_version_tells_of_writes_by_others(store):
    other = JobStore(store.path)
    before = store.data_version()

    add(other)

    assert store.data_version() != before
    other.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "paused"),
        ("state", None),
        ("metadata", "{"),
        ("metadata", "[]"),
        ("metadata", '{"a": 1}'),
        ("created_at", "yesterday"),
        ("started_at", "soon"),
        ("attempt", "first"),
        ("exit_code", "zero"),
        ("metadata", b"\xff"),
    ],
)
def test_one_bad_row_never_breaks_a_list(store, caplog, column, value):
    for job_id in ("good", "bad", "fine"):
        add(store, job_id)
    if value is None:
        value = 3
    edit(store, f"UPDATE jobs SET {column} = ? WHERE job_id = 'bad'", value)

    listed = [record.job_id for record in store.jobs(include_terminal=True)]

    assert listed == ["good", "fine"]
    assert "'bad'" in caplog.text
    assert [job.job_id for job in store.tracked_jobs(["good", "fine"])] == ["good", "fine"]


def test_a_text_that_is_not_utf_8_is_shown_as_far_as_it_can_be(store):
    for job_id in ("good", "bad"):
        add(store, job_id)
    edit(store, "UPDATE jobs SET command_display = CAST(x'41ff' AS TEXT) WHERE job_id = 'bad'")

    listed = {record.job_id: record.command_display for record in store.jobs()}

    assert listed == {"good": "python train.py", "bad": "A�"}


def test_a_bad_transition_hides_no_other(store):
    job = add(store)
    step(store, job, state=JobState.SUBMITTED)
    step(store, store.tracked_job("a1"), state=JobState.RUNNING)
    edit(store, "UPDATE transitions SET new_state = 'paused' WHERE new_state = 'submitted'")

    assert [t.new_state for t in store.transitions("a1")] == ["created", "running"]
    assert [t.new_state for _, t in store.transitions_after(0, "hpc", "slurm")] == ["created", "running"]


def test_states_leave_out_what_is_not_there_or_not_known(store):
    for job_id in ("good", "bad"):
        add(store, job_id)
    edit(store, "UPDATE jobs SET state = 'paused' WHERE job_id = 'bad'")

    assert store.states(["good", "bad", "none"]) == {"good": JobState.CREATED}


def test_a_request_that_somebody_broke_is_an_error_that_says_so(store):
    add(store)
    edit(store, "UPDATE requests SET request = '{'")

    with pytest.raises(StoreError, match=r"request of job 'a1'.*cannot be read"):
        store.request("a1")


def test_the_active_jobs_are_found_without_reading_history(store, monkeypatch):
    for call in (
        lambda: store.jobs("hpc"),
        store.jobs,
        lambda: store.jobs(limit=100),
        lambda: store.open_jobs("hpc", "slurm", 0.0),
        lambda: store.newest_submission("hpc", "slurm"),
    ):
        question, values = asked(store, monkeypatch, call)
        assert "jobs_open" in plan(store, question, *values)[0]


def test_no_question_reads_a_whole_table(store, monkeypatch):
    for call in (
        lambda: store.jobs("hpc", include_terminal=True, limit=5),
        lambda: store.tracked_jobs(["a1"]),
        lambda: store.states(["a1"]),
        lambda: store.transitions("a1"),
        lambda: store.transitions_after(7, "hpc", "slurm"),
        lambda: store.dependencies("a1"),
        lambda: store.dependents("a1"),
        store.newest_transition,
    ):
        question, values = asked(store, monkeypatch, call)
        steps = plan(store, question, *values)
        assert not [step for step in steps if step.startswith("SCAN") and "json_each" not in step], question


def test_news_are_looked_up_from_the_transitions_and_not_from_the_jobs(store, monkeypatch):
    question, values = asked(store, monkeypatch, lambda: store.transitions_after(7, "hpc", "slurm"))

    steps = plan(store, question, *values)

    assert steps[0] == "SEARCH t USING INTEGER PRIMARY KEY (rowid>?)"


def test_250_active_of_many_jobs_cost_what_250_jobs_cost(tmp_path):
    few, many = JobStore(tmp_path / "few.db"), JobStore(tmp_path / "many.db")
    for store, history in ((few, 0), (many, 20_000)):
        add(store, "pattern")
        columns = "root_job_id, attempt, cluster_name, scheduler, created_at, cwd, command_type, command_display, "
        columns += "job_dir, stdout_path, stderr_path, metadata"
        for state, count in (("succeeded", history), ("running", 250)):
            edit(
                store,
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
                f"INSERT INTO jobs (job_id, state, {columns}) SELECT ?2 || i, ?2, {columns} FROM n, jobs "
                "WHERE job_id = 'pattern' AND ?1 > 0",
                count,
                state,
            )

    def steps(store):
        """Count what SQLite does, in units of a thousand of its instructions."""
        ticks = []
        with store._connection.reading() as sqlite:
            sqlite.set_progress_handler(lambda: ticks.append(1) and None, 1000)
        assert len(store.jobs()) == 251
        return len(ticks)

    assert steps(many) <= steps(few) * 1.1 + 1
    few.close()
    many.close()
