"""The indices and the elements of arrays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.array_elements import ElementReport, roll_up
from molq.array_indices import are_indices, expand_indices, format_indices, limit_in
from molq.job_state import JobState

Q, R, S, F, T, C, LOST = (
    JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.TIMED_OUT, JobState.CANCELLED,
    JobState.LOST,
)  # fmt: skip


def element(index, state, **facts):
    return ElementReport(index=index, native_state=str(state), state=state, **facts)


@pytest.mark.parametrize(
    ("spec", "indices"),
    [
        ("0-3", (0, 1, 2, 3)),
        ("7", (7,)),
        ("5-7,1,3", (1, 3, 5, 6, 7)),
        ("0-9:3", (0, 3, 6, 9)),
        ("0-8:4%2", (0, 4, 8)),
        ("1,1,1-2", (1, 2)),
    ],
)
def test_indices_are_each_there_once_and_in_order(spec, indices):
    assert expand_indices(spec) == indices


@pytest.mark.parametrize(
    "spec", ["", "a", "3-1", "1-", "-1", "1,,2", "0-9:0", "1%0", "1%", "%2", "0-999999999", "[0-3]", "1-3\n", "٣"]
)
def test_what_is_no_list_of_indices_is_refused_with_the_value(spec):
    assert not are_indices(spec)
    with pytest.raises(ValueError, match="indices") as caught:
        expand_indices(spec)
    assert repr(spec) in str(caught.value)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_indices_in_short_mean_the_same(indices):
    assert set(expand_indices(format_indices(indices))) == indices


def test_the_limit_is_told_apart():
    assert (limit_in("0-9%4"), limit_in("0-9")) == ("%4", "")


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        ([Q, Q], Q),
        ([Q, R], R),
        ([Q, S], R),
        ([Q, F], R),
        ([R, F], R),
        ([Q, C], Q),
        ([Q, LOST, C], Q),
        ([Q, C, T], R),
        ([Q, None], Q),
        ([S, None], None),
        ([S, S], S),
        ([S, F, T, C], F),
        ([S, T, C], T),
        ([S, LOST, C], LOST),
        ([S, C], C),
    ],
)
def test_an_array_is_what_its_elements_make_of_it(states, whole):
    assert roll_up([element(index, state) for index, state in enumerate(states)]).state is whole


def test_a_failed_array_counts_and_lists_its_failed_elements():
    elements = [element(i, F if i in (2, 3, 7) else S, exit_code=5 if i in (2, 3, 7) else 0) for i in range(10)]

    rolled = roll_up(elements)

    assert rolled.reason == "3 of 10 elements failed: 2-3,7"
    assert rolled.exit_code == 5
