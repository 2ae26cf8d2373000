"""What the records of qstat mean."""

from __future__ import annotations

import pbs_tests_recorded as recorded
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.backend import JobState, SchedulerError
from molq_pbs.endings import ending_of
from molq_pbs.job_records import JobRecord, parse_records
from molq_pbs.reports import report_array, report_job


def record(**attributes):
    return JobRecord("1.s", {name: str(value) for name, value in attributes.items()})


def shown(transcript, command, occurrence=0):
    """Return the one record in a recorded answer of which some lines were cut out."""
    text = recorded.block(transcript, command, occurrence).stdout
    (found,) = parse_records(f"{text}\n").records.values()
    return found


DEATH = "Job Id|job_state|substate|Exit_status|comment|Hold_Types|depend =|run_count|resources_used.walltime|obittime"
OTHER = "Job Id|job_state|substate|Exit_status|comment|Hold_Types|run_count|resources_used|obittime|Stageout"
MOM = "Job Id|Job_Name|job_state|substate|Exit_status|comment|Hold_Types|depend =|run_count|exec_host|queue ="
DEPENDENCY = "Job Id|job_state|substate|Exit_status|comment|Hold_Types|depend =|run_count|array|resources_used.walltime"

DEATHS = {
    "84.vm": (JobState.SUCCEEDED, 0, None, None),
    "85.vm": (JobState.FAILED, 3, None, "exit"),
    "86.vm": (JobState.FAILED, 127, None, "exit"),
    "87.vm": (JobState.FAILED, 255, None, "exit"),
    "88.vm": (JobState.FAILED, 44, None, "exit"),
    "89.vm": (JobState.FAILED, 137, 9, "signal"),
    "90.vm": (JobState.FAILED, 143, 15, "signal"),
    "91.vm": (JobState.FAILED, 139, 11, "signal"),
    "93.vm": (JobState.FAILED, None, 6, "signal"),
    "94.vm": (JobState.TIMED_OUT, None, None, "timeout"),
    "95.vm": (JobState.TIMED_OUT, None, None, "timeout"),
    "96.vm": (JobState.CANCELLED, None, None, "cancelled"),
    "97.vm": (JobState.CANCELLED, None, None, "cancelled"),
    "98.vm": (JobState.CANCELLED, None, None, "cancelled"),
    "99.vm": (JobState.CANCELLED, None, None, "cancelled"),
    "100.vm": (JobState.CANCELLED, None, None, "cancelled"),
    "101.vm": (JobState.CANCELLED, None, None, "cancelled"),
    "102.vm": (JobState.FAILED, None, 9, "signal"),
    "108.vm": (JobState.SUCCEEDED, 0, None, None),
}


@pytest.mark.parametrize("job_id", DEATHS)
def test_each_recorded_death_is_told_as_it_was(job_id):
    ending = ending_of(shown("job_states", f"qstat -x -f -w {job_id} | grep -E '{DEATH}'"))

    assert (ending.state, ending.exit_code, ending.signal, ending.cause) == DEATHS[job_id]


def test_who_cancelled_a_job_is_told():
    ending = ending_of(shown("job_states", f"qstat -x -f -w 96.vm | grep -E '{DEATH}'"))

    assert ending.reason == "was cancelled by molqtest@localhost"


@pytest.mark.parametrize(
    ("transcript", "command", "expected"),
    [
        ("mom_down", f"qstat -x -f -w '9122.vm' | grep -E '{MOM}'", (JobState.FAILED, "node_fail")),
        ("mom_down", f"qstat -x -f -w '9124.vm' | grep -E '{MOM}'", (JobState.CANCELLED, "cancelled")),
        ("other_deaths", f"qstat -x -f -w '11090.vm' | grep -E '{OTHER}'", (JobState.FAILED, "signal")),
        ("other_deaths", f"qstat -x -f -w '11091.vm' | grep -E '{OTHER}'", (JobState.FAILED, "out_of_memory")),
        ("root_jobs", f"qstat -x -f -w '11098.vm' | grep -E '{OTHER}'", (JobState.CANCELLED, "cancelled")),
        ("dependencies", f"qstat -x -f -w '200.vm' | grep -E '{DEPENDENCY}'", (JobState.CANCELLED, "cancelled")),
    ],
)
def test_other_recorded_ends(transcript, command, expected):
    occurrence = 1 if "9122" in command else 0

    ending = ending_of(shown(transcript, command, occurrence))

    assert (ending.state, ending.cause) == expected
    assert ending.exit_code != 0


