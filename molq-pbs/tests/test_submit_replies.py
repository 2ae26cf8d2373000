"""qsub's recorded replies, and what they amount to."""

from __future__ import annotations

import pbs_tests_recorded as recorded
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.backend import CommandReply, SubmitDeferred, SubmitRejected, SubmitUnconfirmed
from molq_pbs.submit_replies import read_submit_reply


def reply(exit_code, stdout, stderr):
    return CommandReply(exit_code=exit_code, stdout=stdout, stderr=stderr)


def reply_of(block):
    return CommandReply(exit_code=block.exit_code, stdout=block.stdout, stderr=block.stderr)


def qsubs(transcript):
    return [block for block in recorded.blocks(transcript) if block.command.startswith("qsub ")]


NOT_NOW = ("limit\n", "not enabled", "errno=15010")
REFUSED = [
    block
    for transcript in ("qsub_errors", "job_names", "arrays", "dependencies", "server_down")
    for block in qsubs(transcript)
    if block.exit_code != 0
    and not any(words in block.stderr for words in NOT_NOW)
    # qsub ends as the job that it waited for, and molq never lets it wait; nor is a terminal asked for.
    and "block=true" not in block.command
    and "qsub -I" not in block.command
    and "--banana" not in block.command
]
ACCEPTED = [
    block
    for transcript in ("qsub_errors", "job_names", "arrays", "dependencies", "job_states")
    for block in qsubs(transcript)
    if block.exit_code == 0 and block.stdout.count("\n") == 1
]


@pytest.mark.parametrize("block", REFUSED, ids=lambda block: block.command[:60])
def test_every_recorded_refusal_is_surely_no(block):
    with pytest.raises(SubmitRejected) as error:
        read_submit_reply(reply_of(block))

    assert str(error.value) in block.stderr
    assert "usage" not in str(error.value)


@pytest.mark.parametrize("block", ACCEPTED, ids=lambda block: block.command[:60])
def test_every_recorded_acceptance_has_its_id(block):
    assert read_submit_reply(reply_of(block)).scheduler_job_id == block.stdout.strip()


@pytest.mark.parametrize(
    ("transcript", "command", "occurrence"),
    [
        ("qsub_errors", "qsub -h ok.sh", 1),
        ("qsub_errors", "qsub -q long ok.sh", 0),
        ("server_down", "qsub ok.sh", 0),
    ],
)
def test_a_limit_or_a_server_that_is_away_is_not_now(transcript, command, occurrence):
    with pytest.raises(SubmitDeferred):
        read_submit_reply(reply_of(recorded.block(transcript, command, occurrence)))


@pytest.mark.parametrize(
    "words",
    [
        "Failed to recv data from background qsub",
        "qsub: End of File",
        "qsub: Error (15031) submitting job",
        "qsub: Unknown queue or so said a hook of the site, after it had taken the job",
        "something that a later release says",
    ],
)
def test_what_is_not_known_to_mean_no_may_have_been_heard(words):
    if words.startswith("qsub: Unknown queue"):
        words = words.replace("qsub: ", "")
    with pytest.raises(SubmitUnconfirmed):
        read_submit_reply(reply(1, "", f"{words}\n"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (191, "Job rejected by all possible destinations"),
        (189, "No default queue specified"),
        (197, "Bad GID for job execution"),
        (160, "Access from host not allowed, or unknown host MSG=node7"),
        (156, "Invalid request"),
        (236, "Unknown Reservation Id"),
        (201, "Invalid Account"),
        (52, "job and reservation have conflicting specification"),
    ],
)
def test_what_the_server_refuses_by_its_number_is_surely_no(code, words):
    with pytest.raises(SubmitRejected, match=words):
        read_submit_reply(reply(code, "", f"qsub: {words}\n"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (198, "Maximum number of jobs already in complex"),
        (38, "Maximum number of jobs in 'Q' state for user ada already in queue workq"),
        (39, "would exceed limit on resource ncpus in queue workq"),
        (39, "would exceed per-user limit on resource ncpus in complex"),
        (196, "Resource temporarily unavailable"),
        (212, "Request not allowed: Server shutting down"),
        (162, "cannot connect to server pbs1 (errno=111)"),
        (13, "cannot connect to server pbs1 (errno=15117)"),
    ],
)
def test_a_limit_or_a_busy_server_is_not_now(code, words):
    with pytest.raises(SubmitDeferred, match=words[:20]):
        read_submit_reply(reply(code, "", f"qsub: {words}\n"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (162, "qsub: System error: "),
        (163, "qsub: PBS server internal error"),
        (183, "qsub: Batch protocol error"),
        (57, "qsub: Failed to save job/resv, refer server logs for details"),
        # By the numbers of Torque, this is its protocol error.
        (185, "qsub: submit error (Batch protocol error MSG=the reply is garbled)"),
        (170, "the site's wrapper broke"),
    ],
)
def test_what_went_wrong_while_the_server_may_have_taken_the_job_is_no_refusal(code, words):
    with pytest.raises(SubmitUnconfirmed):
        read_submit_reply(reply(code, "", f"{words}\n"))


def test_a_hook_of_the_site_refuses_in_words_of_its_own():
    with pytest.raises(SubmitRejected, match="name a project with -P, please"):
        read_submit_reply(reply(32, "", "qsub: name a project with -P, please\n"))

    with pytest.raises(SubmitUnconfirmed):
        read_submit_reply(reply(32, "", "the wrapper broke\n"))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("qsub: submit error (Unknown queue MSG=cannot locate queue)", SubmitRejected),
        ("qsub: submit error (Maximum number of jobs already in queue MSG=total)", SubmitDeferred),
    ],
)
def test_torques_words(words, kind):
    with pytest.raises(kind):
        read_submit_reply(reply(1, "", f"{words}\n"))


@pytest.mark.parametrize("id_", ["123.server", "123[].server.example.org"])
def test_a_greeting_around_the_id_does_not_hide_it(id_):
    assert read_submit_reply(reply(0, f"Welcome!\n\n{id_}\nBye.\n", "")).scheduler_job_id == id_


@pytest.mark.parametrize("out", ["12.a\n13.a\n", "12\n", "012.a\n", "12[3].a\n", "12.a extra\n", "-1.a\n"])
def test_what_is_not_exactly_one_id_is_none(out):
    with pytest.raises(SubmitUnconfirmed):
        read_submit_reply(reply(0, out, ""))


def test_a_reply_that_a_dead_process_left_is_read_by_its_words():
    assert read_submit_reply(reply(None, "12.server\n", "")).scheduler_job_id == "12.server"


@given(st.text(), st.text(), st.integers(-20, 255))
def test_random_words_are_never_a_refusal(out, err, code):
    try:
        receipt = read_submit_reply(reply(code, out, err))
    except SubmitUnconfirmed:
        return
    assert code == 0
    assert receipt.scheduler_job_id in out
