"""Commands that were recorded on a real OpenLava are given to the fake one, which has to answer the same."""

from __future__ import annotations

import os
import re
import shlex
import subprocess

import lsf_tests_recorded as recorded
import pytest

# What differs from run to run, in as many letters as it had.
_DIFFERING = (
    (re.compile(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d"), "Ddd Mmm NN HH:MM:SS"),
    (re.compile(r"\b[A-Z][a-z]{2} \d\d \d\d:\d\d\b"), "Mmm NN HH:MM"),
    (re.compile(r"(Pid <?)\d+"), r"\1N"),
    (re.compile(r"(TOTAL\n)[\d ]+\n"), r"\1N\n"),
    (re.compile(r"used is \d+\.\d"), "used is N"),
    (re.compile(r"((?:\[\d\]|\d) +molqtes\S* +\S+)[ \d]+$", re.MULTILINE), r"\1 N"),
)


def masked(text):
    for pattern, replacement in _DIFFERING:
        text = pattern.sub(replacement, text)
    return text


def unfolded(text):
    return text.replace("\n" + " " * 21, "")


def ask(fake, command, stdin=None):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("LSB_", "LS_", "BSUB_"))},
        "PATH": f"{fake.bin}:{os.environ['PATH']}",
        "MOLQ_FAKE_CWD": "/home/molqtest/w",
    }
    return subprocess.run(
        ["bash", "-c", command], env=environment, input=stdin or "", capture_output=True, check=False, text=True
    )


def submit(fake, job_id, arguments):
    fake.number_from(job_id)
    done = ask(fake, f"bsub {arguments}")
    assert done.returncode == 0, done


def assert_same(fake, transcript, command, occurrence=0, *, folded=True):
    real = recorded.block(transcript, command, occurrence)
    done = ask(fake, command, real.stdin)
    fold = str if folded else unfolded
    assert masked(fold(done.stdout)) == masked(fold(real.stdout))
    assert masked(done.stderr) == masked(real.stderr)
    assert done.returncode == real.exit_code


REFUSED = [block.command for block in recorded.blocks("02-bsub-errors") if block.exit_code != 0]
NAMES = [
    block
    for block in recorded.blocks("10-job-names")
    if block.command.startswith("bsub -H -J") and "$X" not in block.command
]


@pytest.mark.parametrize("command", REFUSED)
def test_refusals(fake_lsf, command):
    submit(fake_lsf, 207, "-J ok true")

    assert_same(fake_lsf, "02-bsub-errors", command)


def test_what_an_option_of_ibms_does_here(fake_lsf):
    submit(fake_lsf, 449, "-env 'none' -o envn.%J.out true")
    submit(fake_lsf, 134, "-P proj -app nosuch sleep 1")

    first, second = fake_lsf.jobs()

    assert (first["command"], first["error"], first["output"]) == ("none -o envn.%J.out true", "nv", None)
    assert (second["command"], second["project"]) == ("nosuch sleep 1", "proj")


@pytest.mark.parametrize(
    "command", ["bsub sleep 20", "bsub -q short sleep 1", "bsub -V", "bsub -h", "BSUB_QUIET=1 bsub true"]
)
def test_submissions(fake_lsf, command):
    real = recorded.block("01-bsub-submit", command)
    fake_lsf.number_from(int((re.search(r"<(\d+)>", real.stdout) or [0, "7"])[1]))

    assert_same(fake_lsf, "01-bsub-submit", command)


@pytest.mark.parametrize("occurrence", [0, 1])
def test_a_script_on_standard_input(fake_lsf, occurrence):
    fake_lsf.number_from(106 + occurrence)
    command = ["bsub", "bsub -J cmdline_wins -q normal"][occurrence]

    assert_same(fake_lsf, "01-bsub-submit", command)

    (job,) = fake_lsf.jobs()
    assert job["name"] == ["fromstdin", "cmdline_wins"][occurrence]
    assert job["queue"] == ["short", "normal"][occurrence]


def test_an_empty_script(fake_lsf):
    assert_same(fake_lsf, "01-bsub-submit", "bsub", 1)


@pytest.mark.parametrize("block", NAMES, ids=lambda block: block.command[:40])
def test_names(fake_lsf, block):
    fake_lsf.number_from(int((re.search(r"<(\d+)>", block.stdout) or [0, "7"])[1]))

    assert_same(fake_lsf, "10-job-names", block.command)


