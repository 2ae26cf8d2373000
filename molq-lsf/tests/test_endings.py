"""What LSF's words amount to, with all that is known beside them."""

from __future__ import annotations

import attrs
import pytest

from molq.backend import JobState
from molq_lsf.endings import Facts, ending_of, lacks_history
from molq_lsf.history import JobHistory
from molq_lsf.job_files import ExitFile
from molq_lsf.states import STATES, TERMINATIONS

NOW = 10_000.0


def history(**facts):
    return JobHistory(**{"job_id": "1", "outcome": "EXIT", "started_at": 1000.0, "ended_at": 1061.0, **facts})


@pytest.mark.parametrize(
    ("word", "facts", "expected"),
    [
        ("DONE", {}, (JobState.SUCCEEDED, 0, None, None)),
        ("EXIT", {"exit_code": 3}, (JobState.FAILED, 3, None, "exit")),
        ("EXIT", {"exit_code": 137}, (JobState.FAILED, 137, 9, "signal")),
        ("EXIT", {"exit_code": 255}, (JobState.FAILED, 255, None, "exit")),
        ("EXIT", {"exit_code": 130, "term": "TERM_OWNER"}, (JobState.CANCELLED, 130, None, "cancelled")),
        ("EXIT", {"term": "TERM_OWNER"}, (JobState.CANCELLED, None, None, "cancelled")),
        ("EXIT", {"exit_code": 140, "term": "TERM_RUNLIMIT"}, (JobState.TIMED_OUT, 140, None, "timeout")),
        ("EXIT", {"exit_code": 130, "term": "TERM_MEMLIMIT"}, (JobState.FAILED, 130, None, "out_of_memory")),
        ("EXIT", {"exit_code": 137, "term": "TERM_MEMLIMIT"}, (JobState.FAILED, 137, None, "out_of_memory")),
        ("EXIT", {"term": "TERM_PREEMPT"}, (JobState.FAILED, None, None, "preempted")),
        ("EXIT", {"exit_code": 3, "term": "TERM_ZOMBIE"}, (JobState.FAILED, 3, None, "exit")),
        ("EXIT", {"exit_code": 137, "term": "TERM_EXTERNAL_SIGNAL"}, (JobState.FAILED, 137, 9, "signal")),
        ("EXIT", {}, (JobState.FAILED, None, None, None)),
        ("EXIT", {"history": history(exit_code=7)}, (JobState.FAILED, 7, None, "exit")),
        ("EXIT", {"history": history(exit_code=130, killed_by="me")}, (JobState.CANCELLED, 130, None, "cancelled")),
        ("EXIT", {"history": history(exit_code=9, killed_by="me")}, (JobState.CANCELLED, 9, None, "cancelled")),
        ("EXIT", {"history": history(killed_by="me")}, (JobState.CANCELLED, None, None, "cancelled")),
        ("EXIT", {"history": history(signal=9)}, (JobState.FAILED, 137, 9, "signal")),
        ("EXIT", {"history": history(exit_code=130)}, (JobState.FAILED, 130, 2, "signal")),
        (
            "EXIT",
            {"history": history(exit_code=130, has_memory_limit=True)},
            (JobState.FAILED, 130, None, "out_of_memory"),
        ),
        (
            "EXIT",
            {"history": history(exit_code=130, has_memory_limit=True, index=3)},
            (JobState.FAILED, 130, 2, "signal"),
        ),
        (
            "EXIT",
            {"history": history(exit_code=130, has_memory_limit=True), "exit_file": ExitFile(130, was_signalled=False)},
            (JobState.FAILED, 130, 2, "signal"),
        ),
        ("EXIT", {"history": history(exit_code=140, run_limit=60.0)}, (JobState.TIMED_OUT, 140, None, "timeout")),
        ("EXIT", {"history": history(exit_code=140), "queue_limit": 60.0}, (JobState.TIMED_OUT, 140, None, "timeout")),
        ("EXIT", {"history": history(exit_code=140, run_limit=90.0)}, (JobState.FAILED, 140, 12, "signal")),
        ("EXIT", {"history": history(exit_code=140)}, (JobState.FAILED, 140, 12, "signal")),
        ("EXIT", {"history": history(exit_code=7, run_limit=60.0)}, (JobState.TIMED_OUT, 7, None, "timeout")),
        (
            "EXIT",
            {
                "history": history(exit_code=7, run_limit=60.0),
                "exit_file": ExitFile(code=7, was_signalled=False),
            },
            (JobState.FAILED, 7, None, "exit"),
        ),
        (
            "EXIT",
            {"history": history(exit_code=7, run_limit=60.0), "exit_file": ExitFile(code=7, was_signalled=True)},
            (JobState.TIMED_OUT, 7, None, "timeout"),
        ),
        ("PEND", {"reason": "why"}, (JobState.QUEUED, None, None, None)),
        ("UNKWN", {}, (JobState.RUNNING, None, None, None)),
        ("ZOMBI", {}, (JobState.RUNNING, None, None, None)),
        ("MEDITATING", {}, (None, None, None, None)),
    ],
)
def test_endings(word, facts, expected):
    ending = ending_of(word, Facts(now=NOW, **facts))

    assert (ending.state, ending.exit_code, ending.signal, ending.cause) == expected