def test_a_job_that_was_dropped_is_no_success():
    ending = ending_of(shown("dependencies", f"qstat -x -f -w '200.vm' | grep -E '{DEPENDENCY}'"))

    assert "dropped by PBS" in ending.reason


@pytest.mark.parametrize(
    ("transcript", "command", "occurrence", "state"),
    [
        ("mom_down", f"qstat -x -f -w '9121.vm' | grep -E '{MOM}'", 1, JobState.QUEUED),
        ("mom_down", f"qstat -x -f -w '9121.vm' | grep -E '{MOM}'", 2, JobState.RUNNING),
        ("other_deaths", f"qstat -x -f -w '11094.vm' | grep -E '{OTHER}'", 0, JobState.RUNNING),
        ("other_deaths", f"qstat -x -f -w '11093.vm' | grep -E '{OTHER}'", 1, JobState.QUEUED),
        ("job_states", f"qstat -f -w 107.vm | grep -E '{DEATH}'", 0, JobState.RUNNING),
        ("job_states", f"qstat -x -f -w 106.vm | grep -E '{DEATH}'", 0, JobState.QUEUED),
    ],
)
def test_the_exit_status_of_a_job_that_is_not_over_is_an_old_one(transcript, command, occurrence, state):
    ending = ending_of(shown(transcript, command, occurrence))

    assert (ending.state, ending.exit_code, ending.signal) == (state, None, None)


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ({"substate": 92, "exit_status": 0}, JobState.SUCCEEDED),
        ({"substate": 93, "exit_status": 0}, JobState.FAILED),
        ({"substate": 92, "exit_status": 5}, JobState.FAILED),
        ({"substate": 93}, JobState.FAILED),
        ({"substate": 91, "exit_status": 0}, JobState.CANCELLED),
        ({"substate": 92}, JobState.CANCELLED),
        ({"substate": 92, "exit_status": "zero"}, None),
        ({"substate": 94}, None),
        ({"exit_status": 0}, None),
        ({}, None),
    ],
)
def test_success_is_substate_92_with_an_exit_status_of_0_and_nothing_else(attributes, state):
    assert ending_of(record(job_state="F", **attributes)).state is state


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("0", (JobState.SUCCEEDED, None)),
        ("3", (JobState.FAILED, "exit")),
        ("271", (JobState.CANCELLED, "cancelled")),
        ("265", (JobState.FAILED, "signal")),
        ("-10", (JobState.FAILED, "out_of_memory")),
        ("-11", (JobState.TIMED_OUT, "timeout")),
        ("-99", (JobState.FAILED, None)),
        (None, (JobState.CANCELLED, "cancelled")),
        ("x", (None, None)),
    ],
)
def test_torques_completed_jobs(status, expected):
    attributes = {} if status is None else {"exit_status": status}

    ending = ending_of(record(job_state="C", **attributes))

    assert (ending.state, ending.cause) == expected


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"job_state": "H", "hold_types": "s", "depend": "afterok:1.s@s"}, "waits for afterok:1.s@s"),
        ({"job_state": "H", "hold_types": "u"}, "qrls"),
        ({"job_state": "H", "hold_types": "o"}, "operator"),
        ({"job_state": "W"}, "its time"),
        ({"job_state": "M"}, "another server"),
        (
            {"job_state": "H", "hold_types": "s", "depend": "afterok:1.s@s,beforeany:3.s@s:4.s@s"},
            "waits for afterok:1.s@s",
        ),
        (
            {"job_state": "H", "hold_types": "s", "depend": "beforeok:9.s@s", "comment": "job held, too many failed"},
            "is held by PBS: job held, too many failed",
        ),
        (
            {"job_state": "H", "hold_types": "s", "comment": "job held, too many failed attempts to run"},
            "is held by PBS: job held, too many failed attempts to run",
        ),
        ({"job_state": "Q", "comment": "Can Never Run: no such node"}, "cancel it"),
        ({"job_state": "Q", "comment": "Not Running: busy"}, "Not Running: busy"),
    ],
)
def test_why_a_job_waits_is_told(attributes, words):
    reason = ending_of(record(**attributes)).reason

    assert words in reason
    assert "before" not in reason, "those that wait for the job are no reason for it to wait"