@pytest.fixture
def listed(fake_lsf):
    """The jobs of the transcript about bjobs."""
    submit(fake_lsf, 135, "-J short_one sleep 60")
    submit(fake_lsf, 136, "-J a_rather_long_job_name_for_molq_0123456789_abcdefghijklmnopqrstuvwxyz true")
    submit(fake_lsf, 137, "-J fails 'exit 5'")
    submit(fake_lsf, 138, "-H -J held sleep 1")
    fake_lsf.start("135")
    fake_lsf.finish("136", 0)
    fake_lsf.finish("137", 5)
    return fake_lsf


@pytest.mark.parametrize(
    ("command", "occurrence"),
    [
        ("bjobs", 0),
        ("bjobs -w", 0),
        ("bjobs 136", 0),
        ("bjobs 135 136 137 138", 0),
        ("bjobs -w 138 137 136 135", 0),
        ("bjobs 999999", 0),
        ("bjobs -w 999999", 0),
        ("bjobs -w 135 999999 137 888888", 0),
        ("bjobs -a -w 999999 135", 0),
        ("bjobs abc", 0),
        ("bjobs ''", 0),
        ("bjobs 0", 0),
        ("bjobs -1", 0),
        ("bjobs -a -J fails", 0),
        ("bjobs -J fails", 0),
        ("bjobs -J nosuchname", 0),
        ("bjobs -a -w -J 'a_rather*'", 0),
        ("bjobs -p", 0),
        ("bjobs -r -w", 0),
        ("bjobs -o 'jobid stat' 135", 0),
        ("bjobs -json 135", 0),
        ("bjobs -noheader 135", 0),
        ("bjobs -V", 0),
        ("lsid", 0),
        ("bqueues nosuch", 0),
    ],
)
def test_listings(listed, command, occurrence):
    if command in ("bjobs", "bjobs -p"):
        # The transcript has this of another user first, who has no jobs.
        shown = [b for b in recorded.blocks("03-bjobs-forms") if b.command == command]
        occurrence = next(number for number, block in enumerate(shown) if block.stdout)
    assert_same(listed, "03-bjobs-forms", command, occurrence)


@pytest.mark.parametrize("letter", ["", " -a", " -r", " -p"])
def test_a_user_without_jobs(fake_lsf, letter):
    real = recorded.block("03-bjobs-forms", f"bjobs{letter}      # as openlava")
    done = ask(fake_lsf, f"bjobs{letter}")

    assert (done.returncode, done.stdout, done.stderr) == (real.exit_code, real.stdout, real.stderr)


@pytest.mark.parametrize(
    ("job_id", "arguments", "happening"),
    [
        (139, "-J ec0 true", ("finish", 0)),
        (141, "-J ec42 'exit 42'", ("finish", 42)),
        (145, "-J ec137 'exit 137'", ("finish", 137)),
        (147, "-J selfkill9 'kill -9 $$'", ("kill_outer_shell",)),
    ],
)
def test_the_history_of_jobs_that_ended(fake_lsf, job_id, arguments, happening):
    submit(fake_lsf, job_id, arguments)
    getattr(fake_lsf, happening[0])(str(job_id), *happening[1:])

    assert_same(fake_lsf, "04-states-and-exit-codes", f"bhist -l {job_id}")


def test_the_history_of_jobs_that_were_killed(fake_lsf):
    submit(fake_lsf, 167, "-H -J pend sleep 1")
    submit(fake_lsf, 168, "-J run sleep 100")
    submit(fake_lsf, 170, "-J done true")
    submit(fake_lsf, 172, "-J other sleep 1")
    fake_lsf.start("168")
    fake_lsf.finish("170")

    assert_same(fake_lsf, "06-bkill", "bkill 167")
    assert_same(fake_lsf, "06-bkill", "bjobs -w -a 167")
    assert_same(fake_lsf, "06-bkill", "bkill 168")
    assert_same(fake_lsf, "06-bkill", "bhist -l 168")
    for command in ("bkill 170", "bkill 999999", "bkill abc", "bkill 170 999999 172", "bkill"):
        assert_same(fake_lsf, "06-bkill", command)


def test_all_jobs_of_a_name_are_killed(fake_lsf):
    for job_id in (179, 180, 181):
        submit(fake_lsf, job_id, "-J grp sleep 60")

    assert_same(fake_lsf, "06-bkill", "bkill -J grp")


