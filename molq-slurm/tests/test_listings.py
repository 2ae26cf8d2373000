"""Lines of squeue and sacct as a real Slurm 22.05.8 printed them in molq's own formats, and lines of no kind."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.backend import JobState, SchedulerError, SubmittedJob, format_indices
from molq_slurm.accounting import parse_accounts, parse_line
from molq_slurm.array_ids import parse_indices
from molq_slurm.programs import tag_in
from molq_slurm.queue_listing import parse_listing
from molq_slurm.reports import (
    ending_in_queue,
    is_thin,
    report_from_accounts,
    report_from_queue,
)
from molq_slurm.states import MEANINGS, split_word

S = "\x1f"
TAG = "0b0f6f1e-5a56-4c1f-9d63-1f6a2b0c7d10"
QUEUE = f"""\
1|1|N/A|FAILED|768|0|1795397769|1795397770|node1|NonZeroExitCode|molq:x1|/w/j.sh
3|3|N/A|PENDING|0|0|1795401369|1795401969||JobHeldUser|(null)|/w/j.sh
2|2|0-1,4,9,16,25,729%3|PENDING|0|0|N/A|N/A||JobHeldUser|a
b|c|/w/j.sh
142|138|0|RUNNING|0|0|1795398735|1795399335|node1|None|molq:{TAG}|(null)
""".replace("|", S)
ACCOUNTS = f"""\
1|1|FAILED|3:0|1795397769|1795397769|1795397770|10|debug|node1|sbatch --parsable --comment=molq:{TAG} j.sh
3|3|PENDING|0:0|1795397769|Unknown|Unknown|10|debug|None assigned|sbatch --parsable -H j.sh
2|2_[0-1,4,9,729%3]|PENDING|0:0|1795397769|Unknown|Unknown|10|debug|None assigned|sbatch --comment=a
b|c -o /dev/null j.sh
""".replace("|", S)


def row(state, *, status=0, nodes="node1", reason="None", job_id="7"):
    line = S.join([job_id, job_id, "N/A", state, str(status), "0", "1", "2", nodes, reason, f"molq:{TAG}", "/s"])
    (found,) = parse_listing(line + "\n", [job_id]).rows[job_id]
    return found


def account(state, exit_code="0:0", *, end="1000", job_id="7", line="sbatch"):
    text = S.join([job_id, job_id, state, exit_code, "900", "950", end, "10", "node1", line])
    return parse_line(text)


def test_a_recorded_listing_is_read_line_by_line():
    listing = parse_listing(QUEUE, ["1", "2", "3", "138", "99"])

    assert {job_id: rows[0].state for job_id, rows in listing.rows.items()} == {
        "1": "FAILED",
        "2": "PENDING",
        "3": "PENDING",
        "138": "RUNNING",
    }
    assert listing.rows["2"][0].indices == "0-1,4,9,16,25,729%3"
    assert listing.rows["138"][0].indices == "0"
    assert not listing.garbled


def test_a_job_whose_line_cannot_be_read_is_not_taken_for_absent():
    listing = parse_listing(QUEUE + f"55{S}RUN\n", ["1", "55"])

    assert listing.garbled == {"55"}


@pytest.mark.parametrize("text", ["hello\n", "1 RUNNING\n", QUEUE[:-1]])
def test_a_listing_that_is_none_or_cut_off_is_an_error(text):
    with pytest.raises(SchedulerError):
        parse_listing(text, ["1"])


def test_a_comment_that_imitates_a_line_does_not_become_the_job():
    forged = S.join(["1", "1", "N/A", "COMPLETED", "0", "0", "1", "2", "n", "None", "(null)", "(null)"])
    listing = parse_listing(QUEUE.replace(f"a\nb{S}c", f"a\n{forged}"), ["1"])
    job = SubmittedJob(job_id="x1", scheduler_job_id="1", job_dir=None, submitted_at=0)

    assert tag_in(listing.rows["1"][0].free_text, job) == "x1"


@pytest.mark.parametrize(
    ("state", "status", "nodes", "reason", "expected"),
    [
        ("COMPLETED", 0, "node1", "None", (JobState.SUCCEEDED, 0, None, None)),
        ("FAILED", 768, "node1", "NonZeroExitCode", (JobState.FAILED, 3, None, "exit")),
        ("FAILED", 32768, "node1", "NonZeroExitCode", (JobState.FAILED, 128, None, "exit")),
        ("FAILED", 65280, "node1", "NonZeroExitCode", (JobState.FAILED, 255, None, "exit")),
        ("FAILED", 35584, "node1", "NonZeroExitCode", (JobState.FAILED, 139, 11, "signal")),
        ("FAILED", 9, "node1", "JobLaunchFailure", (JobState.FAILED, None, 9, "signal")),
        ("FAILED", 4021, "node1", "JobLaunchFailure", (JobState.FAILED, None, None, "launch")),
        ("FAILED", 1, "", "BadConstraints", (JobState.FAILED, None, None, "launch")),
        ("CANCELLED", 15, "node1", "None", (JobState.CANCELLED, None, None, "cancelled")),
        ("TIMEOUT", 15, "node1", "TimeLimit", (JobState.TIMED_OUT, None, None, "timeout")),
        ("OUT_OF_MEMORY", 125, "node1", "OutOfMemory", (JobState.FAILED, None, None, "out_of_memory")),
        ("PREEMPTED", 15, "node1", "None", (JobState.FAILED, None, None, "preempted")),
        ("NODE_FAIL", 0, "node1", "NodeDown", (JobState.FAILED, None, None, "node_fail")),
        ("DEADLINE", 1, "", "DeadLine", (JobState.FAILED, None, None, "deadline")),
        ("BOOT_FAIL", 0, "node1", "None", (JobState.FAILED, None, None, "boot_fail")),
        ("COMPLETING", 0, "node1", "None", (JobState.RUNNING, None, None, None)),
        ("SPECIAL_EXIT", 0, "", "None", (JobState.QUEUED, None, None, None)),
        ("MEDITATING", 0, "", "None", (None, None, None, None)),
    ],
)
def test_what_squeue_says_of_an_end(state, status, nodes, reason, expected):
    ending = ending_in_queue(row(state, status=status, nodes=nodes, reason=reason))

    assert (ending.state, ending.exit_code, ending.signal, ending.cause) == expected


def test_ends_are_told_in_sentences():
    def sentence(*args, **kwargs):
        return report_from_queue(row(*args, **kwargs), TAG).reason

    assert sentence("OUT_OF_MEMORY") == "exceeded its memory limit (out of memory)"
    assert sentence("NODE_FAIL", nodes="n3") == "node n3 failed"
    assert sentence("NODE_FAIL", nodes="n[3-4]") == "one of its nodes n[3-4] failed"
    assert report_from_queue(row("CANCELLED"), TAG, 1000).reason == "was cancelled by uid 1000"
    assert sentence("CANCELLED", reason="DependencyNeverSatisfied", nodes="") == (
        "was cancelled by Slurm, since what it waited for can never happen"
    )


def test_a_job_that_slurm_holds_since_it_could_not_launch_it_tells_what_to_do():
    report = report_from_queue(row("PENDING", nodes="", reason="launch failed requeued held"), TAG)

    assert report.reason == "launch failed requeued held; once its cause is gone, 'scontrol release' runs it"


def test_the_forecast_of_a_waiting_job_is_not_its_start():
    assert report_from_queue(row("PENDING", nodes="", reason="Resources"), TAG).started_at is None


def test_recorded_accounts_are_read_line_by_line():
    rows = parse_accounts(ACCOUNTS.replace(f"{S}debug", ""), ["1", "2", "3"])

    assert {job_id: found[0].state for job_id, found in rows.items()} == {"1": "FAILED", "2": "PENDING", "3": "PENDING"}
    assert rows["1"][0].submit_line.endswith(f"--comment=molq:{TAG} j.sh")
    assert rows["2"][0].indices == "[0-1,4,9,729%3]"


def test_who_cancelled_a_job_is_known_from_accounting():
    report = report_from_accounts(account("CANCELLED by 1003"), TAG)

    assert (report.state, report.reason, report.exit_code) == (
        JobState.CANCELLED,
        "was cancelled by uid 1003",
        None,
    )


def test_only_the_first_component_of_a_heterogeneous_job_counts():
    assert account("FAILED", "1:0", job_id="174+0").job_id == "174"
    assert account("FAILED", "1:0", job_id="174+1") is None


@pytest.mark.parametrize(
    ("line", "now", "expected"),
    [
        (account("FAILED", "0:0"), 1010, True),
        (account("FAILED", "0:0"), 5000, False),
        (account("FAILED", "3:0"), 1010, False),
        (account("RUNNING", end="Unknown"), 2000, True),
        (account("RUNNING", end="Unknown"), 200_000, False),
        (account("PENDING", end="Unknown"), 2000, True),
        (account("COMPLETED"), 1010, False),
        (account("CANCELLED by 0"), 1010, False),
    ],
)
def test_a_line_of_accounting_is_not_always_the_truth_yet(line, now, expected):
    assert is_thin(line, now) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CANCELLED by 1003", ("CANCELLED", 1003)),
        ("CANCELLED+", ("CANCELLED", None)),
        ("OUT_OF_MEMORY", ("OUT_OF_MEMORY", None)),
        ("", None),
        ("completed", None),
        ("COMPLETED or not", None),
    ],
)
def test_state_words_carry_more(text, expected):
    assert split_word(text) == expected


def test_every_word_that_squeue_takes_is_known():
    recorded = (
        "PENDING,RUNNING,SUSPENDED,COMPLETED,CANCELLED,FAILED,TIMEOUT,NODE_FAIL,PREEMPTED,BOOT_FAIL,DEADLINE,"
        "OUT_OF_MEMORY,COMPLETING,CONFIGURING,RESIZING,RESV_DEL_HOLD,REQUEUED,REQUEUE_FED,REQUEUE_HOLD,REVOKED,"
        "SIGNALING,SPECIAL_EXIT,STAGE_OUT,STOPPED"
    )

    assert set(recorded.split(",")) <= MEANINGS.keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2-9%2", (2, 3, 4, 5, 6, 7, 8, 9)),
        ("[0-1,4,9]", (0, 1, 4, 9)),
        ("0-9:3,20%2", (0, 3, 6, 9, 20)),
        ("7", (7,)),
        ("0-1,4,9,16,25,36,49,64,81,...", None),
        ("N/A", None),
        ("", None),
        ("0-999999999", None),
        ("5-1", None),
    ],
)
def test_indices_are_read_as_slurm_writes_them(text, expected):
    assert parse_indices(text) == expected


@given(st.sets(st.integers(0, 3000), min_size=1))
def test_indices_survive_being_written_and_read(indices):
    assert parse_indices(format_indices(indices)) == tuple(sorted(indices))


@given(st.lists(st.sampled_from([*"017|_[]-,% \n\t", S, S, S, "COMPLETED", "FAILED", "node1", "é"])).map("".join))
def test_garbage_is_never_a_job_that_is_over(text):
    try:
        listing = parse_listing(text, ["1", "7", "0"])
    except SchedulerError:
        listing = None
    for found in parse_accounts(text, ["1", "7"]).values():
        assert all(attrs.asdict(one)["state"] for one in found)
    for rows in listing.rows.values() if listing else ():
        for one in rows:
            report = report_from_queue(one, "")
            assert report.native_state in text
            assert (
                tag_in(one.free_text, SubmittedJob(job_id=TAG, scheduler_job_id="1", job_dir=None, submitted_at=0))
                != TAG
            )


@given(st.text())
def test_any_text_at_all_is_survived(text):
    assert parse_line(text) is None
    assert split_word(text) is None or text.isascii()
    parse_indices(text)
    try:
        assert not parse_listing(text, ["1"]).rows
    except SchedulerError:
        return
