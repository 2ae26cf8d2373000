"""What the store tells of jobs that are over, without reading all there are, and how they leave it."""

from __future__ import annotations

import sqlite3

import pytest

from molq.errors import JobNotFoundError
from molq.job_state import JobState
from molq.records import JobDependency
from molq.store import JobStore, retention
from molq.store.retention import FAMILIES_AT_A_TIME, Departure
from molq.store.schema import MIGRATIONS, migrate

NOON = 1_750_000_000.0
DAY = 86_400.0


def read(history, *, cleaned=False, until=NOON, now=NOON, scheduler=None, cluster="c"):
    pages = history.store.retention.ended_families(cluster, scheduler, cleaned=cleaned, until=until, now=now)
    return [family for page in pages for family in page]


def ids(families):
    return [[member.job_id for member in family.members] for family in families]


def job(history, state=JobState.SUCCEEDED, **facts):
    return history.job(state, with_folder=False, **facts)


def statements(history, call):
    """Return the questions that a call puts to SQLite, with their values in them."""
    told = []
    with history.store._connection.reading() as sqlite:
        sqlite.set_trace_callback(told.append)
        call()
        sqlite.set_trace_callback(None)
    return [statement for statement in told if statement.lstrip().startswith(("SELECT", "WITH", "DELETE", "UPDATE"))]


def plan(history, statement):
    with sqlite3.connect(history.store.path) as other:
        other.execute("PRAGMA foreign_keys = ON")
        steps = [row[3] for row in other.execute("EXPLAIN QUERY PLAN " + statement.replace("-Inf", "-1e999"))]
    other.close()
    return steps


def test_families_come_whole_and_in_the_order_of_their_ends(history):
    late, early = job(history, age=10), job(history, age=20)
    retried = job(history, JobState.FAILED, age=30)
    second = history.retry(retried, age=5, with_folder=False)

    families = read(history)

    first = [retried.job_id, second.job_id]
    assert ids(families) == [first, [early.job_id], [late.job_id]]
    assert [member.attempt for member in families[0].members] == [1, 2]


def test_a_family_is_found_by_any_of_its_ends(history):
    root = job(history, JobState.FAILED, age=30)
    second = history.retry(root, JobState.RUNNING, with_folder=False)

    assert ids(read(history)) == [[root.job_id, second.job_id]]
    assert ids(read(history, until=NOON - 31 * DAY)) == []


def test_active_jobs_are_no_candidates(history):
    for state in JobState:
        if not state.is_terminal:
            job(history, state)

    assert read(history) == []


def test_pages_cover_all_once(history, monkeypatch):
    monkeypatch.setattr(retention, "FAMILIES_AT_A_TIME", 3)
    expected = [[job(history, finished_at=NOON - 5).job_id] for _ in range(10)]
    pages = list(history.store.retention.ended_families("c", None, cleaned=False, until=NOON, now=NOON))

    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert ids(family for page in pages for family in page) == expected


def test_pages_go_on_while_their_jobs_leave_the_store(history, monkeypatch):
    monkeypatch.setattr(retention, "FAMILIES_AT_A_TIME", 2)
    expected = {job(history, age=number).job_id for number in range(7)}

    deleted = []
    for page in history.store.retention.ended_families("c", None, cleaned=False, until=NOON, now=NOON):
        deleted += history.store.retention.let_go([Departure(family=f, with_records=True) for f in page], NOON)

    assert set(deleted) == expected
    assert history.ids() == set()


def test_what_was_cleaned_is_asked_for_apart(history):
    clean, other = job(history, age=10), job(history, age=20)
    family = next(family for family in read(history) if family.root_job_id == clean.job_id)

    history.store.retention.let_go([Departure(family=family, gone=[clean.job_id])], NOON)

    assert ids(read(history)) == [[other.job_id]]
    assert ids(read(history, cleaned=True)) == [[clean.job_id]]
    assert history.store.job(clean.job_id).cleaned_at == NOON


