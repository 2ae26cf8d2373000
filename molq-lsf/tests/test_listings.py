"""What bjobs and bhist print, recorded and invented, and what is read of it."""

from __future__ import annotations

import json
import re
import time
from types import MappingProxyType

import lsf_tests_recorded as recorded
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.backend import CommandReply, SchedulerError
from molq_lsf.history import parse_history, run_limit_in
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.queue_listing import ask_all, ask_queue, parse_wide
from molq_lsf.states import STATES
from molq_lsf.times import read_time

OPTIONS = LSFSchedulerOptions()
HEADER = "JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME\n"
NOW = time.mktime((2026, 11, 26, 12, 0, 0, 0, 0, -1))
TAG = "6f1c2d3e-aaaa-4bbb-8ccc-0123456789ab"


class Programs:
    """Commands that answer what a test says, in order."""

    environment = MappingProxyType({})

    def __init__(self, *replies):
        self.replies = list(replies)
        self.argvs = []

    def run(self, argv, *, stdin=None, timeout=None):
        self.argvs.append(argv)
        assert timeout, "LSF's programs wait for ever"
        return self.replies.pop(0)


def reply(stdout="", stderr="", exit_code=0):
    return CommandReply(exit_code=exit_code, stdout=stdout, stderr=stderr)


def ask(ids, *replies, dialect="openlava"):
    return ask_queue(ids, dialect, OPTIONS, Programs(*replies))


WIDE = [
    block
    for path in sorted(recorded.FOLDER.iterdir())
    for block in recorded.blocks(path.stem)
    if block.command.startswith("bjobs")
    and " -w" in block.command
    and not re.search("[;|]", block.command)
    and block.stdout
]


@pytest.mark.parametrize("block", WIDE, ids=lambda block: block.command[:60])
def test_every_recorded_row_is_read(block):
    rows = parse_wide(block.stdout, has_tags=True)

    lines = [line for line in block.stdout.splitlines()[1:] if line[:1].isdigit()]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line.split()[0] == row.job_id
        assert line.split()[2] == row.state
        assert row.state in STATES
        index = re.search(r"\[(\d+)\] +Nov", line)
        assert row.element == (int(index[1]) if index else None)


def test_reasons_stand_below_their_rows():
    text = (
        f"{HEADER}"
        "213     molqtest PEND  normal     vm             -        done_bad   Nov 22 17:02\n"
        " Dependency condition invalid or never satisfied: 1 host;\n"
        " Not enough job slot(s): 2 hosts;\n"
        "214     molqtest RUN   normal     vm          vm          x          Nov 22 17:02\n"
    )

    rows = parse_wide(text, has_tags=True)

    assert [row.reason for row in rows] == [
        "Dependency condition invalid or never satisfied: 1 host; Not enough job slot(s): 2 hosts",
        "",
    ]


def test_rows_of_a_call_that_failed_are_kept():
    block = recorded.block("03-bjobs-forms", "bjobs -w 135 999999 137 888888")

    listing = ask(["135", "137", "888888", "999999", "7"], reply(block.stdout, block.stderr, block.exit_code))

    assert set(listing.rows) == {"135", "137"}
    assert listing.not_found == {"888888", "999999"}  # of 7 nothing was said, which is no absence


def test_a_daemon_that_was_away_does_not_spoil_its_answer():
    block = recorded.block("22-mbatchd-killed", "timeout 100 bjobs -w 2469")

    listing = ask(["2469"], reply(block.stdout, block.stderr, block.exit_code))

    assert listing.rows["2469"][0].state == "RUN"


@pytest.mark.parametrize(
    "said",
    [
        "Failed in an LSF library call: Failed in sending/receiving a message: Connection reset by peer\n",
        "batch system daemon not responding ... still trying\n",
        "LSF daemon (LIM) not responding ... still trying\n",
        "lsb_init: Failed in an LSF library call: Unable to open file lsf.conf\n",
        "LSF is processing your request. Please wait...\n",
        "some error that nobody knows\n",
    ],
)
@pytest.mark.parametrize("exit_code", [0, 255])
@pytest.mark.parametrize("dialect", ["openlava", "spectrum"])
def test_what_could_not_be_asked_is_an_error_and_no_absence(said, exit_code, dialect):
    with pytest.raises(SchedulerError):
        ask(["135"], reply("", said, exit_code), dialect=dialect)


