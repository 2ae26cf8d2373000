"""Policies: their defaults, what they refuse, and the waits that follow from them."""

from __future__ import annotations

import copy
import inspect
import math
import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.job_state import JobState
from molq.policies import RetentionPolicy, RetryBackoff, RetryPolicy

# Positional order and defaults, as the reference states them.
SIGNATURES = {
    RetryBackoff: [
        ("mode", "exponential"),
        ("initial_seconds", 5.0),
        ("maximum_seconds", 300.0),
        ("factor", 2.0),
    ],
    RetryPolicy: [
        ("max_attempts", 1),
        ("retry_on_states", (JobState.FAILED, JobState.TIMED_OUT)),
        ("retry_on_exit_codes", None),
        ("backoff", RetryBackoff("exponential", 5.0, 300.0, 2.0)),
        ("escalate", None),
    ],
    RetentionPolicy: [
        ("keep_job_dirs_for_days", 30),
        ("keep_terminal_records_for_days", 90),
        ("keep_failed_job_dirs", True),
    ],
}

NO_NUMBERS = ["5", None, True, False, math.nan, math.inf, -math.inf, [5]]


@pytest.mark.parametrize("kind", SIGNATURES, ids=lambda kind: kind.__name__)
def test_a_policy_has_the_order_and_the_defaults_of_the_reference(kind):
    parameters = inspect.signature(kind).parameters

    assert [(name, getattr(kind(), name)) for name in parameters] == SIGNATURES[kind]
    assert all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters.values())


@pytest.mark.parametrize(
    "policy",
    [
        RetryBackoff("fixed", 1, 2, 3),
        RetryPolicy(3, (JobState.LOST,), (1, 75), RetryBackoff("fixed")),
        RetentionPolicy(1, 2, False),
    ],
    ids=lambda policy: type(policy).__name__,
)
def test_a_policy_is_a_frozen_value(policy):
    first = attrs.fields(type(policy))[0].name

    assert pickle.loads(pickle.dumps(policy)) == policy == copy.deepcopy(policy)
    assert len({policy, copy.deepcopy(policy)}) == 1
    assert policy != type(policy)()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(policy, first, getattr(policy, first))


# Backoff


@pytest.mark.parametrize("mode", ["linear", "", "FIXED", None, 1, ["fixed"]])
def test_a_backoff_has_one_of_two_modes_and_says_which(mode):
    with pytest.raises(ValueError) as caught:
        RetryBackoff(mode=mode)

    assert str(caught.value) == f"RetryBackoff.mode must be 'fixed' or 'exponential', not {mode!r}"


@pytest.mark.parametrize(("field", "smallest"), [("initial_seconds", 0), ("maximum_seconds", 0), ("factor", 1)])
@pytest.mark.parametrize("value", [*NO_NUMBERS, -1, -0.001])
def test_the_numbers_of_a_backoff_are_finite_and_not_too_small(field, smallest, value):
    with pytest.raises(ValueError) as caught:
        RetryBackoff(**{field: value})

    assert str(caught.value) == f"RetryBackoff.{field} must be a number of at least {smallest}, not {value!r}"


def test_a_factor_below_one_would_shrink_the_wait_and_is_refused():
    with pytest.raises(ValueError, match=r"factor must be a number of at least 1, not 0\.99"):
        RetryBackoff(factor=0.99)


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        (RetryBackoff(), [5, 10, 20, 40, 80, 160, 300, 300]),
        (RetryBackoff("fixed"), [5, 5, 5]),
        (RetryBackoff("fixed", 600.0), [300, 300]),
        (RetryBackoff("fixed", 7, 100, 9), [7, 7, 7]),
        (RetryBackoff("exponential", 1, 1000, 10), [1, 10, 100, 1000, 1000]),
        (RetryBackoff("exponential", 3, 300, 1), [3, 3, 3]),
        (RetryBackoff("exponential", 600, 300), [300, 300]),
        (RetryBackoff(initial_seconds=0), [0, 0, 0]),
        (RetryBackoff(maximum_seconds=0), [0, 0]),
    ],
)
def test_the_waits_before_the_second_and_further_attempts(backoff, waits):
    assert [backoff.seconds_before(attempt) for attempt in range(2, 2 + len(waits))] == waits


@pytest.mark.parametrize("factor", [2, 2.0, 1e300])
def test_however_many_attempts_there_were_the_wait_is_the_longest_one(factor):
    assert RetryBackoff(factor=factor).seconds_before(10**9) == 300
    assert RetryBackoff(initial_seconds=0, factor=factor).seconds_before(10**9) == 0