@pytest.mark.parametrize(
    ("job_id", "arguments", "happening"),
    [
        (416, "-J runlimit -W 1 sleep 300", "time_out"),
        (417, "-J queuelimit -q short sleep 300", "time_out"),
        (419, "-J w_hhmm -W 0:01 'sleep 300'", "time_out"),
        (
            421,
            "-J memlimit -M 51200 -o mem.%J.out "
            + shlex.quote('python3 -c "import time; x=bytearray(300*1024*1024); time.sleep(30); print(len(x))"'),
            "exceed_memory",
        ),
        (423, "-J cpulimit 'while :; do :; done'", "kill_outer_shell"),
    ],
)
def test_the_history_of_jobs_at_their_limits(fake_lsf, job_id, arguments, happening):
    submit(fake_lsf, job_id, arguments)
    getattr(fake_lsf, happening)(str(job_id))

    real = recorded.block("07-limits", f"bhist -l {job_id}")
    done = ask(fake_lsf, f"bhist -l {job_id}")

    without_cpu_limit = re.sub(r"\n CPULIMIT +\n.*\n", "", real.stdout)
    assert masked(done.stdout) == masked(without_cpu_limit)


def test_arrays(fake_lsf):
    command = recorded.blocks("08-arrays")[0].command
    fake_lsf.number_from(196)
    assert_same(fake_lsf, "08-arrays", command)
    assert_same(fake_lsf, "08-arrays", "bjobs -w 196", 0)
    for index in (1, 2):
        fake_lsf.start(f"196_{index}")

    for asked in ("bjobs 196", "bjobs -w '196[2]'", "bjobs -w '196[2-4]'", "bjobs -w '196[9]'", "bjobs -w '196[2,9]'"):
        assert_same(fake_lsf, "08-arrays", asked)
    for asked in ("bjobs -w -J arr", "bjobs -w -J 'arr[2]'", "bjobs -w -J 'arr[1-5]'", "bkill '196[5]'"):
        assert_same(fake_lsf, "08-arrays", asked)
    for index, code in ((1, 0), (2, 0), (3, 1), (4, 0)):
        fake_lsf.finish(f"196_{index}", code)
    assert_same(fake_lsf, "08-arrays", "bhist -l '196[3]'")
    assert_same(fake_lsf, "08-arrays", "bhist -l 196")
    assert_same(fake_lsf, "08-arrays", "bhist -w 196")


def test_elements_are_killed(fake_lsf):
    submit(fake_lsf, 197, "-J 'k[1-4]' sleep 60")
    fake_lsf.start("197")

    for command in ("bkill '197[2]'", "bkill '197[3-4]'", "bkill '197[9]'"):
        assert_same(fake_lsf, "08-arrays", command)


@pytest.mark.parametrize("spec", ["s[2,4,7-9]", "s[1-10:3]", "s[1-3]%1", "only[7]", "sp ace[1-2]", "[1-3]"])
def test_forms_of_indices(fake_lsf, spec):
    command = f"bsub -H -J '{spec}' sleep 1"
    job_id = re.search(r"<(\d+)>", recorded.block("08-arrays", command).stdout)[1]
    fake_lsf.number_from(int(job_id))

    assert_same(fake_lsf, "08-arrays", command)
    assert_same(fake_lsf, "08-arrays", f"bjobs -w {job_id}")


@pytest.fixture
def chained(fake_lsf):
    """The upstream jobs of the transcript about dependencies."""
    submit(fake_lsf, 207, "-J ok sleep 4")
    submit(fake_lsf, 208, "-J bad 'sleep 4; exit 3'")
    return fake_lsf


# A single "&" is left out: OpenLava complains of a name then that is not in the condition.
CONDITIONS = [
    block
    for block in recorded.blocks("09-dependencies")
    if block.command.startswith("bsub")
    and re.search(r"207|208|888888|ok", block.command)
    and not re.search("-J o|&done", block.command)
]


@pytest.mark.parametrize("block", CONDITIONS, ids=lambda block: block.command)
def test_conditions(chained, block):
    chained.number_from(int((re.search(r"<(\d+)>", block.stdout) or [0, "300"])[1]))

    assert_same(chained, "09-dependencies", block.command)


