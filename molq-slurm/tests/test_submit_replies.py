"""sbatch's recorded replies, and what they amount to."""

from __future__ import annotations

import pytest
import slurm_tests_recorded as recorded
from hypothesis import given
from hypothesis import strategies as st

from molq.backend import CommandReply, SubmitDeferred, SubmitRejected, SubmitUnconfirmed
from molq_slurm.submit_replies import read_submit_reply


def reply(exit_code, stdout, stderr):
    return CommandReply(exit_code=exit_code, stdout=stdout, stderr=stderr)


def reply_of(block):
    return CommandReply(exit_code=block.exit_code, stdout=block.stdout, stderr=block.stderr)


def sbatches(transcript):
    return [block for block in recorded.blocks(transcript) if block.command.startswith("sbatch")]


REFUSED = [
    block
    for transcript in ("sbatch-errors", "sbatch-enforce-limits", "munged-down")
    for block in sbatches(transcript)
    if block.exit_code != 0 and "policy" not in block.stderr
]
ACCEPTED = [
    block
    for transcript in ("sbatch-success", "sbatch-errors", "special-characters")
    for block in sbatches(transcript)
    if block.exit_code == 0 and "--parsable" in block.command
]


@pytest.mark.parametrize("block", REFUSED, ids=lambda block: block.command[:60])
def test_every_recorded_refusal_is_surely_no(block):
    with pytest.raises(SubmitRejected) as error:
        read_submit_reply(reply_of(block))

    assert str(error.value) == block.stderr.strip()


@pytest.mark.parametrize("block", ACCEPTED, ids=lambda block: block.command[:60])
def test_every_recorded_acceptance_has_its_id(block):
    receipt = read_submit_reply(reply_of(block))

    assert receipt.scheduler_job_id == block.stdout.strip().partition(";")[0]


@pytest.mark.parametrize(
    "words",
    [
        "Unable to contact slurm controller (connect failure)",
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
    ],
)
def test_a_limit_or_a_controller_that_is_away_is_not_now(words):
    with pytest.raises(SubmitDeferred):
        read_submit_reply(reply(1, "", f"sbatch: error: Batch job submission failed: {words}\n"))


@pytest.mark.parametrize(
    "words",
    [
        "Socket timed out on send/recv operation",
        "Unable to contact slurm controller (send failure)",
        "Unable to contact slurm controller (receive failure)",
        "Zero Bytes were transmitted or received",
        "Protocol authentication error",
        "Unspecified error",
        "something that a later release says",
    ],
)
def test_a_lost_connection_may_have_been_heard(words):
    with pytest.raises(SubmitUnconfirmed):
        read_submit_reply(reply(1, "", f"sbatch: error: Batch job submission failed: {words}\n"))


def test_a_job_that_was_waited_for_is_not_acknowledged_by_its_own_exit_code():
    with pytest.raises(SubmitUnconfirmed):
        read_submit_reply(reply(7, "12\n", ""))


def test_a_greeting_around_the_id_does_not_hide_it():
    assert read_submit_reply(reply(0, "Welcome!\n\n12;lab\nBye.\n", "")).scheduler_job_id == "12"


def test_two_ids_are_none():
    with pytest.raises(SubmitUnconfirmed):
        read_submit_reply(reply(0, "2026\n12\n", ""))


def test_a_reply_that_a_dead_process_left_is_read_by_its_words():
    assert read_submit_reply(reply(None, "12\n", "")).scheduler_job_id == "12"


@given(st.text(), st.text(), st.integers(-20, 255))
def test_random_words_are_never_a_refusal(out, err, code):
    try:
        receipt = read_submit_reply(reply(code, out, err))
    except SubmitUnconfirmed:
        return
    assert code == 0
    assert receipt.scheduler_job_id in out
