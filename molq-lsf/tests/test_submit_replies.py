"""bsub's recorded replies, and what they amount to."""

from __future__ import annotations

import re

import lsf_tests_recorded as recorded
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.backend import CommandReply, SubmitDeferred, SubmitRejected, SubmitUnconfirmed
from molq_lsf.submit_replies import read_submit_reply


def reply(exit_code, stdout, stderr):
    return CommandReply(exit_code=exit_code, stdout=stdout, stderr=stderr)


def reply_of(block):
    return CommandReply(exit_code=block.exit_code, stdout=block.stdout, stderr=block.stderr)


BSUBS = [
    block
    for path in sorted(recorded.FOLDER.iterdir())
    for block in recorded.blocks(path.stem)
    if re.match(r"bsub\b", block.command) and " -h" not in block.command and " -V" not in block.command
]
REFUSED = [block for block in BSUBS if block.exit_code == 255]
ACCEPTED = [block for block in BSUBS if block.exit_code == 0]


def test_there_are_many_recorded_replies():
    assert len(REFUSED) > 40
    assert len(ACCEPTED) > 100


@pytest.mark.parametrize("block", REFUSED, ids=lambda block: block.command[:60])
def test_every_recorded_refusal_is_surely_no(block):
    with pytest.raises(SubmitRejected) as error:
        read_submit_reply(reply_of(block))

    assert str(error.value) == block.stderr.strip()


@pytest.mark.parametrize("block", ACCEPTED, ids=lambda block: block.command[:60])
def test_every_recorded_acceptance_has_its_id(block):
    receipt = read_submit_reply(reply_of(block))

    assert f"Job <{receipt.scheduler_job_id}> is submitted" in block.stdout


def test_a_configuration_that_is_missing_is_surely_no():
    block = recorded.block("15-daemons-down", "LSF_ENVDIR=/nonexistent timeout 10 bsub true")

    with pytest.raises(SubmitRejected, match=r"lsf\.conf"):
        read_submit_reply(reply_of(block))


@pytest.mark.parametrize(
    "words",
    [
        "The destination queue has reached its job limit",
        "User or one of user's groups does not have enough job slots",
        "normal: Queue has been closed",
        "No job Id can be used now",
    ],
)
def test_a_limit_is_not_now(words):
    with pytest.raises(SubmitDeferred, match="Job not submitted"):
        read_submit_reply(reply(255, "", f"{words}. Job not submitted.\n"))


@pytest.mark.parametrize(
    "words",
    [
        "Failed in an LSF library call: Failed in sending/receiving a message: Connection reset by peer",
        "Contacting batch daemon: Communication timeout",
        "Master batch daemon internal error",
        "Batch protocol error",
        "something that a later release says",
        "No such queue in a text of another kind",
    ],
)
def test_a_lost_connection_may_have_been_heard(words):
    with pytest.raises(SubmitUnconfirmed):
        read_submit_reply(reply(255, "", f"{words}. Job not submitted.\n"))


@pytest.mark.parametrize(
    "words",
    [
        'Error near "select" : duplicate section',
        'Error in rusage section: Expected number, string, name, or "(" but found end of string',
        '"x" cannot be used in the resource requirement section',
    ],
)
def test_errors_of_ibms_lsf_in_a_resource_requirement_are_surely_no(words):
    with pytest.raises(SubmitRejected):
        read_submit_reply(reply(255, "", f"{words}. Job not submitted.\n"))


def test_a_bsub_that_was_killed_after_it_told_the_id_is_an_acceptance():
    out = "Job <2386> is submitted to default queue <normal>.\n"

    assert read_submit_reply(reply(-9, out, "")).scheduler_job_id == "2386"
    assert read_submit_reply(reply(None, out, "")).scheduler_job_id == "2386"


def test_a_daemon_that_was_away_for_a_while_does_not_hide_the_id():
    said = "batch system daemon not responding ... still trying\n"

    out = "Job <7> is submitted to queue <q>.\n"
    assert read_submit_reply(reply(0, out, said)).scheduler_job_id == "7"


def test_words_of_the_site_around_the_id_do_not_hide_it():
    out = "Your project has 7 hours left.\nJob <12> is submitted to queue <q>.\nHave fun.\n"

    assert read_submit_reply(reply(0, out, "")).scheduler_job_id == "12"


def test_two_ids_are_none():
    out = "Job <1> is submitted to queue <q>.\nJob <2> is submitted to queue <q>.\n"

    with pytest.raises(SubmitUnconfirmed):
        read_submit_reply(reply(0, out, ""))


@given(st.text(), st.text(), st.integers(-20, 255))
def test_random_words_are_never_a_refusal(out, err, code):
    try:
        receipt = read_submit_reply(reply(code, out, err))
    except SubmitUnconfirmed:
        return
    assert f"<{receipt.scheduler_job_id}> is submitted" in out + err


@given(st.text(alphabet="abc .:<>", max_size=40))
def test_no_unknown_reason_is_a_refusal(reason):
    with pytest.raises(SubmitUnconfirmed):
        read_submit_reply(reply(255, "", f"{reason}x. Job not submitted.\n"))