def test_times_and_restarts(tmp_path):
    from molq.backend import SubmittedJob

    job = SubmittedJob(job_id="t", scheduler_job_id="1.s", job_dir=tmp_path, submitted_at=0.0)
    times = {"stime": "Sun Nov 22 17:10:43 2026", "obittime": "Sun Nov 22 17:11:43 2026"}

    running = report_job(job, record(job_state="R", run_count=2, **times))
    waiting = report_job(job, record(job_state="Q", run_count=2, exit_status=-20, **times))
    over = report_job(job, record(job_state="F", substate=92, exit_status=0, run_count=1, **times))

    assert (running.restarts, waiting.restarts, over.restarts) == (1, 2, 0)
    assert waiting.started_at is None
    assert running.finished_at is None
    assert over.finished_at - over.started_at == 60.0


def test_a_job_that_could_not_open_its_output_says_so(tmp_path):
    from molq.backend import SubmittedJob

    job = SubmittedJob(job_id="t", scheduler_job_id="1.s", job_dir=tmp_path, submitted_at=0.0)
    failed = record(job_state="F", substate=93, exit_status=73)

    assert report_job(job, failed).cause == "launch"
    (tmp_path / "claim").symlink_to("1.s")
    assert report_job(job, failed).cause == "exit"


WHOLE = recorded.block("qstat_formats", "qstat -f -w 78.vm").stdout


def test_a_whole_answer_is_read():
    listing = parse_records(WHOLE)

    assert listing.records["78.vm"].text("job_state") == "R"
    assert listing.records["78.vm"].number("run_count") == 1
    assert not listing.garbled


def test_attributes_of_the_sites_own_are_passed_over():
    own = "    Resource_List.my-own = a=b = c\n    empty =\n    estimated.exec_vnode = (n1:ncpus=1)+(n2)\n"

    listing = parse_records(WHOLE.replace("    queue = workq\n", f"    queue = workq\n{own}"))

    assert listing.records["78.vm"].text("queue") == "workq"


def test_folded_values_are_read():
    folded = recorded.block("qstat_formats", "qstat -f 78.vm").stdout

    assert parse_records(folded).records["78.vm"].text("variable_list") == parse_records(WHOLE).records["78.vm"].text(
        "variable_list"
    )


def test_what_a_wrapper_says_first_is_passed_over():
    assert parse_records(f"Welcome to the cluster\n{WHOLE}").records.keys() == {"78.vm"}


@given(st.integers(0, len(WHOLE) - 1))
def test_a_record_that_is_cut_off_is_none(at):
    try:
        listing = parse_records(WHOLE[:at])
    except SchedulerError:
        return
    assert not listing.records


@pytest.mark.parametrize(
    "forged",
    [
        "    job_state = F\n",
        "    Exit_status = 0\n    Exit_status = 0\n",
        "no attribute\n",
        "Job Id: 1.vm\n    job_state = F\n",
    ],
)
def test_a_record_with_a_line_too_many_is_garbled(forged):
    text = WHOLE.replace("    queue = workq\n", f"    queue = workq\n{forged}")

    listing = parse_records(text + WHOLE.replace("78.vm", "79.vm"))

    assert "78.vm" in listing.garbled
    assert "78.vm" not in listing.records
    assert "79.vm" in listing.records


