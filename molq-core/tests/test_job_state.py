"""The states of a job, and which may follow which."""

from __future__ import annotations

import itertools
import json
import pickle

import pytest

from molq.job_state import JobState, may_follow

ACTIVE = {"CREATED", "SUBMITTED", "QUEUED", "RUNNING"}
ENDS = {"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT", "LOST"}

# After each state, what may follow without a requeue, in the words of truth.md.
FOLLOWERS = {
    "CREATED": ENDS | {"SUBMITTED", "QUEUED", "RUNNING"},
    "SUBMITTED": ENDS | {"QUEUED", "RUNNING"},
    "QUEUED": ENDS | {"RUNNING"},
    "RUNNING": ENDS | {"QUEUED"},
    "SUCCEEDED": set(),
    "FAILED": set(),
    "CANCELLED": set(),
    "TIMED_OUT": set(),
    "LOST": (ENDS - {"LOST"}) | {"QUEUED", "RUNNING"},
}

PAIRS = list(itertools.product(JobState, JobState))


def test_the_states_are_those_of_the_reference_in_its_order():
    assert [state.name for state in JobState] == [
        "CREATED", "SUBMITTED", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT", "LOST",
    ]  # fmt: skip


@pytest.mark.parametrize("state", JobState)
def test_a_state_is_its_name_in_small_letters_as_a_string(state):
    word = state.name.lower()

    assert state == word
    assert isinstance(state, str)
    assert str(state) == f"{state}" == word
    assert json.dumps({"state": state}) == f'{{"state": "{word}"}}'
    assert JobState(word) is state
    assert pickle.loads(pickle.dumps(state)) is state


@pytest.mark.parametrize("state", JobState)
def test_a_state_knows_whether_it_is_an_end(state):
    assert state.is_terminal is (state.name in ENDS)
    assert (not state.is_terminal) is (state.name in ACTIVE)


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_only_the_legal_transitions_are_legal(old, new):
    assert may_follow(old, new) is (new.name in FOLLOWERS[old.name])


@pytest.mark.parametrize("old", JobState)
def test_no_state_follows_itself(old):
    assert not may_follow(old, old)


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new in PAIRS if old.is_terminal])
def test_an_end_becomes_active_only_if_lost_or_requeued(old, new):
    if not new.is_terminal:
        assert may_follow(old, new) is (old is JobState.LOST and new in (JobState.QUEUED, JobState.RUNNING))
        assert may_follow(old, new, requeued=True) is (new in (JobState.QUEUED, JobState.RUNNING))


@pytest.mark.parametrize("old", [state for state in JobState if state.is_terminal])
def test_a_requeued_job_may_have_ended_again_before_anyone_looked(old):
    assert may_follow(old, JobState.SUCCEEDED, requeued=True)
    assert may_follow(old, JobState.TIMED_OUT, requeued=True)


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new in PAIRS if not old.is_terminal])
def test_a_requeue_changes_nothing_for_an_active_job(old, new):
    assert may_follow(old, new, requeued=True) is may_follow(old, new)


@pytest.mark.parametrize("old", [state for state in JobState if state is not JobState.CREATED])
def test_nothing_goes_back_to_before_the_scheduler_knew_it(old):
    for requeued in (False, True):
        assert not may_follow(old, JobState.CREATED, requeued=requeued)