@given(
    st.sampled_from(["fixed", "exponential"]),
    st.floats(0, 1e308),
    st.floats(0, 1e308),
    st.floats(1, 1e308),
    st.integers(2, 10**6),
)
def test_a_wait_is_in_range_and_never_shorter_than_the_one_before(mode, initial, maximum, factor, attempt):
    backoff = RetryBackoff(mode, initial, maximum, factor)

    wait = backoff.seconds_before(attempt)

    assert 0 <= wait <= maximum
    assert wait <= backoff.seconds_before(attempt + 1)


# Retry


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, -1, 1.0, 2.5])
def test_the_number_of_attempts_is_a_whole_number_from_one(value):
    with pytest.raises(ValueError) as caught:
        RetryPolicy(max_attempts=value)

    assert str(caught.value) == f"RetryPolicy.max_attempts must be a whole number of at least 1, not {value!r}"


@pytest.mark.parametrize("value", [1_000_001, 2**63, 10**400])
def test_a_number_of_attempts_is_one_that_the_database_takes(value):
    with pytest.raises(ValueError, match=r"RetryPolicy\.max_attempts must be at most 1000000, not 1?\d+$"):
        RetryPolicy(max_attempts=value)


@pytest.mark.parametrize("state", ["failed", "timed_out", "lost"])
def test_states_may_be_given_as_words_and_in_a_list(state):
    assert RetryPolicy(retry_on_states=[state]).retry_on_states == (JobState(state),)
    assert RetryPolicy(retry_on_states=state).retry_on_states == (JobState(state),)


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.FAILED, JobState.TIMED_OUT, JobState.LOST}))
def test_a_job_is_not_retried_while_it_lives_or_after_success_or_cancel(state):
    with pytest.raises(ValueError) as caught:
        RetryPolicy(retry_on_states=(JobState.FAILED, state))

    assert repr(state.value) in str(caught.value)
    assert "only failed, timed_out and lost are retried" in str(caught.value)


@pytest.mark.parametrize("value", ["broken", ["failed", "broken"], None, 5, [None], [5]])
def test_what_is_no_state_is_refused_with_the_value_and_an_example(value):
    with pytest.raises(ValueError) as caught:
        RetryPolicy(retry_on_states=value)

    assert repr(value) in str(caught.value)
    assert "('failed', 'timed_out')" in str(caught.value)


@pytest.mark.parametrize("codes", [(), (0,), (1, 75, 255), [137], {9}])
def test_exit_codes_become_a_tuple(codes):
    assert RetryPolicy(retry_on_exit_codes=codes).retry_on_exit_codes == tuple(codes)


@pytest.mark.parametrize("code", [-1, 256, 1.0, True, False, "1", None, 10**400])
def test_an_exit_code_is_a_number_from_0_to_255(code):
    with pytest.raises(ValueError) as caught:
        RetryPolicy(retry_on_exit_codes=(1, code))

    assert "numbers from 0 to 255" in str(caught.value)
    assert repr(code) in str(caught.value)


def test_a_single_exit_code_is_refused_with_an_example():
    with pytest.raises(ValueError, match=r"takes a tuple of numbers, such as \(75, 137\), not 75"):
        RetryPolicy(retry_on_exit_codes=75)


@pytest.mark.parametrize("backoff", [None, 5.0, "fixed", {"mode": "fixed"}, RetryBackoff])
def test_a_backoff_is_a_retry_backoff(backoff):
    with pytest.raises(ValueError) as caught:
        RetryPolicy(backoff=backoff)

    assert str(caught.value) == f"RetryPolicy.backoff must be a RetryBackoff, not {backoff!r}"


def test_lists_that_a_policy_was_made_of_may_change_afterwards():
    states, codes = [JobState.FAILED], [1]
    policy = RetryPolicy(2, states, codes)

    states.append(JobState.LOST)
    codes.append(2)

    assert policy == RetryPolicy(2, (JobState.FAILED,), (1,))


# Retention


@pytest.mark.parametrize("field", ["keep_job_dirs_for_days", "keep_terminal_records_for_days"])
@pytest.mark.parametrize("value", [*NO_NUMBERS, -1, 0.5])
def test_days_are_whole_numbers_from_zero(field, value):
    with pytest.raises(ValueError) as caught:
        RetentionPolicy(**{field: value})

    assert str(caught.value) == f"RetentionPolicy.{field} must be a whole number of at least 0, not {value!r}"


def test_nothing_need_be_kept():
    policy = RetentionPolicy(0, 0, False)

    assert attrs.astuple(policy) == (0, 0, False)


@pytest.mark.parametrize("value", ["yes", "false", 0, 1, None])
def test_whether_folders_of_failed_jobs_are_kept_is_true_or_false(value):
    with pytest.raises(ValueError) as caught:
        RetentionPolicy(keep_failed_job_dirs=value)

    assert str(caught.value) == f"RetentionPolicy.keep_failed_job_dirs must be True or False, not {value!r}"