def test_nothing_found_means_that_none_is_known():
    listing = ask(["1", "2"], reply("", "No unfinished job found\n", 255))

    assert (listing.rows, listing.not_found) == ({}, {"1", "2"})


def test_an_empty_answer_says_of_no_job_that_it_is_gone():
    listing = ask(["1"], reply())

    assert (listing.rows, listing.not_found) == ({}, frozenset())


def records(*jobs):
    return json.dumps({"COMMAND": "bjobs", "JOBS": len(jobs), "RECORDS": list(jobs)}) + "\n"


def record(**fields):
    return {
        "JOBID": "12",
        "JOBINDEX": "0",
        "STAT": "DONE",
        "EXIT_CODE": "",
        "EXIT_REASON": "",
        "SUSPEND_REASON": "",
        "JOB_DESCRIPTION": f"molq:{TAG}",
        "PEND_REASON": "",
        **fields,
    }


def test_json_is_read_behind_lines_that_ask_to_wait():
    text = "LSF is processing your request. Please wait...\n" + records(
        record(),
        record(JOBID="13", JOBINDEX="2", STAT="EXIT", EXIT_CODE="130", EXIT_REASON="TERM_OWNER: job killed by owner"),
        record(JOBID="13[5]", STAT="RUN"),
        record(JOBID="14", STAT="PEND", PEND_REASON="Not enough slots;", JOB_DESCRIPTION="my own words"),
        {"JOBID": "15", "ERROR": "Job <15> is not found"},
    )

    listing = ask(["12", "13", "14", "15"], reply(text), dialect="spectrum")

    assert listing.not_found == {"15"}
    assert listing.rows["12"][0].tag == TAG
    (exited, running), (waiting,) = listing.rows["13"], listing.rows["14"]
    assert (running.job_id, running.element) == ("13", 5)
    assert (exited.element, exited.exit_code, exited.term) == (2, 130, "TERM_OWNER")
    assert (waiting.reason, waiting.tag) == ("Not enough slots", "")


@pytest.mark.parametrize("exit_code", [0, 255])
def test_json_without_a_record_says_that_no_job_is_there(exit_code):
    listing = ask(["12", "13"], reply(records(), "", exit_code), dialect="spectrum")

    assert (listing.rows, listing.not_found) == ({}, {"12", "13"})


@pytest.mark.parametrize(
    ("text", "stderr"),
    [
        (records(), "LSF is down. Please wait ...\n"),
        (records(), "batch daemon not responding ... still trying\n"),
        (records(), "something else\n"),
        ('{"COMMAND": "bjobs", "JOBS": 2, "RECORDS": ["?", 7]}', ""),
        ('{"COMMAND": "bjobs"}', ""),
    ],
)
def test_json_without_a_record_and_with_a_complaint_is_no_answer(text, stderr):
    with pytest.raises(SchedulerError):
        ask(["12"], reply(text, stderr), dialect="spectrum")


def test_json_that_is_cut_off_is_no_answer():
    with pytest.raises(SchedulerError, match="no JSON"):
        ask(["12"], reply(records(record())[:-20]), dialect="spectrum")


def test_an_older_release_is_asked_in_an_older_way():
    usage = reply("", "bjobs: illegal option -- json\nUsage: bjobs [-h] [-V]\n", 255)
    line = f"12^0^EXIT^3^-^-^molq:{TAG}^-\n"

    listing = ask(["12"], usage, reply(line), dialect="spectrum")
    oldest = ask(
        ["12"],
        usage,
        usage,
        reply(f"{HEADER}12      me      EXIT  normal     vm          vm          x          Nov 22 17:02\n"),
        dialect="spectrum",
    )

    assert (listing.rows["12"][0].exit_code, listing.rows["12"][0].tag) == (3, TAG)
    assert (oldest.rows["12"][0].exit_code, oldest.rows["12"][0].tag) == (None, None)


