"""The command line, as a user types it, on the local queue."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from molq_slurm.testing import FakeSlurm

Molq = Callable[..., "subprocess.CompletedProcess[str]"]


def _submitted(molq: Molq, *arguments: str) -> str:
    reply = molq("submit", "local", "--json", *arguments)
    assert reply.returncode == 0, reply.stderr
    return json.loads(reply.stdout)["job_id"]


def test_submit_and_block_shows_the_output_and_the_end(molq: Molq):
    reply = molq("submit", "local", "--block", "--", "echo", "hello from molq")

    assert (reply.returncode, reply.stdout) == (0, "hello from molq\n")
    assert reply.stderr.startswith("molq: ")
    assert " succeeded after " in reply.stderr


@pytest.mark.parametrize("error", ["both", "./both"])
def test_submit_and_block_shows_a_file_that_takes_all_output_once(molq: Molq, error: str):
    reply = molq("submit", "local", "--block", "--output", "both", "--error", error, "--shell", "echo a; echo b >&2")

    assert sorted(reply.stdout.splitlines()) == ["a", "b"]
    assert reply.stderr.count("\n") == 1


@pytest.mark.parametrize(("code", "shown"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_submit_and_block_exits_as_the_job_does(molq: Molq, code: str, shown: int):
    reply = molq("submit", "local", "--block", "--shell", code)

    assert reply.returncode == shown


def test_a_job_is_submitted_followed_and_shown_by_a_shortened_id(molq: Molq):
    job_id = _submitted(molq, "--name", "greeting", "--", "echo", "hi")

    watched = molq("watch", job_id[:6])
    listed = molq("list", "--all", "--json")
    shown = molq("inspect", job_id[:6], "--json")
    logs = molq("logs", job_id[:6])

    assert watched.returncode == 0
    assert f"{job_id[:8]}  succeeded" in watched.stdout
    assert [job["job_name"] for job in json.loads(listed.stdout)] == ["greeting"]
    assert [step["new_state"] for step in json.loads(shown.stdout)["transitions"]][-1] == "succeeded"
    assert logs.stdout == "hi\n"


def test_watch_of_one_job_exits_as_the_job_did(molq: Molq):
    job_id = _submitted(molq, "--shell", "exit 7")

    assert molq("watch", job_id).returncode == 7


@pytest.mark.parametrize("seconds", [0, 1])
def test_watch_that_gives_up_says_what_is_still_active(molq: Molq, seconds: int):
    job_id = _submitted(molq, "--", "sleep", "60")

    reply = molq("watch", job_id, "--timeout", f"{seconds}s")

    assert reply.returncode == 1
    assert f"molq: error: still active after {seconds} s: {job_id}" in reply.stderr
    molq("cancel", job_id)


def test_watch_that_gives_up_names_the_jobs_of_all_clusters(molq: Molq):
    jobs = [_submitted(molq, "-c", cluster, "--", "sleep", "60") for cluster in ("a", "b")]

    reply = molq("watch", *jobs, "--timeout", "1s")

    assert reply.returncode == 1
    assert "still active after 1 s: " in reply.stderr
    assert all(job_id in reply.stderr for job_id in jobs)
    molq("cancel", *jobs)


def test_cancel_ends_a_running_job_and_leaves_a_finished_one(molq: Molq):
    job_id = _submitted(molq, "--", "sleep", "60")

    first = molq("cancel", job_id)
    ended = molq("watch", job_id)
    second = molq("cancel", job_id)

    assert first.returncode == 0
    assert "cancelled" in ended.stdout
    assert ended.returncode != 0
    assert "is over already: cancelled" in second.stdout


@pytest.mark.parametrize(("output", "problem"), [(".", "Is a directory"), ("file/log", "Not a directory")])
def test_a_log_that_cannot_be_read_is_told_in_a_sentence(molq: Molq, output: str, problem: str):
    Path("file").touch()

    blocked = molq("submit", "local", "--block", "--output", output, "--", "true")
    logs = molq("logs", json.loads(molq("list", "--all", "--json").stdout)[0]["job_id"])

    assert (blocked.returncode, blocked.stderr.count("\n")) == (1, 1)
    assert logs.returncode == 2
    assert logs.stderr.endswith(f": {problem}\n")


def test_logs_follow_a_job_to_its_end(molq: Molq, tmp_path: Path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    job_id = _submitted(molq, "--shell", f"echo one; cat {gate}; echo err >&2")
    program = Path(sys.executable).with_name("molq")

    with subprocess.Popen([program, "logs", "-f", job_id], stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout.readline() == "one\n"
        gate.write_text("two\n")
        assert follower.stdout.read() == "two\n"

    assert follower.returncode == 0
    assert molq("logs", "--stderr", job_id).stdout == "err\n"
    assert molq("logs", "-n", "1", job_id).stdout == "two\n"


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (1, b"last\n"),
        (2, b"10%\r20%\r30%\rdone\nlast\n"),
        (3, b"first\n10%\r20%\r30%\rdone\nlast\n"),
        (9, b"first\n10%\r20%\r30%\rdone\nlast\n"),
    ],
)
def test_a_progress_bar_is_one_of_the_last_lines(molq: Molq, lines: int, shown: bytes):
    job_id = _submitted(molq, "--shell", r"printf 'first\n10%%\r20%%\r30%%\rdone\nlast\n'")
    molq("watch", job_id)

    logs = subprocess.run([Path(sys.executable).with_name("molq"), "logs", "-n", str(lines), job_id],
                          capture_output=True, check=True)  # fmt: skip

    assert logs.stdout == shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("status", "zzz"), "there is no job 'zzz'"),
        (("submit", "nope", "--", "true"), "there is no scheduler 'nope' (installed are: "),
        (("submit", "local", "--memory", "5X", "--", "true"), "--memory: '5X' is no amount of memory"),
        (("submit", "local", "--time", "-5m", "--", "true"), "--time: '-5m' is no length of time"),
        (("submit", "local", "--memory", "8", "--", "true"), "--memory: '8' is less than a megabyte of memory: write"),
        (("submit", "local", "--retries", "1", "--retry-wait", "x", "--", "true"), "--retry-wait: 'x' is no length"),
        (("submit", "local", "--time", "0", "--", "true"), "--time must be more than 0"),
        (("submit", "local", "--array", "x", "--", "true"), "--array must be indices such as '0-9'"),
        (("submit", "local", "--gpu-type", "a:2", "--", "true"), "--gpu-type must be a kind of GPU"),
        (("submit", "local", "--name", " ", "--", "true"), "--name must be a text that is not blank"),
        (("submit", "local", "--script", "-"), "the script on standard input must be a text that is not empty"),
        (("submit", "local", "--shell", " "), "--shell must be a line of shell code"),
        (("submit", "local", "--", "-x"), "the command names the program '-x', which looks like an option"),
        (("submit", "local", "--dependency", "x", "--after", "1f", "--", "true"), "there is no job '1f'"),
        (("submit", "local", "--shell", "a", "--", "b"), "give only one of a command behind -- and --shell"),
        (("watch", "--timeout", "x"), "--timeout: 'x' is no length of time"),
        (("submit", "local"), "there is nothing to run; give a command behind --, --shell CODE or --script FILE"),
        (("submit", "local", "--script", "/no/such"), "cannot read the script '/no/such'"),
        (("submit", "local", "--env", "1A=x", "--", "true"), "'1A'"),
        (("submit", "local", "--account", "a", "--", "true"), "does not support account"),
        (("submit", "local", "--nodes", "2", "--qos", "q", "--", "true"), "does not support node_count 2, qos; drop"),
        (
            ("submit", "local", "-c", "", "--", "true"),
            "cluster_name must be a printable name that is not empty, not ''",
        ),
        (("list", "-n", "x"), "'--limit' / '-n': 'x' is no whole number from 1 to 1000000000; see: molq list"),
        (("list", "-n", "9" * 20), "is no whole number from 1 to"),
        (("history", "-n", "9" * 20), "is no whole number from 1 to"),
        (("logs", "-n", "-1", "1f"), "'-1' is no whole number from 0 to"),
        (("submit", "local", "--cpus", "many", "--", "true"), "'--cpus': 'many' is no whole number from 1 to"),
        (("daemon", "--once", "--interval", "inf"), "'inf' is no number of seconds from 0.1 to 86400"),
        (("daemon", "--once", "--interval", "1e300"), "'1e300' is no number of seconds from 0.1 to 86400"),
        (("daemon", "--once", "--interval", "nan"), "'nan' is no number of seconds from 0.1 to 86400"),
        (("frobnicate",), "No such command 'frobnicate'; see: molq --help"),
        (("logs",), "Missing argument 'ID[.INDEX]'; see: molq logs --help"),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(molq: Molq, arguments: tuple[str, ...], sentence: str):
    reply = molq(*arguments)

    assert reply.returncode == 2
    assert reply.stderr.startswith("molq: error: ")
    assert reply.stderr.count("\n") == 1
    assert sentence in reply.stderr
    assert reply.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (("local", "python3", "-c", "print(6*7)"), "local -- python3 -c 'print(6*7)'"),
        (("local", "--block", "echo", "--name", "foo"), "local --block -- echo --name foo"),
        (("--cpus", "1", "local", "ls", "-la"), "--cpus 1 local -- ls -la"),
        (("local", "echo", "--", "hi"), "local -- echo hi"),
        (("local", "-e", "TOKEN=secret", "printenv"), "local -e 'TOKEN=…' -- printenv"),
    ],
)
def test_a_command_that_is_not_behind_dashes_is_refused_with_the_line_that_is_right(
    molq: Molq, arguments: tuple[str, ...], right: str
):
    reply = molq("submit", *arguments)

    assert reply.returncode == 2
    assert (
        f"the command stands behind --, and {right.split(' -- ')[1].split(maxsplit=1)[0]!r} before it" in reply.stderr
    )
    assert f"; try: molq submit {right}; see: molq submit --help\n" in reply.stderr
    assert "secret" not in reply.stderr
    assert molq("list", "--all").stdout == "no jobs\n"


@pytest.mark.parametrize(
    "told",
    [
        "a bare number is bytes", "a bare number is seconds",
        "repeatable. An unknown KEY is answered with those there are",
        "0-9:2 is every second, %4 at the end: at most 4 at once", "default: made from the command",
        "default: stdout.log in the job's own folder", "default: as the profile says, or 0",
        "failed, was cancelled, timed out or was lost", "twice as long before each later one, up to 5m",
        "ask for FACTOR times as much, up to CAP",
    ],
)  # fmt: skip
def test_the_help_of_submit_tells_units_and_defaults(molq: Molq, told: str):
    assert told in " ".join(molq("submit", "--help").stdout.split())


@pytest.mark.parametrize("group", [(), ("profile",)])
def test_a_group_of_commands_by_itself_shows_its_help(molq: Molq, group: tuple[str, ...]):
    reply, helped = molq(*group), molq(*group, "--help")

    assert (reply.returncode, reply.stderr) == (0, "")
    assert reply.stdout == helped.stdout


def test_a_missing_program_is_the_jobs_failure(molq: Molq):
    reply = molq("submit", "local", "--block", "--", "no-such-program")

    assert reply.returncode == 127
    assert "not found" in reply.stderr


def test_an_ambiguous_id_names_the_candidates(molq: Molq):
    ids = [_submitted(molq, "--", "true") for _ in range(17)]
    first = next(a for a in "0123456789abcdef" if sum(job_id.startswith(a) for job_id in ids) > 1)
    molq("watch")

    reply = molq("status", first)

    assert reply.returncode == 2
    assert f"the id {first!r} fits several jobs" in reply.stderr


def test_a_database_that_is_none_is_left_alone(molq: Molq, home: Path):
    home.mkdir(mode=0o700)
    (home / "jobs.db").write_bytes(b"these are my notes, not a database\n" * 100)

    reply = molq("list")

    assert reply.returncode == 1
    assert reply.stderr.startswith("molq: error: the database ")
    assert (home / "jobs.db").read_bytes() == b"these are my notes, not a database\n" * 100


def test_backends_are_listed_with_their_distribution(molq: Molq):
    rows = {row["scheduler"]: row for row in json.loads(molq("backends", "--json").stdout)}

    assert rows["local"]["distribution"] == "molq-local"
    assert rows["local"]["status"] == "ok"


def test_ctrl_c_in_watch_leaves_the_job_alone_and_says_so(molq: Molq):
    job_id = _submitted(molq, "--", "sleep", "60")
    program = Path(sys.executable).with_name("molq")
    with subprocess.Popen(
        [program, "watch", job_id], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        assert "running" in watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        told = watch.stderr.read()

    assert watch.returncode == 130
    assert f"the jobs go on. Watch them again with: molq watch {job_id[:8]}" in told
    assert json.loads(molq("status", "--json", job_id).stdout)[0]["state"] == "running"
    molq("cancel", job_id)


def test_escape_sequences_in_a_name_do_not_reach_the_terminal(molq: Molq):
    job_id = _submitted(molq, "--name", "evil\x1b[2Jname\u202e", "--", "true")
    molq("watch", job_id)

    listed = molq("list", "--all").stdout

    assert "\x1b" not in listed
    assert "evil\\x1b[2Jname\\u202e" in listed


def test_escape_sequences_in_a_log_are_visible_on_a_terminal_and_raw_in_a_pipe(molq: Molq):
    job_id = _submitted(molq, "--shell", r"printf 'a\033[31mb\n'")
    molq("watch", job_id)
    program = Path(sys.executable).with_name("molq")
    ours, theirs = pty.openpty()

    subprocess.run([program, "logs", job_id], stdout=theirs, check=True, timeout=30)
    os.close(theirs)

    assert os.read(ours, 1000) == b"a\\x1b[31mb\r\n"
    assert molq("logs", job_id).stdout == "a\x1b[31mb\n"
    os.close(ours)


def _on_a_terminal(columns: int, *arguments: str) -> list[str]:
    program = Path(sys.executable).with_name("molq")
    ours, theirs = pty.openpty()
    subprocess.run(
        [program, *arguments], stdout=theirs, check=True, timeout=30, env={**os.environ, "COLUMNS": str(columns)}
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    return shown.splitlines()


def test_a_long_name_does_not_ruin_the_table_of_jobs(molq: Molq):
    _submitted(molq, "--name", "n" * 300, "--", "true")

    piped = molq("list", "--all").stdout.splitlines()

    assert "n" * 29 + "…  local" in piped[1]
    assert max(map(len, piped)) < 150


def test_a_table_fits_the_terminal_and_loses_no_sentence(molq: Molq):
    job_id = _submitted(molq, "--name", "n" * 300, "--shell", "exit 7 # " + "x" * 100)
    molq("watch", job_id)

    shown = _on_a_terminal(100, "list", "--all")

    assert max(map(len, shown)) <= 100
    assert shown[1].startswith(job_id[:8])
    note = " ".join(line[shown[0].index("NOTE") :].strip() for line in shown[1:])
    assert note == "ended with exit code 7"


def test_a_job_outlives_the_terminal_it_was_submitted_from(molq: Molq, tmp_path: Path):
    done = tmp_path / "done"
    program = Path(sys.executable).with_name("molq")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(program, [str(program), "submit", "local", "--shell", f"sleep 0.5; touch {done}"])
    os.read(terminal, 1000)
    os.close(terminal)
    os.waitpid(pid, 0)

    deadline = time.monotonic() + 60
    while not done.exists() and time.monotonic() < deadline:
        time.sleep(0.02)

    assert done.exists()
    assert molq("watch").returncode == 0


def _in_a_shell(line: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # As people have it: what is not flushed shows only then.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | {"PATH": path}
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False, env=environment
    )


@pytest.mark.parametrize(("redirection", "why"), [(">/dev/full", "No space left on device"), (">&-", "it is closed")])
@pytest.mark.parametrize("options", ["", "--json", "--block"])
def test_a_job_whose_id_cannot_be_printed_is_named_on_standard_error_and_not_to_be_submitted_again(
    molq: Molq, redirection: str, why: str, options: str
):
    reply = _in_a_shell(f"molq submit local {options} -- echo hi {redirection}")

    (job,) = json.loads(molq("list", "--all", "--json").stdout)
    assert reply.returncode == 75
    assert reply.stderr.startswith(f"molq: error: cannot write to standard output: {why}")
    assert f"; job {job['job_id']} was submitted all the same, so do not submit it again" in reply.stderr
    assert reply.stderr.count("\n") == 1


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("arguments", ["list", "--help", "--version", "submit --help", "backends", "logs {}"])
def test_output_that_cannot_be_written_is_one_sentence(molq: Molq, arguments: str, redirection: str):
    job_id = _submitted(molq, "--", "echo", "hi") if "{}" in arguments else ""
    if job_id:
        molq("watch", job_id)

    reply = _in_a_shell(f"molq {arguments.format(job_id)} {redirection}")

    assert reply.returncode == 1
    assert reply.stderr.startswith("molq: error: cannot write to standard output: ")
    assert reply.stderr.count("\n") == 1


def test_a_job_outlives_a_reader_that_has_enough_of_its_output(molq: Molq):
    reply = _in_a_shell("molq submit local --block --shell 'echo hi; sleep 0.3; yes' | head -n 1")

    (job,) = json.loads(molq("list", "--json").stdout)
    assert reply.stdout == "hi\n"
    assert f"job {job['job_id']} was submitted all the same" in reply.stderr
    molq("cancel", job["job_id"])


def test_closed_streams_are_no_reason_for_a_traceback(molq: Molq):
    script = _in_a_shell("molq submit local --script - <&-")
    silent = _in_a_shell("molq submit local -- true 2>&-")
    misused = _in_a_shell("molq submit nowhere -- true >/dev/full 2>&1")

    assert (script.returncode, script.stderr.count("\n")) == (2, 1)
    assert "--script - reads the script from standard input, which is closed" in script.stderr
    assert (silent.returncode, silent.stdout.count("\n")) == (0, 1)
    assert misused.returncode == 2


def test_options_of_the_backend_can_be_typed(molq: Molq):
    good = molq("submit", "local", "-o", "max_concurrent=1", "-o", "kill_grace=2s", "--block", "--", "echo", "hi")
    unknown = molq("submit", "local", "-o", "colour=red", "--", "true")
    wrong = molq("submit", "local", "-o", "max_concurrent=0", "--", "true")
    bare = molq("submit", "local", "-o", "max_concurrent", "--", "true")

    assert good.stdout == "hi\n"
    assert [reply.returncode for reply in (good, unknown, wrong, bare)] == [0, 2, 2, 2]
    assert "has no option 'colour'; it has max_concurrent" in unknown.stderr
    assert "must be a whole number of at least 1, not 0" in wrong.stderr
    assert "-o takes KEY=VALUE, not 'max_concurrent'" in bare.stderr


def test_doctor_tells_what_it_found_and_what_it_means(molq: Molq, home: Path):
    findings = {finding["name"]: finding for finding in json.loads(molq("doctor", "local", "--json").stdout)}

    assert findings["database"]["value"].startswith(str(home / "jobs.db"))
    assert "CPU" in findings["capacity"]["value"]
    assert not any(finding["is_problem"] for finding in findings.values())


def test_a_dry_run_prints_the_script_and_does_nothing(molq: Molq, home: Path):
    reply = molq("submit", "local", "--dry-run", "--cpus", "1", "--", "echo", "it's here")

    assert reply.returncode == 0
    assert reply.stdout.startswith("#!/bin/sh\n")
    assert """exec echo 'it'"'"'s here'""" in reply.stdout
    assert list(Path.cwd().iterdir()) == []
    assert molq("list", "--all").stdout == "no jobs\n"


def test_every_option_of_a_request_reaches_slurm(molq: Molq, fake_slurm: FakeSlurm):
    first = molq("submit", "slurm", "--json", "--", "true")
    job_id = json.loads(first.stdout)["job_id"]
    options = {
        "cpus": "4", "memory": "8G", "time": "2h", "queue": "debug", "account": "lab", "nodes": "2", "array": "0-3%2",
        "email": "me@example.org", "name": "my job", "after-success": job_id[:8],
    }  # fmt: skip
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]

    reply = molq("submit", "slurm", "--dry-run", "--exclusive", *flags, "--", "./work")

    assert reply.returncode == 0, reply.stderr
    directives = {
        line.partition("=")[0]: line.partition("=")[2] for line in reply.stdout.splitlines() if "SBATCH" in line
    }
    assert directives["#SBATCH --cpus-per-task"] == "4"
    assert directives["#SBATCH --mem"] == "8G"
    assert directives["#SBATCH --nodes"] == "2"
    assert directives["#SBATCH --array"] == "0-3%2"
    assert directives["#SBATCH --dependency"].startswith("afterok:")
    assert {"#SBATCH --exclusive", "#SBATCH --mail-user", "#SBATCH --account"} <= directives.keys()


def test_a_lost_reply_is_made_up_for_by_looking_for_the_job(molq: Molq, fake_slurm: FakeSlurm):
    fake_slurm.accept_but_hang()

    reply = molq("submit", "slurm", "--", "true")

    assert (reply.returncode, len(fake_slurm.jobs())) == (0, 1)
    assert "to slurm as 1" in reply.stdout


def test_an_unclear_answer_of_the_scheduler_exits_with_75(molq: Molq, fake_slurm: FakeSlurm):
    fake_slurm.hang()

    reply = molq("submit", "slurm", "--", "true")
    fake_slurm.come_back()
    listed = json.loads(molq("list", "--all", "--json").stdout)

    assert reply.returncode == 75
    assert "submission unconfirmed" in reply.stdout
    assert f"molq: job {listed[0]['job_id']} is unconfirmed: do not submit it again" in reply.stderr
    assert all(line.startswith("molq: ") for line in reply.stderr.splitlines())
    assert [job["job_id"] for job in listed] == [reply.stdout.split()[0]]
    assert listed[0]["state"] in ("created", "queued")


def test_inspect_keeps_a_long_key_apart_from_its_value(molq: Molq, fake_slurm: FakeSlurm):
    reply = molq("submit", "slurm", "-o", "extra_sbatch_flags=--nice", "--exclusive", "--", "true")

    shown = molq("inspect", reply.stdout.split()[0]).stdout

    assert re.search(r"^options\.extra_sbatch_flags {2,}\[\"--nice\"\]$", shown, re.MULTILINE)
    assert re.search(r"^scheduling\.exclusive_node {2,}true$", shown, re.MULTILINE)


def test_inspect_shows_what_a_job_waits_for_and_what_waits_for_it(molq: Molq, fake_slurm: FakeSlurm):
    first = json.loads(molq("submit", "slurm", "--json", "--", "true").stdout)["job_id"]
    second = json.loads(molq("submit", "slurm", "--json", "--after", first[:8], "--", "true").stdout)["job_id"]

    shown = [json.loads(molq("inspect", job_id, "--json").stdout)["dependencies"] for job_id in (first, second)]
    table = molq("inspect", second).stdout

    edge = {
        "job_id": second,
        "dependency_job_id": first,
        "dependency_type": "after",
        "scheduler_dependency": "afterany:1",
    }
    assert shown == [[edge], [edge]]
    assert "afterany:1" in table


def test_inspect_shows_the_neighbours_of_a_job_by_the_id_of_any_attempt(molq: Molq, fake_slurm: FakeSlurm):
    first = json.loads(molq("submit", "slurm", "--json", "--", "true").stdout)["job_id"]
    fake_slurm.run("1")
    second = json.loads(molq("submit", "slurm", "--json", "--after", first, "--", "false").stdout)["job_id"]
    fake_slurm.run("2")
    assert molq("watch", second).returncode == 1
    again = json.loads(molq("retry", second, "--json").stdout)[0]["job_id"]
    assert again != second

    shown = [json.loads(molq("inspect", job_id, "--json").stdout)["dependencies"] for job_id in (second, again)]

    assert [[edge["dependency_job_id"] for edge in edges] for edges in shown] == [[first], [first]]