def test_the_first_time_of_cleaning_is_kept(history):
    clean = job(history, age=10)
    (family,) = read(history)
    for now in (NOON, NOON + 5):
        history.store.retention.let_go([Departure(family=family, gone=[clean.job_id])], now)

    assert history.store.job(clean.job_id).cleaned_at == NOON


def test_a_job_that_became_active_is_not_said_to_be_clean(history):
    lost = job(history, JobState.LOST, age=10)
    (family,) = read(history)
    history.become(history.store.tracked_job(lost.job_id), JobState.RUNNING)

    history.store.retention.let_go([Departure(family=family, gone=[lost.job_id])], NOON)

    assert history.store.job(lost.job_id).cleaned_at is None


def test_a_record_goes_with_its_edges_steps_and_request(history):
    upstream = job(history, age=10)
    old = job(history, age=10, after=[upstream.job_id])
    family = next(family for family in read(history) if family.root_job_id == old.job_id)

    assert history.store.retention.let_go([Departure(family=family, with_records=True)], NOON) == [old.job_id]

    with sqlite3.connect(history.store.path) as sqlite:
        for table in ("jobs", "requests", "transitions", "dependencies"):
            found = sqlite.execute(f"SELECT count(*) FROM {table} WHERE job_id = ?", (old.job_id,)).fetchone()
            assert found == (0,), table
    sqlite.close()


def test_an_edge_to_a_record_that_is_gone_stays_with_its_dependant(history):
    upstream = job(history, age=20)
    dependant = job(history, age=10, after=[upstream.job_id])
    family = next(family for family in read(history) if family.root_job_id == upstream.job_id)

    history.store.retention.let_go([Departure(family=family, with_records=True)], NOON)

    assert history.store.dependencies(dependant.job_id) == [
        JobDependency(dependant.job_id, upstream.job_id, "after", None)
    ]


@pytest.mark.parametrize("change", ["a retry", "a dependant", "another state"])
def test_records_stay_if_anything_has_changed_since_they_were_read(history, change):
    old = job(history, JobState.LOST, age=10)
    (family,) = read(history)
    if change == "a retry":
        history.retry(old, JobState.CREATED, with_folder=False)
    elif change == "a dependant":
        job(history, JobState.QUEUED, after=[old.job_id])
    else:
        history.become(history.store.tracked_job(old.job_id), JobState.FAILED, NOON)

    with history.store.retention.unchanged(family, NOON) as is_unchanged:
        assert not is_unchanged
    assert history.store.retention.let_go([Departure(family=family, with_records=True)], NOON) == []
    assert old.job_id in history.ids()


def test_what_has_not_changed_is_unchanged(history):
    job(history, age=10)
    (family,) = read(history)

    with history.store.retention.unchanged(family, NOON) as is_unchanged:
        assert is_unchanged


def test_a_dependant_that_is_over_awaits_nothing(history):
    upstream = job(history, age=20)
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT):
        job(history, state, age=10, after=[upstream.job_id])

    assert [f.is_awaited for f in read(history, until=NOON - 15 * DAY)] == [False]


@pytest.mark.parametrize("state", [state for state in JobState if not state.is_terminal])
def test_an_active_dependant_awaits_its_upstream_job(history, state):
    upstream = job(history, age=20)
    job(history, state, after=[upstream.job_id])

    assert [f.is_awaited for f in read(history)] == [True]


def test_clusters_are_found_by_name(history):
    assert history.store.retention.clusters() == []

    for name in ("b", "a", "b", "é", "a b", "\udcff"):
        job(history, cluster_name=name)

    assert sorted(history.store.retention.clusters()) == sorted(["a", "a b", "b", "é", "\udcff"])
    assert len(read(history, cluster="\udcff")) == 1


