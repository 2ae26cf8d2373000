"""Which of the jobs that are over may lose their folder, or their record, and when."""

from __future__ import annotations

import attrs
import pytest

from molq.cleanup import judge
from molq.job_state import JobState
from molq.policies import RetentionPolicy
from molq.retained import RetainedAttempt, RetainedFamily

NOON = 1_750_000_000.0
DAY = 86_400.0
POLICY = RetentionPolicy()
ENDS = sorted(state for state in JobState if state.is_terminal)
ACTIVE = sorted(state for state in JobState if not state.is_terminal)


def member(name="a", state=JobState.SUCCEEDED, *, age=0.0, attempt=1, cleaned=False, finished=True):
    return RetainedAttempt(
        job_id=name, root_job_id="a", attempt=attempt, revision=1, state=state,
        finished_at=NOON - age * DAY if finished else None, cleaned_at=NOON if cleaned else None,
        job_dir=f"/w/.molq/jobs/{name}", cwd="/w",
    )  # fmt: skip


def family(*members, is_awaited=False):
    return RetainedFamily(members=members, is_awaited=is_awaited)


def goes(what, policy=POLICY, now=NOON):
    """Return the ids whose folders may go, and whether the records may."""
    verdict = judge(what, policy, now)
    return ([], False) if verdict is None else ([m.job_id for m in verdict.folders], verdict.with_records)


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0, ([], False)), (29.99, ([], False)), (30, (["a"], False)), (89.99, (["a"], False)), (90, (["a"], True))],
)
def test_the_folder_goes_after_its_days_and_the_record_after_its_own(age, expected):
    assert goes(family(member(age=age))) == expected


@pytest.mark.parametrize("state", [state for state in ENDS if state is not JobState.SUCCEEDED])
def test_the_folder_of_a_job_that_did_not_succeed_stays_as_long_as_its_record(state):
    assert goes(family(member(state=state, age=89))) == ([], False)
    assert goes(family(member(state=state, age=90))) == (["a"], True)


@pytest.mark.parametrize("state", ENDS)
def test_without_keep_failed_job_dirs_all_ends_are_alike(state):
    policy = attrs.evolve(POLICY, keep_failed_job_dirs=False)

    assert goes(family(member(state=state, age=30)), policy) == (["a"], False)


@pytest.mark.parametrize("state", ACTIVE)
@pytest.mark.parametrize("at", [0, 1])
def test_nothing_of_a_job_goes_while_an_attempt_is_active(state, at):
    members = [member("a", age=500), member("b", age=400, attempt=2)]
    members[at] = attrs.evolve(members[at], state=state, finished_at=None)

    assert goes(family(*members)) == ([], False)


def test_an_active_job_stays_even_if_its_row_has_an_end():
    assert goes(family(member(state=JobState.RUNNING, age=500))) == ([], False)


def test_an_end_of_unknown_time_is_not_old():
    assert goes(family(member(finished=False))) == ([], False)


def test_a_job_that_another_waits_for_stays():
    assert goes(family(member(age=500), is_awaited=True)) == ([], False)


def test_the_age_of_a_job_is_that_of_its_latest_end():
    assert goes(family(member("a", age=500), member("b", age=10, attempt=2))) == ([], False)
    assert goes(family(member("a", age=10), member("b", age=500, attempt=2))) == ([], False)


def test_a_job_that_succeeded_at_last_did_succeed():
    attempts = member("a", JobState.FAILED, age=40), member("b", age=35, attempt=2)

    assert goes(family(*attempts)) == (["b", "a"], False)


def test_a_job_that_failed_at_last_did_not_succeed():
    attempts = member("a", age=40), member("b", JobState.TIMED_OUT, age=35, attempt=2)

    assert goes(family(*attempts)) == ([], False)


@pytest.mark.parametrize(("age", "expected"), [(6.99, ([], False)), (7, (["a"], True))])
def test_a_lost_job_stays_while_it_may_turn_up_again(age, expected):
    impatient = RetentionPolicy(0, 0, keep_failed_job_dirs=False)

    assert goes(family(member(state=JobState.LOST, age=age)), impatient) == expected


def test_a_family_with_a_lost_attempt_stays_as_long():
    impatient = RetentionPolicy(0, 0, keep_failed_job_dirs=False)

    assert goes(family(member("a", JobState.LOST, age=6), member("b", age=3, attempt=2)), impatient) == ([], False)


@pytest.mark.parametrize("policy", [POLICY, RetentionPolicy(0, 0, keep_failed_job_dirs=False)])
def test_an_end_in_the_future_is_never_old(policy):
    assert goes(family(member(age=-0.001)), policy) == ([], False)
    assert goes(family(member(age=-500)), policy) == ([], False)


def test_a_clock_that_was_set_back_deletes_nothing():
    assert goes(family(member(age=100)), now=NOON - 200 * DAY) == ([], False)


def test_what_was_cleaned_is_not_cleaned_again():
    assert goes(family(member(age=40, cleaned=True))) == ([], False)
    assert goes(family(member(age=90, cleaned=True))) == ([], True)


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
@pytest.mark.parametrize("keep_failed", [True, False])
def test_a_record_stays_as_long_as_a_folder_that_is_to_be_kept(state, keep_failed):
    policy = RetentionPolicy(365, 30, keep_failed_job_dirs=keep_failed)

    assert goes(family(member(state=state, age=364.99)), policy) == ([], False)
    assert goes(family(member(state=state, age=365)), policy) == (["a"], True)


def test_a_record_does_not_wait_for_a_folder_that_is_gone():
    policy = RetentionPolicy(keep_job_dirs_for_days=365, keep_terminal_records_for_days=30)

    assert goes(family(member(age=31, cleaned=True)), policy) == ([], True)
    assert goes(family(member("a", age=31, cleaned=True), member("b", age=31, attempt=2)), policy) == ([], False)


def test_absurdly_many_days_are_just_long():
    assert goes(family(member(age=500)), RetentionPolicy(10**400, 10**400)) == ([], False)
