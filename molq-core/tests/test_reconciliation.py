"""What molq believes of a job, given the evidence: one test for each row of the design's table, and its properties."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from molq.backend import JobReport
from molq.evidence import Answer, Evidence
from molq.job_files import ExitFile, StartFile
from molq.job_state import JobState, may_follow
from molq.patience import GRACE_SECONDS, LONGEST_MISS_SECONDS, MISSES_BEFORE_LOST
from molq.reconciliation import decide, wants_a_poll
from molq.tracking import TrackedJob

NOW = 100_000.0
SUBMITTED_AT = NOW - 5_000
STARTED_AT = NOW - 4_000
JUST_NOW = NOW - 1
LONG_AGO = NOW - 1_000

ACTIVE = [state for state in JobState if not state.is_terminal]
ENDS = [state for state in JobState if state.is_terminal]


def a_job(state=JobState.RUNNING, **facts):
    values = {field.name: None for field in attrs.fields(TrackedJob)}
    values |= {
        "job_id": "ours", "cluster_name": "c", "scheduler": "memory", "revision": 3, "state": state,
        "scheduler_job_id": "101", "job_dir": "/nowhere", "created_at": SUBMITTED_AT, "submitted_at": SUBMITTED_AT,
        "started_at": STARTED_AT if state is JobState.RUNNING else None, "restarts": 0, "missed_polls": 0,
        "missed_seconds": 0.0,
        "root_job_id": "ours", "attempt": 1, "max_attempts": 1,
    }  # fmt: skip
    return TrackedJob(**(values | facts))


def a_report(state, **facts):
    word = state.name if state is not None else "ODD"
    return JobReport(**({"scheduler_job_id": "101", "tag": "ours", "native_state": word, "state": state} | facts))


def reported(state, *, ended=None, start=None, **facts):
    return Evidence(answer=Answer.REPORTED, report=a_report(state, **facts), exit=ended, start=start)


def unreported(answer, *, ended=None, start=None):
    return Evidence(answer=answer, exit=ended, start=start)


def a_start(at=STARTED_AT, restarts=0):
    return StartFile(scheduler_job_id="101", host="node1", restarts=restarts, at=at)


def believed(job, evidence, now=NOW):
    change = decide(job, evidence, now)
    return job if change is None else change.new


ABSENT, UNANSWERED, NOT_ASKED = Answer.ABSENT, Answer.UNANSWERED, Answer.NOT_ASKED
CANCELLED, FAILED, LOST, QUEUED, RUNNING = (
    JobState.CANCELLED, JobState.FAILED, JobState.LOST, JobState.QUEUED, JobState.RUNNING,
)  # fmt: skip
SUBMITTED, SUCCEEDED, TIMED_OUT = JobState.SUBMITTED, JobState.SUCCEEDED, JobState.TIMED_OUT

NEARLY_LOST = {
    "missing_since": NOW - GRACE_SECONDS, "missed_polls": MISSES_BEFORE_LOST - 1,
    "missed_at": NOW - LONGEST_MISS_SECONDS, "missed_seconds": GRACE_SECONDS - LONGEST_MISS_SECONDS,
}  # fmt: skip

DECISIONS = [
    # Rule 1: an exit file of the latest run that says 0 is the last word.
    ("1", a_job(), unreported(NOT_ASKED, ended=ExitFile(0, JUST_NOW)), SUCCEEDED),
    ("1", a_job(), unreported(UNANSWERED, ended=ExitFile(0, JUST_NOW)), SUCCEEDED),
    ("1", a_job(), unreported(ABSENT, ended=ExitFile(0, JUST_NOW)), SUCCEEDED),
    ("1", a_job(), reported(RUNNING, ended=ExitFile(0, JUST_NOW)), SUCCEEDED),
    ("1", a_job(), reported(FAILED, ended=ExitFile(0, JUST_NOW)), SUCCEEDED),
    ("1", a_job(), reported(CANCELLED, ended=ExitFile(0, JUST_NOW)), SUCCEEDED),
    ("1", a_job(), reported(None, ended=ExitFile(0, JUST_NOW)), SUCCEEDED),
    ("1", a_job(SUBMITTED), unreported(NOT_ASKED, ended=ExitFile(0, JUST_NOW), start=a_start()), SUCCEEDED),
    ("1", a_job(cancel_requested_at=LONG_AGO), unreported(ABSENT, ended=ExitFile(0, JUST_NOW)), SUCCEEDED),
    # Rule 2: a terminal report is believed, but success never hides a non-zero exit file.
    ("2", a_job(), reported(SUCCEEDED), SUCCEEDED),
    ("2", a_job(), reported(FAILED, exit_code=3), FAILED),
    ("2", a_job(QUEUED), reported(CANCELLED), CANCELLED),
    ("2", a_job(), reported(TIMED_OUT, ended=ExitFile(143, JUST_NOW)), TIMED_OUT),
    ("2", a_job(), reported(SUCCEEDED, ended=ExitFile(3, JUST_NOW)), FAILED),
    ("2", a_job(), reported(SUCCEEDED, exit_code=3), FAILED),
    ("2", a_job(), reported(SUCCEEDED, signal=9), FAILED),
    # Rule 3: the command failed, but the scheduler may be about to say why.
    ("3", a_job(), reported(RUNNING, ended=ExitFile(3, JUST_NOW)), RUNNING),
    ("3", a_job(), reported(RUNNING, ended=ExitFile(3, LONG_AGO)), RUNNING),
    ("3", a_job(), reported(QUEUED, ended=ExitFile(3, JUST_NOW), start=a_start()), RUNNING),
    # Rule 4: the command failed and the scheduler has forgotten it.
    ("4", a_job(), unreported(ABSENT, ended=ExitFile(3, JUST_NOW)), FAILED),
    ("4", a_job(), unreported(ABSENT, ended=ExitFile(137, JUST_NOW)), FAILED),
    ("4", a_job(cancel_requested_at=LONG_AGO), unreported(ABSENT, ended=ExitFile(3, JUST_NOW)), CANCELLED),
    ("4", a_job(cancel_requested_at=NOW), unreported(ABSENT, ended=ExitFile(3, JUST_NOW)), FAILED),
    ("4", a_job(time_limit=4000), unreported(ABSENT, ended=ExitFile(143, NOW), start=a_start()), TIMED_OUT),
    ("4", a_job(time_limit=4000), unreported(ABSENT, ended=ExitFile(3, NOW), start=a_start()), FAILED),
    ("4", a_job(time_limit=9000), unreported(ABSENT, ended=ExitFile(143, NOW), start=a_start()), FAILED),
    # Rule 5: nobody can be asked, so the exit file has the word once the grace time is over.
    ("5", a_job(), unreported(UNANSWERED, ended=ExitFile(3, JUST_NOW)), RUNNING),
    ("5", a_job(), unreported(UNANSWERED, ended=ExitFile(3, NOW - GRACE_SECONDS)), FAILED),
    ("5", a_job(), unreported(NOT_ASKED, ended=ExitFile(3, LONG_AGO)), RUNNING),
    ("5", a_job(), reported(None, ended=ExitFile(3, JUST_NOW)), RUNNING),
    ("5", a_job(), reported(None, ended=ExitFile(3, NOW - GRACE_SECONDS)), FAILED),
    # Rule 6: a question without an answer changes nothing.
    *(("6", a_job(state, **NEARLY_LOST), unreported(UNANSWERED), state) for state in JobState),
    *(("6", a_job(state, **NEARLY_LOST), unreported(NOT_ASKED), state) for state in JobState),
    # Rule 7: an active report is believed.
    ("7", a_job(SUBMITTED), reported(QUEUED), QUEUED),
    ("7", a_job(SUBMITTED), reported(RUNNING), RUNNING),
    ("7", a_job(SUBMITTED), reported(SUBMITTED), QUEUED),
    ("7", a_job(RUNNING), reported(QUEUED), QUEUED),
    ("7", a_job(RUNNING, **NEARLY_LOST), reported(RUNNING), RUNNING),
    ("7", a_job(QUEUED), reported(QUEUED, start=a_start(JUST_NOW)), RUNNING),
    ("7", a_job(QUEUED), unreported(NOT_ASKED, start=a_start(JUST_NOW)), RUNNING),
    ("7", a_job(RUNNING), reported(QUEUED, start=a_start(LONG_AGO)), QUEUED),
    # Rule 8: an unknown word changes no state.
    *(("8", a_job(state), reported(None), state) for state in JobState),
    # Rule 9: gone after an accepted cancel.
    ("9", a_job(cancel_requested_at=JUST_NOW, cancel_accepted_at=JUST_NOW), unreported(ABSENT), CANCELLED),
    ("9", a_job(cancel_requested_at=JUST_NOW), unreported(ABSENT), RUNNING),
    # Rule 10: absence means nothing at first.
    ("10", a_job(), unreported(ABSENT), RUNNING),
    ("10", a_job(submitted_at=JUST_NOW, **NEARLY_LOST), unreported(ABSENT), RUNNING),
    ("10", a_job(missing_since=JUST_NOW, missed_polls=50), unreported(ABSENT), RUNNING),
    ("10", a_job(missing_since=LONG_AGO, missed_at=LONG_AGO, missed_polls=50), unreported(ABSENT), RUNNING),
    ("10", a_job(**(NEARLY_LOST | {"missed_polls": 1})), unreported(ABSENT), RUNNING),
    ("10", a_job(**(NEARLY_LOST | {"missed_at": NOW - 1})), unreported(ABSENT), RUNNING),
    # Rule 11: gone for long enough.
    *(("11", a_job(state, **NEARLY_LOST), unreported(ABSENT), LOST) for state in (SUBMITTED, QUEUED, RUNNING)),
    # Rule 12: a lost job turns up again.
    ("12", a_job(LOST), unreported(ABSENT, ended=ExitFile(0, JUST_NOW)), SUCCEEDED),
    ("12", a_job(LOST), unreported(ABSENT, ended=ExitFile(3, JUST_NOW)), FAILED),
    ("12", a_job(LOST), reported(RUNNING), RUNNING),
    ("12", a_job(LOST), reported(QUEUED), QUEUED),
    ("12", a_job(LOST), reported(SUCCEEDED), SUCCEEDED),
    ("12", a_job(LOST), reported(CANCELLED), CANCELLED),
]


@pytest.mark.parametrize(
    ("job", "evidence", "state"),
    [pytest.param(*case, id=f"rule {rule}-{number}") for number, (rule, *case) in enumerate(DECISIONS)],
)
def test_the_evidence_decides_by_the_first_rule_that_fits(job, evidence, state):
    assert believed(job, evidence).state is state


def test_what_a_terminal_report_says_is_kept():
    report = reported(
        JobState.FAILED, cause="out_of_memory", signal=9, exit_code=0, started_at=LONG_AGO, finished_at=JUST_NOW
    )

    job = believed(a_job(QUEUED), report)

    assert (job.cause, job.signal, job.exit_code) == ("out_of_memory", 9, 137)
    assert (job.started_at, job.finished_at) == (LONG_AGO, JUST_NOW)
    assert job.failure_reason == "exceeded its memory limit (out of memory)"


def test_exit_code_and_times_of_a_terminal_report_come_from_the_files_where_there_are_some():
    report = reported(
        FAILED, exit_code=1, started_at=1.0, finished_at=2.0, ended=ExitFile(7, JUST_NOW), start=a_start(LONG_AGO)
    )

    job = believed(a_job(), report)

    assert (job.exit_code, job.started_at, job.finished_at) == (7, LONG_AGO, JUST_NOW)


@pytest.mark.parametrize("state", [FAILED, CANCELLED, TIMED_OUT])
def test_an_exit_code_of_0_is_never_told_of_a_job_that_did_not_succeed(state):
    job = believed(a_job(), reported(state, exit_code=0))

    assert job.exit_code is None
    assert "exit code 0" not in job.failure_reason


def test_a_death_by_a_signal_names_the_signal():
    job = believed(a_job(), unreported(ABSENT, ended=ExitFile(137, JUST_NOW)))

    assert (job.exit_code, job.signal, job.cause) == (137, 9, "signal")
    assert job.failure_reason == "killed by signal 9 (SIGKILL)"


def test_an_inferred_time_out_says_that_it_is_inferred():
    change = decide(a_job(time_limit=4000), unreported(ABSENT, ended=ExitFile(143, NOW), start=a_start()), NOW)

    assert change.new.cause == "timeout"
    assert "inferred" in change.reason


def test_a_reason_that_the_script_wrote_is_the_failure_reason():
    job = believed(a_job(), unreported(ABSENT, ended=ExitFile(1, JUST_NOW, "cannot enter the working directory")))

    assert job.failure_reason == "cannot enter the working directory"


def test_an_active_report_brings_its_reason_and_ends_the_search():
    job = believed(a_job(QUEUED, **NEARLY_LOST), reported(QUEUED, reason="Priority"))

    assert (job.reason, job.missing_since, job.missed_polls) == ("Priority", None, 0)


def test_an_unknown_word_is_kept_and_ends_the_search():
    job = believed(a_job(QUEUED, **NEARLY_LOST), reported(None, native_state="ZOMBIE"))

    assert (job.native_state, job.missing_since, job.missed_polls) == ("ZOMBIE", None, 0)


def test_misses_are_counted_from_the_first_one():
    job = believed(believed(a_job(), unreported(ABSENT), NOW), unreported(ABSENT), NOW + 10)

    assert (job.missing_since, job.missed_polls) == (NOW, 2)


def test_a_question_without_an_answer_is_no_miss():
    job = a_job(**NEARLY_LOST)

    assert decide(job, unreported(UNANSWERED), NOW + 1e6) is None


def test_a_loss_says_what_was_asked_and_for_how_long():
    change = decide(a_job(**NEARLY_LOST), unreported(ABSENT), NOW)

    assert change.reason == change.new.failure_reason
    assert all(part in change.reason for part in ("101", "3 times", "60 s", "no exit file"))


def test_a_loss_to_a_reused_id_says_so():
    evidence = attrs.evolve(unreported(ABSENT), is_taken=True)

    change = decide(a_job(**NEARLY_LOST), evidence, NOW)

    assert change.new.state is LOST
    assert "another job under the id 101" in change.reason


@pytest.mark.parametrize("evidence", [reported(RUNNING), unreported(ABSENT, ended=ExitFile(0, JUST_NOW))])
def test_a_lost_job_that_turns_up_says_so_and_leaves_no_trace_of_the_loss(evidence):
    job = a_job(LOST, cause="lost", failure_reason="gone", **NEARLY_LOST)

    change = decide(job, evidence, NOW)

    assert change.reason.startswith("found again: ")
    assert (change.new.cause, change.new.failure_reason, change.new.missing_since) == (None, None, None)


@pytest.mark.parametrize("state", [state for state in ENDS if state is not LOST])
@pytest.mark.parametrize(
    "evidence",
    [
        *(reported(other) for other in [*JobState, None]),
        unreported(ABSENT),
        unreported(ABSENT, ended=ExitFile(0, JUST_NOW)),
        unreported(ABSENT, ended=ExitFile(9, JUST_NOW)),
    ],
)
def test_an_end_is_the_end(state, evidence):
    job = a_job(state, finished_at=LONG_AGO, cancel_requested_at=1.0, cancel_accepted_at=2.0)

    assert decide(job, evidence, NOW) is None


# A scheduler that starts a job again by itself.


@pytest.mark.parametrize("state", [FAILED, CANCELLED, TIMED_OUT, SUCCEEDED])
def test_an_end_that_the_scheduler_requeued_is_taken_back(state):
    evidence = reported(QUEUED, restarts=1, ended=ExitFile(143, LONG_AGO, was_signalled=True), start=a_start())

    job = believed(a_job(state, finished_at=LONG_AGO, exit_code=143), evidence)

    assert (job.state, job.restarts, job.finished_at, job.exit_code) == (QUEUED, 1, None, None)


@pytest.mark.parametrize(
    "ended", [ExitFile(143, LONG_AGO, was_signalled=True), ExitFile(0, LONG_AGO, was_signalled=True)]
)
@pytest.mark.parametrize("answer", [UNANSWERED, ABSENT, NOT_ASKED])
def test_with_restart_counts_the_exit_file_of_an_earlier_run_means_nothing(ended, answer):
    waiting = believed(a_job(), reported(QUEUED, restarts=1, ended=ended, start=a_start()))

    job = believed(waiting, unreported(answer, ended=ended, start=a_start()))

    assert (waiting.state, job.state) == (QUEUED, QUEUED)


@pytest.mark.parametrize("word", [QUEUED, RUNNING])
def test_a_success_is_one_though_the_scheduler_starts_the_job_again(word):
    job = believed(a_job(), reported(word, restarts=1, ended=ExitFile(0, LONG_AGO), start=a_start()))

    assert (job.state, job.exit_code) == (SUCCEEDED, 0)


@pytest.mark.parametrize("answer", [UNANSWERED, ABSENT, NOT_ASKED])
def test_without_restart_counts_the_exit_file_of_an_earlier_run_means_nothing_once_the_job_waits_again(answer):
    waiting = believed(a_job(), reported(QUEUED, ended=ExitFile(143, LONG_AGO, was_signalled=True), start=a_start()))

    job = believed(waiting, unreported(answer, ended=ExitFile(143, LONG_AGO, was_signalled=True), start=a_start()))

    assert (waiting.state, job.state) == (QUEUED, QUEUED)


def test_a_job_that_was_requeued_and_vanished_is_lost_and_stays_so_despite_the_files_of_its_earlier_run():
    evidence = unreported(ABSENT, ended=ExitFile(143, LONG_AGO, was_signalled=True), start=a_start())
    waiting = believed(a_job(), reported(QUEUED, ended=evidence.exit, start=evidence.start))

    for seconds in (0, 30, 61):
        waiting = believed(waiting, evidence, NOW + seconds)

    assert waiting.state is LOST
    assert decide(waiting, evidence, NOW + 90) is None


@pytest.mark.parametrize("restarts", [0, 1])
def test_the_files_of_a_new_run_count_again(restarts):
    waiting = believed(
        a_job(), reported(QUEUED, restarts=restarts, ended=ExitFile(143, LONG_AGO, was_signalled=True), start=a_start())
    )
    start = a_start(JUST_NOW, restarts=1)

    running = believed(waiting, unreported(NOT_ASKED, start=start))
    over = believed(running, unreported(UNANSWERED, start=start, ended=ExitFile(0, NOW)))

    assert (running.state, running.started_at) == (RUNNING, JUST_NOW)
    assert (over.state, over.started_at, over.restarts) == (SUCCEEDED, JUST_NOW, 1)


def test_a_cancel_of_a_requeued_job_that_waits_again_is_not_judged_by_its_earlier_run():
    waiting = believed(
        a_job(), reported(QUEUED, restarts=1, ended=ExitFile(143, LONG_AGO, was_signalled=True), start=a_start())
    )
    cancelled = attrs.evolve(waiting, cancel_requested_at=NOW, cancel_accepted_at=NOW)

    job = believed(
        cancelled, unreported(ABSENT, ended=ExitFile(143, LONG_AGO, was_signalled=True), start=a_start()), NOW + 1
    )

    assert (job.state, job.exit_code) == (CANCELLED, None)


def test_the_run_after_a_requeue_is_not_running_by_the_start_file_of_the_last():
    waiting = believed(a_job(), reported(QUEUED, start=a_start()))

    assert decide(waiting, unreported(NOT_ASKED, start=a_start()), NOW) is None
    assert decide(waiting, reported(QUEUED, start=a_start()), NOW) is None


# A listing that lags, and clocks that differ.


def test_a_listing_that_lags_behind_the_script_makes_no_job_flap():
    start = a_start(JUST_NOW)
    states, job = [], a_job(SUBMITTED)

    for evidence in (
        reported(QUEUED), unreported(NOT_ASKED, start=start), reported(QUEUED, start=start),
        unreported(NOT_ASKED, start=start), reported(QUEUED, start=start), reported(RUNNING, start=start),
    ):  # fmt: skip
        job = believed(job, evidence)
        states.append(job.state)

    assert states == [QUEUED, RUNNING, RUNNING, RUNNING, RUNNING, RUNNING]


def test_a_clock_that_is_behind_never_makes_a_success_doubtful():
    start = a_start(at=SUBMITTED_AT - 86_400)
    flapped = believed(a_job(SUBMITTED), reported(QUEUED, start=start))

    job = believed(flapped, unreported(ABSENT, start=start, ended=ExitFile(0, SUBMITTED_AT - 86_390)))

    assert job.state is SUCCEEDED
    assert job.submitted_at <= job.started_at <= job.finished_at


@pytest.mark.parametrize("skew", [-86_400, -30, 30, 86_400])
def test_skew_between_the_machines_makes_no_duration_negative(skew):
    start = a_start(at=NOW + skew)

    running = believed(a_job(SUBMITTED, submitted_at=NOW), unreported(NOT_ASKED, start=start))
    over = believed(running, reported(SUCCEEDED, finished_at=NOW + 1, start=start), NOW + 2)

    assert running.started_at >= running.submitted_at
    assert over.finished_at >= over.started_at


def test_a_clock_that_jumped_on_the_node_is_no_time_out():
    job = a_job(time_limit=3600, submitted_at=NOW - 60, created_at=NOW - 60)
    evidence = unreported(ABSENT, start=a_start(NOW - 50), ended=ExitFile(137, NOW + 7200))

    assert believed(job, evidence).state is FAILED


def test_a_clock_that_jumped_here_is_no_time_out():
    evidence = unreported(ABSENT, start=a_start(NOW), ended=ExitFile(137, NOW + 60))

    assert believed(a_job(time_limit=3600), evidence, NOW + 86_400).state is FAILED


def test_a_clock_that_was_set_forward_loses_no_job():
    job = a_job()

    for seconds in (0, 1, 2, 3600, 3601, 3602):
        job = believed(job, unreported(ABSENT), NOW + seconds)

    assert (job.state, job.missed_polls) == (RUNNING, 6)


def test_a_clock_that_was_set_back_loses_no_job():
    job = a_job(missing_since=NOW + 3600, missed_polls=50)

    assert believed(job, unreported(ABSENT)).state is RUNNING


def test_a_death_by_a_signal_after_an_accepted_cancel_is_its_work_though_the_nodes_clock_is_behind():
    job = a_job(cancel_requested_at=NOW, cancel_accepted_at=NOW)

    assert believed(job, unreported(ABSENT, ended=ExitFile(143, NOW - 20))).state is CANCELLED
    assert believed(job, unreported(ABSENT, ended=ExitFile(3, NOW - 20))).state is FAILED


@pytest.mark.parametrize(
    ("code", "at", "wanted"), [(0, JUST_NOW, False), (3, JUST_NOW, True), (3, NOW - 2 * GRACE_SECONDS, False)]
)
def test_only_a_fresh_failure_makes_the_scheduler_worth_asking_at_once(code, at, wanted):
    assert wants_a_poll(a_job(), unreported(NOT_ASKED, ended=ExitFile(code, at)), NOW) is wanted


def test_a_success_is_not_turned_into_a_failure_by_files_of_another_run():
    job = a_job(SUCCEEDED, exit_code=0, finished_at=LONG_AGO)
    evidence = Evidence(
        answer=Answer.REPORTED, report=a_report(QUEUED, restarts=1), exit=ExitFile(3, LONG_AGO), start=a_start(LONG_AGO)
    )

    assert believed(job, evidence).state is QUEUED


# Properties over whole lives.

times = st.floats(min_value=-200_000, max_value=200_000).map(lambda seconds: NOW + seconds)
codes = st.sampled_from([0, 1, 3, 126, 127, 128, 129, 137, 143, 255])
exits = st.none() | st.builds(ExitFile, code=codes, at=times, reason=st.none() | st.just("why"))
starts = st.none() | st.builds(a_start, at=times, restarts=st.integers(0, 2))
reports = st.builds(
    a_report,
    st.none() | st.sampled_from([s for s in JobState if s is not LOST]),
    restarts=st.integers(0, 2),
    exit_code=st.none() | codes,
    signal=st.none() | st.sampled_from([9, 15]),
    started_at=st.none() | times,
    finished_at=st.none() | times,
    reason=st.none() | st.just("Priority"),
)
evidences = st.one_of(
    st.builds(Evidence, answer=st.just(Answer.REPORTED), report=reports, exit=exits, start=starts),
    st.builds(Evidence, answer=st.sampled_from([ABSENT, UNANSWERED, NOT_ASKED]), exit=exits, start=starts),
)
jobs = st.builds(
    a_job,
    st.sampled_from([SUBMITTED, QUEUED, RUNNING]),
    time_limit=st.none() | st.just(60),
    cancel_requested_at=st.none() | times,
    cancel_accepted_at=st.none() | times,
)
lives = st.lists(st.tuples(evidences, st.floats(min_value=-100_000, max_value=100_000)), max_size=12)


@settings(deadline=None, max_examples=400)
@given(job=jobs, life=lives)
def test_no_life_breaks_the_laws(job, life):
    for evidence, seconds in life:
        now = NOW + seconds
        old, job = job, believed(job, evidence, now)

        if old.state is not job.state:
            requeued = job.restarts > old.restarts
            assert may_follow(old.state, job.state, requeued=requeued)
            if old.state.is_terminal and not job.state.is_terminal:
                assert old.state is LOST or requeued
            assert old.state is not SUCCEEDED or not job.state.is_terminal
        if evidence.answer in (UNANSWERED, NOT_ASKED) and evidence.exit is None and evidence.start is None:
            assert job == old
        if job.state is LOST and old.state is not LOST:
            assert evidence.answer is ABSENT
            assert job.missed_polls >= MISSES_BEFORE_LOST
        if job.state.is_terminal:
            assert job.finished_at is not None
            assert job.finished_at >= (job.started_at or job.submitted_at)
            assert (job.exit_code == 0) is (job.state is SUCCEEDED)
            assert (job.failure_reason is None) is (job.state is SUCCEEDED)
        else:
            assert job.finished_at is None
        assert job.started_at is None or job.started_at >= job.submitted_at
        assert job.restarts >= old.restarts


@settings(deadline=None, max_examples=400)
@given(job=jobs, life=lives, again=evidences)
def test_the_same_evidence_again_teaches_nothing_but_that_a_job_was_missed_once_more(job, life, again):
    for evidence, seconds in life:
        job = believed(job, evidence, NOW + seconds)
    once = believed(job, again, NOW)
    # A success that is queued again is first believed to wait, and only then judged by what its files say.
    assume(not (job.state is SUCCEEDED and once.state is QUEUED))

    twice = believed(once, again, NOW)

    if again.answer is ABSENT and not once.state.is_terminal:
        assert attrs.evolve(twice, missed_polls=once.missed_polls) == once or twice.state is LOST
    else:
        assert twice == once


@settings(deadline=None)
@given(job=jobs, answers=st.lists(st.sampled_from([UNANSWERED, NOT_ASKED]), max_size=50), now=times)
def test_no_number_of_failed_questions_changes_anything(job, answers, now):
    assert all(decide(job, unreported(answer), now) is None for answer in answers)


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_job_that_ended_by_itself_and_is_queued_again_by_a_forgetful_controller_is_over(restarts):
    report = {"restarts": restarts, "ended": ExitFile(3, NOW - GRACE_SECONDS), "start": a_start()}

    soon = believed(a_job(), reported(QUEUED, **{**report, "ended": ExitFile(3, NOW - 40.0)}))
    later = believed(a_job(), reported(QUEUED, **report))

    assert soon.state is QUEUED
    assert (later.state, later.exit_code) == (FAILED, 3)