def test_a_family_with_a_row_that_cannot_be_read_is_left_out(history, caplog):
    root, good = job(history, age=10), job(history, age=20)
    second = history.retry(root, age=5, with_folder=False)
    with history.store._connection.writing() as sqlite:
        sqlite.execute("UPDATE jobs SET attempt = 'two' WHERE job_id = ?", (second.job_id,))

    assert ids(read(history)) == [[good.job_id]]
    assert "its attempt is 'two'" in caplog.text


@pytest.mark.parametrize("column", ["root_job_id = x'ff'", "root_job_id = 7", "root_job_id = 'x'", "job_dir = x'ff'"])
def test_odd_ids_and_paths_disturb_nobody(history, column):
    odd, good = job(history, age=10), job(history, age=20)
    with history.store._connection.writing() as sqlite:
        sqlite.execute(f"UPDATE jobs SET {column} WHERE job_id = ?", (odd.job_id,))

    assert [good.job_id] in ids(read(history))


def test_text_that_is_not_utf_8_disturbs_nobody(history):
    odd, good = job(history, age=10), job(history, age=20)
    with history.store._connection.writing() as sqlite:
        sqlite.execute("UPDATE jobs SET job_dir = CAST(x'2fff' AS TEXT) WHERE job_id = ?", (odd.job_id,))

    assert [good.job_id] in ids(read(history))
    with history.store.retention.unchanged(read(history)[0], NOON) as is_unchanged:
        assert is_unchanged


def test_no_question_reads_more_than_it_answers(history):
    upstream = job(history, age=20)
    job(history, age=10, after=[upstream.job_id])
    history.retry(upstream, age=5, with_folder=False)

    def ask():
        for cleaned in (False, True):
            read(history, cleaned=cleaned, scheduler="memory")
        families = read(history)
        with history.store.retention.unchanged(families[0], NOON):
            pass
        departures = [Departure(family=families[0], gone=[upstream.job_id])]
        departures += [Departure(family=family, with_records=True) for family in families[1:]]
        assert history.store.retention.let_go(departures, NOON)

    told = statements(history, ask)

    assert len(told) > 10
    for statement in told:
        steps = plan(history, statement)
        assert not [step for step in steps if step.startswith("SCAN") and "json_each" not in step], (statement, steps)
        assert not [step for step in steps if "AUTOMATIC" in step], (statement, steps)


def test_the_oldest_come_from_the_index_in_order(history):
    job(history)
    (first, *_) = statements(history, lambda: read(history))

    assert plan(history, first) == [
        "SEARCH jobs USING INDEX jobs_to_clean (cluster_name=? AND <expr>=? AND finished_at>? AND finished_at<?)"
    ]


def test_the_names_of_clusters_are_read_in_steps(history):
    job(history)
    (question,) = statements(history, history.store.retention.clusters)

    steps = plan(history, question)

    assert not [step for step in steps if step.startswith("SCAN jobs")], steps


def test_a_page_of_many_takes_few_questions(history):
    for _ in range(20):
        job(history)

    assert len(statements(history, lambda: read(history))) <= 4
    assert FAMILIES_AT_A_TIME <= 1000


def test_a_database_of_the_first_version_gets_the_index(tmp_path):
    path = tmp_path / "jobs.db"
    sqlite = sqlite3.connect(path, isolation_level=None)
    migrate(sqlite, path, MIGRATIONS[:1])
    columns = "job_id, root_job_id, attempt, cluster_name, scheduler, state, created_at, finished_at, cwd, "
    columns += "command_type, command_display, job_dir, stdout_path, stderr_path, metadata"
    sqlite.execute(
        f"INSERT INTO jobs ({columns}) VALUES "
        "('a', 'a', 1, 'c', 's', 'failed', 1, 2, '/', 'argv', 'x', '/d', '/o', '/e', '{}')"
    )
    sqlite.close()

    store = JobStore(path)
    (page,) = store.retention.ended_families("c", "s", cleaned=False, until=NOON, now=NOON)
    assert store.retention.let_go([Departure(family=page[0], with_records=True)], NOON) == ["a"]
    with pytest.raises(JobNotFoundError):
        store.job("a")
    store.close()