def test_a_listing_of_all_jobs_may_be_empty():
    assert list(ask_all("openlava", OPTIONS, Programs(reply("", "No job found\n", 254)))) == []


HISTORIES = [
    (path.stem, block)
    for path in sorted(recorded.FOLDER.iterdir())
    for block in recorded.blocks(path.stem)
    if re.search(r"\bbhist (?:-n \d+ |-a )*-l", block.command) and "|" not in block.command and block.exit_code == 0
]


@pytest.mark.parametrize(("name", "block"), HISTORIES, ids=lambda value: getattr(value, "command", ""))
def test_every_recorded_history_is_read(name, block):
    text = block.stdout.replace("\n" + " " * 21, "")
    found = {(one.job_id, one.index): one for one in parse_history(block.stdout, "openlava", NOW)}

    assert len(found) == text.count("\nJob <")
    for one in found.values():
        part = text.partition(f"\nJob <{one.job_id}{f'[{one.index}]' if one.index else ''}>")[2].partition("\n---")[0]
        code = re.search(r"Exited with exit code (\d+)\. [^\n]*\n(?![^\n]*Pending)", part)
        assert one.exit_code == (int(code[1]) if code else None)
        assert one.outcome == (
            "DONE" if "Done successfully" in part else "EXIT" if ": Exited" in part and "requeued" not in part else None
        )
        assert one.seen_at is not None


def history_of(name, command):
    (one,) = parse_history(recorded.block(name, command).stdout, "openlava", NOW)
    return one


def test_what_is_known_of_a_job_that_was_killed():
    one = history_of("06-bkill", "bhist -l 168")

    assert (one.outcome, one.exit_code, one.killed_by, one.queue) == ("EXIT", 130, "molqtest", "normal")
    assert one.ended_at - one.started_at == 1


def test_a_death_by_a_signal_is_told_by_its_number():
    one = history_of("06-bkill", "bhist -l 171")

    assert (one.exit_code, one.signal, one.killed_by) == (None, 9, "molqtest")


def test_limits_are_read():
    limited = history_of("07-limits", "bhist -l 416")
    by_queue = history_of("07-limits", "bhist -l 417")
    memory = history_of("07-limits", "bhist -l 421")

    assert (limited.run_limit, limited.ended_at - limited.started_at) == (60.0, 61.0)
    assert (by_queue.run_limit, by_queue.queue) == (None, "short")
    assert (memory.has_memory_limit, memory.killed_by, memory.exit_code) == (True, None, 130)
    assert run_limit_in(recorded.block("03-bjobs-forms", "bqueues -l short").stdout) == 60.0


def test_several_limits_on_a_line_are_told_apart():
    assert run_limit_in(" CPULIMIT                 RUNLIMIT\n 5.0 min of vm           2.5 min of vm\n") == 150.0
    assert run_limit_in(" CPULIMIT                \n 5.0 min of vm           \n") is None


def test_a_run_that_was_given_back_to_the_queue_is_not_the_end():
    text = (
        "\nJob <471>, User <molqtest>, Project <default>, Command <sleep 60>\n"
        "Sun Nov 22 17:10:38: Submitted from host <vm>, to Queue <normal>, CWD <$HOME/w>;\n"
        "Sun Nov 22 17:10:39: Dispatched to <vm>;\n"
        "Sun Nov 22 17:10:39: Signal <KILL> requested by user or administrator <x>;\n"
        "Sun Nov 22 17:10:40: Exited with exit code 130. The CPU time used is 0.0 seconds;\n"
        "Sun Nov 22 17:10:42: Pending: Job has been requeued;\n"
    )

    (one,) = parse_history(text, "openlava", NOW)

    assert (one.outcome, one.exit_code, one.killed_by, one.started_at) == (None, None, None, None)