def test_a_success_of_a_job_that_started_and_left_no_exit_file_is_none_on_openlava():
    facts = {"doubts_success": True, "has_folder": True, "has_started": True, "now": NOW}

    assert lacks_history("DONE", Facts(**facts))
    assert ending_of("DONE", Facts(**facts)) is None
    assert ending_of("DONE", Facts(**facts, history=history(outcome="DONE", ended_at=NOW - 10))) is None
    late = ending_of("DONE", Facts(**facts, history=history(outcome="DONE", ended_at=NOW - 200)))
    assert (late.state, late.cause, late.exit_code) == (JobState.FAILED, "signal", None)
    assert "though LSF says DONE" in late.reason


def test_a_success_of_a_job_that_never_started_is_none_on_openlava():
    ended = history(outcome="DONE", ended_at=NOW - 200)
    facts = {"doubts_success": True, "has_folder": True, "now": NOW, "history": ended}

    never = ending_of("DONE", Facts(**facts))
    killed = ending_of("DONE", Facts(**{**facts, "history": attrs.evolve(ended, killed_by="me")}))

    assert (never.state, never.cause, never.exit_code) == (JobState.FAILED, "launch", None)
    assert (killed.state, killed.cause, killed.exit_code) == (JobState.CANCELLED, "cancelled", None)


@pytest.mark.parametrize(
    "facts",
    [
        {"doubts_success": True},
        {"has_folder": True, "has_started": True},
        {"doubts_success": True, "has_folder": True, "exit_file": ExitFile(code=0, was_signalled=False)},
        {"doubts_success": True, "has_folder": True, "exit_file": ExitFile(code=3, was_signalled=False)},
    ],
)
def test_a_success_is_believed_where_nothing_speaks_against_it(facts):
    """Of an exit file that says otherwise, core makes a failure."""
    assert ending_of("DONE", Facts(**facts)).state is JobState.SUCCEEDED


def test_why_a_job_is_out_of_reach_is_told():
    assert ending_of("UNKWN", Facts()).reason == "its host is out of reach"


def test_every_documented_state_and_reason_is_known():
    states = "PEND PROV PSUSP RUN USUSP SSUSP DONE EXIT UNKWN WAIT ZOMBI"
    reasons = (
        "PREEMPT LOAD RUNLIMIT DEADLINE FORCE_OWNER FORCE_ADMIN REQUEUE_ADMIN CPULIMIT CHKPNT OWNER ADMIN MEMLIMIT "
        "SWAP THREADLIMIT BUCKET_KILL CWD_NOTEXIST DATA MC_RECALL CSM_ALLOC KUBE"
    )

    assert set(states.split()) == STATES.keys()
    assert {f"TERM_{reason}" for reason in reasons.split()} <= TERMINATIONS.keys()