def test_why_dependants_wait(chained):
    chained.pause_scheduler()
    submit(chained, 209, "-J done_ok -w 'done(207)' sleep 1")
    submit(chained, 210, "-J exit_ok -w 'exit(207)' sleep 1")
    submit(chained, 213, "-J done_bad -w 'done(208)' sleep 1")

    assert_same(chained, "09-dependencies", "bjobs -p 209")
    chained._set(schedules=True)
    chained.finish("207", 0)
    chained.finish("208", 3)
    assert_same(chained, "09-dependencies", "bjobs -p 213")
    assert_same(chained, "09-dependencies", "bjobs -p 210")


def test_a_job_that_is_purged(fake_lsf):
    submit(fake_lsf, 572, "-J purgeme -o purge.%J.out 'sleep 1; exit 6'")
    submit(fake_lsf, 573, "-J purgeok true")
    fake_lsf.finish("572", 6)
    fake_lsf.finish("573", 0)
    for job_id in ("572", "573"):
        fake_lsf.forget(job_id)

    for command in (
        *("bjobs -w 572", "bjobs -a -w 572", "bjobs -a -w -J purgeme", "bkill 572", "bhist 572", "bhist -w 572"),
        *("bhist -l 572", "bhist -a -l -J purgeme", "bhist -n 0 -l 572", "bhist 888888", "bhist -l 888888 572"),
        *("bhist -l abc", "bsub -w 'done(573)' sleep 1", "bsub -w 'ended(572)' sleep 1"),
        "bsub -w 'ended(572) || ended(573)' sleep 1",
    ):
        assert_same(fake_lsf, "14-purge-and-bhist", command)


def test_an_old_event_file(fake_lsf):
    submit(fake_lsf, 141, "-J ec42 'exit 42'")
    fake_lsf.finish("141", 42)
    fake_lsf.forget("141")
    fake_lsf.switch_log()

    for command in (
        *("bhist -l 141", "bhist -n 0 -l 141", "bhist -n 0 -w 141 888888", "bhist -n 0 -a -w -J ec42", "bjobs 141"),
    ):
        assert_same(fake_lsf, "19-bhist-after-log-switch", command)


def test_changes(fake_lsf):
    submit(fake_lsf, 2359, "true")
    submit(fake_lsf, 2361, "-H sleep 1")

    assert_same(fake_lsf, "20-exclusive-and-misc", "bmod -J renamed 2361")
    assert_same(fake_lsf, "20-exclusive-and-misc", "bmod -w 'done(2359)' 2361")
    assert_same(fake_lsf, "20-exclusive-and-misc", "bkill 2361")
    assert_same(fake_lsf, "20-exclusive-and-misc", "bmod -J x 2361")


def test_a_host_out_of_reach(fake_lsf):
    submit(fake_lsf, 784, "-J unk 'sleep 45; exit 4'")
    fake_lsf.start("784")
    fake_lsf.lose_host("784")

    assert_same(fake_lsf, "15-daemons-down", "timeout 20 bjobs -a -w 784", 0)
    assert_same(fake_lsf, "15-daemons-down", "timeout 20 bkill 784")
    assert_same(fake_lsf, "15-daemons-down", "timeout 20 bjobs -a -w 784", 1)


def test_a_marker_finds_jobs_that_are_over_only_with_a(fake_lsf):
    marker = "molq-11111111-2222-3333-4444-555555555555"
    submit(fake_lsf, 406, f"-J {marker} -o mk.%J.out 'sleep 3'")
    fake_lsf.finish("406")

    assert_same(fake_lsf, "11-orphan-marker", f"bjobs -w -J {marker}", 1)
    assert_same(fake_lsf, "11-orphan-marker", f"bjobs -a -w -J {marker}", 0)
    assert_same(fake_lsf, "11-orphan-marker", f"bhist -J {marker}")
    assert_same(fake_lsf, "11-orphan-marker", f"bhist -a -w -J {marker}")
    assert_same(fake_lsf, "11-orphan-marker", f"bhist -a -l -J {marker}")


@pytest.mark.parametrize("program", ["bjobs", "bsub sleep 1", "bkill 682"])
def test_a_daemon_that_is_away_is_waited_for(fake_lsf, program):
    fake_lsf.hang()
    done = ask(fake_lsf, f"timeout 2 {program}")

    assert done.returncode == 124
    assert done.stdout == ""
    assert set(done.stderr.splitlines()) == {"batch system daemon not responding ... still trying"}
