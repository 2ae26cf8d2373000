from __future__ import annotations

import pytest

from molq_local import outcome


def told(how):
    return how.word, how.exit_code, how.signal, how.cause


@pytest.mark.parametrize(
    ("code", "number", "cause", "expected"),
    [
        (0, None, None, ("succeeded", 0, None, None)),
        (3, None, None, ("failed", 3, None, None)),
        (128, None, None, ("failed", 128, None, None)),
        (137, None, None, ("failed", None, 9, "signal")),
        (255, None, None, ("failed", 255, None, None)),
        (None, 9, None, ("failed", None, 9, "signal")),
        (0, None, "cancelled", ("succeeded", 0, None, None)),
        (1, None, "cancelled", ("cancelled", 1, None, "cancelled")),
        (143, None, "cancelled", ("cancelled", None, 15, "cancelled")),
        (None, 15, "timeout", ("timed_out", None, 15, "timeout")),
        (None, None, "cancelled", ("cancelled", None, None, "cancelled")),
    ],
)
def test_the_end_of_a_process_is_judged(code, number, cause, expected):
    assert told(outcome.of_process(code, number, cause)) == expected


def test_a_signal_is_named():
    assert outcome.of_process(None, 9, None).reason == "killed by signal 9 (SIGKILL)"
    assert outcome.of_process(None, 63, None).reason == "killed by signal 63"


def test_an_end_that_nobody_saw_is_known_by_the_exit_file_or_lost():
    assert told(outcome.of_unseen_end((0, None), None, is_rebooted=True)) == ("succeeded", 0, None, None)
    assert told(outcome.of_unseen_end((2, "why"), None, is_rebooted=False)) == ("failed", 2, None, None)
    assert outcome.of_unseen_end(None, None, is_rebooted=True).reason == "host rebooted"
    assert outcome.of_unseen_end(None, None, is_rebooted=False).word == "lost"
    assert outcome.of_unseen_end(None, "timeout", is_rebooted=False).word == "timed_out"
