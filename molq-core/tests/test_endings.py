"""The words and sentences for what ended a job."""

from __future__ import annotations

import pytest

from molq.endings import cause_of, describe, signal_in
from molq.job_state import JobState


@pytest.mark.parametrize(
    ("code", "signal"),
    [
        (None, None),
        (0, None),
        (1, None),
        (127, None),
        (128, None),
        (129, 1),
        (137, 9),
        (143, 15),
        (192, 64),
        (193, None),
    ],
)
def test_an_exit_code_above_128_stands_for_a_signal_if_there_is_such_a_signal(code, signal):
    assert signal_in(code) == signal


def test_255_is_an_exit_code_of_its_own():
    assert signal_in(255) is None
    assert describe("exit", 255, None) == "ended with exit code 255"


@pytest.mark.parametrize(
    ("state", "signal", "cause"),
    [
        (JobState.FAILED, None, "exit"),
        (JobState.FAILED, 9, "signal"),
        (JobState.TIMED_OUT, 9, "timeout"),
        (JobState.CANCELLED, 15, "cancelled"),
        (JobState.LOST, None, "lost"),
        (JobState.SUCCEEDED, None, None),
    ],
)
def test_an_end_of_which_no_more_is_known_has_a_word(state, signal, cause):
    assert cause_of(state, signal) == cause


@pytest.mark.parametrize(
    ("cause", "code", "signal", "sentence"),
    [
        ("exit", 3, None, "ended with exit code 3"),
        ("exit", None, None, "failed; its exit code is not known"),
        ("signal", 137, 9, "killed by signal 9 (SIGKILL)"),
        ("signal", None, 63, "killed by signal 63"),
        ("out_of_memory", 137, 9, "exceeded its memory limit (out of memory)"),
        ("timeout", 143, 15, "exceeded its time limit"),
        ("preempted", None, 15, "was preempted by another job"),
        ("node_fail", None, None, "its node failed"),
        ("a_word_of_the_backend", None, 9, "killed by signal 9 (SIGKILL)"),
    ],
)
def test_an_end_is_told_in_a_sentence(cause, code, signal, sentence):
    assert describe(cause, code, signal) == sentence