@pytest.mark.parametrize("value", ["a\r    job_state = F", "a\x0b\x0c\x1c\x85\u2028b", "é", "a\\n    job_state = F"])
def test_no_other_line_break_than_a_line_feed_ends_a_value(value):
    text = WHOLE.replace("comment = ", f"comment = {value}")

    assert parse_records(text).records["78.vm"].text("job_state") == "R"
    assert parse_records(text).records["78.vm"].text("comment").startswith(value)


PIECES = st.sampled_from(
    [
        *("Job Id: 78.vm\n", "Job Id: 79.vm\n", "    job_state = F\n", "    job_state = R\n", "    substate = 92\n"),
        *("    Exit_status = 0\n", "\n", "\t", "job_state = F", "Job Id:", "    Exit_status", "\x00", "COMPLETED\n"),
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=10)), max_size=30).map("".join))
def test_garbage_never_succeeds(text):
    try:
        listing = parse_records(text)
    except SchedulerError:
        return
    for found in listing.records.values():
        if ending_of(found).state is JobState.SUCCEEDED:
            # All three stand there, whole and once.
            block = next(part for part in text.split("\n\n") if f"Job Id: {found.job_id}\n" in part)
            assert block.count("job_state = F") >= 1
            assert "    substate = 92" in block
            assert "    Exit_status = 0" in block


@given(st.text())
def test_random_text_tells_nothing(text):
    try:
        assert not parse_records(text).records
    except SchedulerError:
        return


def test_the_tag_is_read_from_the_variables_or_the_arguments():
    tag = "2d1516b4-cb6e-48e4-8b89-83633ae3ea5d"

    by_variable = record(variable_list=f"PBS_O_HOME=/h,MOLQ_TAG={tag},PBS_O_QUEUE=q")
    by_path = record(variable_list="PBS_O_HOME=/h", submit_arguments=f"-f /w/.molq/jobs/{tag}/job.sh")
    stranger = record(variable_list="PBS_O_HOME=/h", submit_arguments="their.sh")

    assert (by_variable.tag, by_variable.tag_for(tag), by_variable.tag_for("mine")) == (tag, tag, tag)
    assert by_path.tag_for(tag) == tag
    assert stranger.tag_for(tag) == ""
    assert record(job_state="R").tag_for(tag) is None


@pytest.mark.parametrize("of_the_array", [{"substate": 92, "exit_status": 0}, {"substate": 93, "exit_status": 1}])
def test_an_element_that_only_shows_what_its_array_shows_never_started(tmp_path, of_the_array):
    from molq.backend import SubmittedJob

    job = SubmittedJob(
        job_id="t", scheduler_job_id="7[].s", job_dir=tmp_path, submitted_at=0.0, is_array=True, array_spec="1-2"
    )
    array = JobRecord("7[].s", dict(record(job_state="F", **of_the_array).attributes))
    ran = JobRecord("7[1].s", dict(record(job_state="F", substate=92, exit_status=0, array_id="7[].s").attributes))
    deleted = JobRecord("7[2].s", dict(record(job_state="F", comment="Subjob finished", **of_the_array).attributes))

    report = report_array(job, array, [ran, deleted])

    assert [(element.state, element.exit_code) for element in report.elements] == [
        (JobState.SUCCEEDED, 0),
        (JobState.CANCELLED, None),
    ]


def test_an_array_that_has_begun_runs_even_if_nothing_is_known_of_its_elements(tmp_path):
    from molq.backend import SubmittedJob

    job = SubmittedJob(
        job_id="t", scheduler_job_id="7[].s", job_dir=tmp_path, submitted_at=0.0, is_array=True, array_spec="1-2"
    )
    array = JobRecord("7[].s", dict(record(job_state="B", substate=70).attributes))
    elements = [JobRecord(f"7[{index}].s", dict(record(job_state="X", substate=70).attributes)) for index in (1, 2)]

    report = report_array(job, array, elements)

    assert (report.state, report.native_state) == (JobState.RUNNING, "B")
    assert report.elements == ()