def test_the_termination_reasons_of_ibms_lsf_are_read():
    text = (
        "\nJob <4>, Job Name <x>, Job Description <molq:abc>, User <u>, Project <default>, Command <x>\n"
        "Sun Nov 22 17:10:39: Dispatched 1 Task(s) on Host(s) <h>;\n"
        "Sun Nov 22 17:12:40: Exited by signal 2. The CPU time used is 0.1 seconds;\n"
        "Sun Nov 22 17:12:40: Completed <exit>; TERM_RUNLIMIT: job killed after reaching LSF run time limit;\n"
    )

    (one,) = parse_history(text, "openlava", NOW)

    assert (one.outcome, one.signal, one.term) == ("EXIT", 2, "TERM_RUNLIMIT")


def test_a_command_cannot_pretend_to_be_an_event():
    command = "echo x;Sun Nov 22 17:10:40: Done successfully. ;Completed <exit>; TERM_OWNER: x" * 3
    head = f"Job <4>, Job Name <x>, User <u>, Project <default>, Command <{command}>"
    folded = head[:79] + "".join("\n" + " " * 21 + head[n : n + 58] for n in range(79, len(head), 58))

    (one,) = parse_history(
        f"\n{folded}\nSun Nov 22 17:10:38: Submitted from host <vm>, to Queue <q>, CWD <$HOME>;\n", "openlava", NOW
    )

    assert (one.outcome, one.term) == (None, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun Nov 22 16:59:43", (2026, 11, 22, 16, 59, 43)),
        ("Sat Nov 22 16:59:43", (2025, 11, 22, 16, 59, 43)),
        ("Sun Nov  1 00:00:00", (2026, 11, 1, 0, 0, 0)),
        ("Thu Dec 31 23:59:59", (2020, 12, 31, 23, 59, 59)),
        ("Thu Jan 02 00:00:00 2025", (2025, 1, 2, 0, 0, 0)),
    ],
)
def test_a_time_without_a_year_is_the_latest_on_that_day_of_the_week(text, expected):
    assert time.localtime(read_time(text, NOW))[:6] == expected


@pytest.mark.parametrize(
    "text", ["", "Sun Nov 22", "Sun Foo 22 16:59:43", "Xyz Nov 22 16:59:43", "Sun Nov 31 10:00:00"]
)
def test_what_is_no_time_is_none(text):
    assert read_time(text, NOW) is None


@given(st.text())
def test_any_text_at_all_is_survived(text):
    assert all(one.outcome is None for one in parse_history(text, "openlava", NOW))
    run_limit_in(text)
    read_time(text, NOW)
    for dialect in ("openlava", "spectrum"):
        try:
            listing = ask(["1", "7"], reply(text), dialect=dialect)
        except SchedulerError:
            continue
        assert not listing.rows


PARTS = [
    *("1", "7", " ", "\n", "^", '"', "{", "}", "[", "]", ":", ",", "DONE", "EXIT", "JOBID", "STAT", "RECORDS"),
    *(HEADER, "Nov 22 17:02", "molq-", TAG, "é", "Job <1>", " is not found", "-", "vm", "normal"),
]


@given(st.lists(st.sampled_from(PARTS)).map("".join), st.sampled_from([0, 255]))
def test_garbage_is_never_a_job_that_is_over_and_ours(text, exit_code):
    for dialect in ("openlava", "spectrum"):
        try:
            listing = ask(["1", "7"], *[reply(text, "", exit_code)] * 3, dialect=dialect)
        except SchedulerError:
            continue
        for rows in listing.rows.values():
            for row in rows:
                assert row.state in text
                assert row.tag in ("", None) or f"molq-{row.tag}." in text or f"molq:{row.tag}" in text


def test_a_long_line_is_read_in_time():
    line = f"1 me DONE normal vm vm {' ' * 200_000}x\n"

    before = time.process_time()
    assert parse_wide(f"{HEADER}{line * 5}", has_tags=True) == ()
    assert time.process_time() - before < 5
