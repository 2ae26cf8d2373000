"""The job's script, executed by real shells: it runs the command as it was given, and leaves true evidence."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molq.backend import BackendDescription, SchedulerOptions
from molq.job_folder import JobFolder
from molq.job_script import ENVIRONMENT, PAYLOAD, JobLayout, payload_command, render_body, render_environment

SHELLS = [pytest.param(("sh",), id="sh")]
SHELLS += [pytest.param(("bash", "--posix"), id="bash")] if shutil.which("bash") else []
SHELLS += [pytest.param(("busybox", "sh"), id="busybox")] if shutil.which("busybox") else []

SHOW = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"
NO_CORES = "ulimit -c 0; "


def describe(**variables):
    names = {"job_id_variable": "SCHED_ID", "array_index_variable": "SCHED_INDEX"} | variables
    return BackendDescription(label="Sched", options_class=SchedulerOptions, **names)


COUNTED = describe(restart_count_variable="SCHED_RESTARTS")
UNCOUNTED = describe()


@attrs.define
class Site:
    """One job's folder and working directory, and the shell that runs its script."""

    shell: tuple[str, ...]
    job_dir: Path
    cwd: Path

    @property
    def folder(self) -> JobFolder:
        return JobFolder(self.job_dir)

    def render(self, *argv, env=None, is_array=False, description=COUNTED):
        layout = JobLayout(
            job_id="ours", job_dir=self.job_dir, cwd=self.cwd, has_environment=env is not None, is_array=is_array
        )
        if env is not None:
            (self.job_dir / ENVIRONMENT).write_bytes(os.fsencode(render_environment(env)))
        script = self.job_dir / "job.sh"
        script.write_bytes(os.fsencode("#!/bin/sh\n" + NO_CORES + render_body(layout, argv, description)))
        return script

    def launch(self, script, *, run="101", **variables):
        names = {"SCHED_ID": run} if run is not None else {}
        return subprocess.Popen(
            [*self.shell, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **names, **variables}, start_new_session=True,
        )  # fmt: skip

    def run(self, *argv, env=None, is_array=False, description=COUNTED, **launch):
        script = self.render(*argv, env=env, is_array=is_array, description=description)
        process = self.launch(script, **launch)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)


@pytest.fixture(params=SHELLS)
def site(request, tmp_path):
    (tmp_path / "job").mkdir(mode=0o700)
    (tmp_path / "cwd").mkdir()
    return Site(request.param, tmp_path / "job", tmp_path / "cwd")


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.005)  # another process makes it


# The command.

HOSTILE = [
    "", " ", "a b", "'", '"', "it's", "a\nb", "\n", "$HOME", "$(touch canary)", "`touch canary`", "-n", "--", "-rf",
    "*", "~", "\\", "\\n", "%s", "a;touch canary", "a|b", "a&", ">canary", "#", "!", "{a,b}", "[a]", "é", "日本", "🙂",
    "\t", "\r", "FOO=bar", "\x01", "\x7f", "\udcff",
]  # fmt: skip


def test_arguments_arrive_as_they_were_given(site):
    done = site.run(sys.executable, "-c", SHOW, *HOSTILE)

    assert done.stdout == b"\0".join(map(os.fsencode, HOSTILE))
    assert (done.returncode, site.folder.read_exit().code) == (0, 0)
    assert list(site.cwd.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["cd", "exit", "exec", "echo", "true", "test", "[", "set", "trap", ":", "eval", "return", "FOO=bar"]
)
def test_a_program_with_the_name_of_a_builtin_is_the_program(site, name):
    bin_dir = site.cwd / "bin"
    bin_dir.mkdir()
    (bin_dir / name).write_text('#!/bin/sh\nprintf "the program %s" "$*"\nexit 5\n')
    (bin_dir / name).chmod(0o700)

    done = site.run(name, "1", "2", PATH=f"{bin_dir}:{os.environ['PATH']}")

    assert (done.stdout, done.returncode) == (b"the program 1 2", 5)
    assert site.folder.read_exit().code == 5


@pytest.mark.parametrize("name", ["no-such-program", "./no-such-program", "/no/such/program", "exit", "exec", "eval"])
def test_a_program_that_does_not_exist_is_127(site, name):
    done = site.run(name, "3")

    assert (done.returncode, site.folder.read_exit().code) == (127, 127)
    assert name.removeprefix(".").encode() in done.stderr


def test_a_program_that_may_not_be_executed_is_126(site):
    (site.cwd / "data").write_text("no program")

    assert site.run("./data").returncode == 126
    assert site.folder.read_exit().code == 126


@pytest.mark.parametrize("code", [0, 3, 127, 128, 255])
def test_the_exit_code_is_written_and_passed_on(site, code):
    done = site.run("sh", "-c", f"exit {code}")

    assert (done.returncode, site.folder.read_exit().code) == (code, code)
    assert site.folder.read_exit().reason is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGHUP, signal.SIGINT])
def test_a_death_of_the_payload_by_a_signal_is_128_and_its_number(site, number):
    done = site.run("sh", "-c", f"kill -{int(number)} $$")

    assert (done.returncode, site.folder.read_exit().code) == (128 + number, 128 + number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_to_the_whole_group_reaches_the_payload_and_its_answer_is_written(site, number):
    code = (
        "import signal, sys, pathlib\n"
        f"signal.signal({int(number)}, lambda *_: (pathlib.Path('saved').touch(), sys.exit(7)))\n"
        "pathlib.Path('ready').touch()\n"
        "while True: signal.pause()\n"
    )
    process = site.launch(site.render(sys.executable, "-c", code))
    wait_for(site.cwd / "ready")

    os.killpg(process.pid, number)
    process.communicate(timeout=30)

    assert (process.returncode, site.folder.read_exit().code) == (7, 7)
    assert (site.cwd / "saved").exists()


def test_a_signal_to_the_whole_group_that_nobody_handles_ends_the_payload_and_is_written(site):
    process = site.launch(site.render("sh", "-c", "touch ready; exec sleep 60"))
    wait_for(site.cwd / "ready")

    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)

    assert site.folder.read_exit().code == 143


def test_a_signal_to_the_script_alone_waits_for_the_payload(site):
    process = site.launch(site.render("sh", "-c", "touch ready; while [ ! -e go ]; do sleep 0.01; done; exit 4"))
    wait_for(site.cwd / "ready")

    os.kill(process.pid, signal.SIGTERM)
    (site.cwd / "go").touch()
    process.communicate(timeout=30)

    assert (process.returncode, site.folder.read_exit().code) == (4, 4)


def test_a_script_that_is_killed_leaves_a_start_and_no_exit(site):
    process = site.launch(site.render("sh", "-c", "touch ready; exec sleep 60"))
    wait_for(site.cwd / "ready")

    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)

    assert site.folder.read_exit() is None
    assert site.folder.read_start().scheduler_job_id == "101"


def test_the_command_reads_nothing(site):
    process = site.launch(site.render("cat"))

    out, _ = process.communicate(b"what the scheduler's daemon holds", timeout=30)

    assert (process.returncode, out) == (0, b"")


def test_the_command_runs_in_its_working_directory(site):
    assert site.run("pwd", "-P").stdout.decode().strip() == str(site.cwd.resolve())


@pytest.mark.parametrize("obstacle", ["missing", "file"])
def test_a_working_directory_that_cannot_be_entered_is_told_and_the_command_does_not_run(site, obstacle):
    site.cwd.rmdir()
    if obstacle == "file":
        site.cwd.touch()

    done = site.run("touch", str(site.job_dir / "ran"))

    exit_file = site.folder.read_exit()
    assert (done.returncode, exit_file.code) == (1, 1)
    assert exit_file.reason == f"cannot enter the working directory {str(site.cwd)!r}"
    assert not (site.job_dir / "ran").exists()


def test_the_command_sees_molqs_id_and_nothing_else_of_molqs(site):
    done = site.run("env")

    names = {line.partition("=")[0] for line in done.stdout.decode().splitlines()}
    assert {name for name in names if "molq" in name.lower()} == {"MOLQ_JOB_ID"}


# Claims, runs and restarts.


def test_a_second_run_under_another_id_does_not_run_the_command(site):
    script = site.render("sh", "-c", "echo x >>ran")

    first, second = (site.launch(script, run=run) for run in ("101", "102"))
    results = [(process.communicate(timeout=30)[1], process.returncode) for process in (first, second)]

    assert (site.cwd / "ran").read_text() == "x\n"
    assert sorted(code for _, code in results) == [0, 1]
    loser = next(err for err, code in results if code == 1)
    assert b"has claimed this job" in loser
    assert site.folder.read_claim() in ("101", "102")
    assert site.folder.read_start().scheduler_job_id == site.folder.read_claim()
    assert site.folder.read_exit().code == 0


@pytest.mark.parametrize("description", [COUNTED, UNCOUNTED])
def test_a_requeue_under_the_same_id_runs_the_command_again_and_counts(site, description):
    counts = []

    for restarts in ("", "1", "2"):
        variables = {"SCHED_RESTARTS": restarts} if restarts else {}
        site.run("sh", "-c", "echo x >>ran; kill -9 $PPID", description=description, **variables)
        counts.append(site.folder.read_start().restarts)

    assert (site.cwd / "ran").read_text() == "x\nx\nx\n"
    assert counts == [0, 1, 2]


@pytest.mark.parametrize("code", [0, 3])
def test_a_run_that_the_scheduler_starts_twice_runs_the_command_once_and_ends_alike(site, code):
    first = site.run("sh", "-c", f"echo x >>ran; exit {code}", description=COUNTED, SCHED_RESTARTS="1")
    start, ended = site.folder.read_start(), site.folder.read_exit()

    second = site.run("sh", "-c", f"echo x >>ran; exit {code}", description=COUNTED, SCHED_RESTARTS="1")

    assert (first.returncode, second.returncode) == (code, code)
    assert (site.cwd / "ran").read_text() == "x\n"
    assert b"molq: not run" in second.stderr
    assert (site.folder.read_start(), site.folder.read_exit()) == (start, ended)


@pytest.mark.parametrize("description", [COUNTED, UNCOUNTED])
@pytest.mark.parametrize("code", [0, 3, 137])
def test_a_run_that_ended_by_itself_is_not_repeated_by_a_requeue(site, description, code):
    site.run("sh", "-c", f"echo x >>ran; exit {code}", description=description)

    again = site.run("sh", "-c", "echo x >>ran", description=description, SCHED_RESTARTS="1")

    assert (site.cwd / "ran").read_text() == "x\n"
    assert (again.returncode, site.folder.read_exit().code, site.folder.read_start().restarts) == (code, code, 0)
    assert f"not run again, since this job has ended with exit code {code} before".encode() in again.stderr


@pytest.mark.parametrize("description", [COUNTED, UNCOUNTED])
def test_a_run_that_a_signal_told_to_end_is_repeated_by_a_requeue_though_it_ended_with_0(site, description):
    code = "trap 'echo saved >>ran; exit 0' TERM; touch ready; while :; do sleep 0.01; done"
    process = site.launch(site.render("sh", "-c", code, description=description))
    wait_for(site.cwd / "ready")
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert site.folder.read_exit().was_signalled

    site.run("sh", "-c", "echo resumed >>ran", description=description, SCHED_RESTARTS="1")

    assert (site.cwd / "ran").read_text() == "saved\nresumed\n"
    assert site.folder.read_start().restarts == 1


def test_a_run_that_is_started_twice_while_it_runs_fails_without_an_exit_file(site):
    site.run("true", description=COUNTED)
    (site.job_dir / "exit").unlink()

    second = site.run("touch", "ran", description=COUNTED)

    assert second.returncode == 1
    assert not (site.cwd / "ran").exists()
    assert site.folder.read_exit() is None


def test_a_start_that_could_not_be_written_whole_does_not_stop_the_next_run(site):
    (site.job_dir / "start").write_text("101 4")

    done = site.run("true", description=UNCOUNTED)

    assert (done.returncode, site.folder.read_start().restarts) == (0, 1)


def test_no_exit_file_of_an_earlier_run_is_left_once_a_new_run_has_started(site):
    site.run("sh", "-c", "exit 3")
    (site.job_dir / "exit").write_text("3 after a signal\n")
    waiting = site.render("sh", "-c", "touch ready; while [ ! -e go ]; do sleep 0.01; done")
    process = site.launch(waiting, SCHED_RESTARTS="1")
    wait_for(site.cwd / "ready")
    during = site.folder.read_exit()
    (site.cwd / "go").touch()
    process.communicate(timeout=30)

    assert (during, site.folder.read_exit().code) == (None, 0)


def test_a_run_that_its_launcher_has_claimed_needs_no_claim_of_its_own(site):
    done = site.run("env", MOLQ_CLAIMED="ours")

    assert done.returncode == 0
    assert site.folder.read_claim() is None
    assert b"MOLQ_CLAIMED" not in done.stdout


def test_the_claim_of_an_outer_job_is_none(site):
    (site.job_dir / "claim").symlink_to("102")

    done = site.run("touch", "ran", MOLQ_CLAIMED="the outer job's")

    assert done.returncode == 1
    assert not (site.cwd / "ran").exists()


def test_a_claim_cannot_be_an_option(site):
    site.run("true", run="-f")

    assert site.folder.read_claim() == "-f"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_runs_no_command(site):
    script = site.render("touch", "ran")
    site.job_dir.chmod(0o500)

    process = site.launch(script)
    _, err = process.communicate(timeout=30)
    site.job_dir.chmod(0o700)

    assert process.returncode == 1
    assert b"cannot be written" in err
    assert not (site.cwd / "ran").exists()


def test_a_folder_that_is_gone_runs_no_command(site):
    script = site.render("touch", "ran")
    moved = site.cwd / "job.sh"
    script.rename(moved)
    site.job_dir.rmdir()

    process = site.launch(moved)
    process.communicate(timeout=30)

    assert process.returncode == 1
    assert not (site.cwd / "ran").exists()


def test_a_script_that_no_scheduler_runs_refuses(site):
    done = site.run("touch", "ran", run=None)

    assert done.returncode != 0
    assert b"this script is for the scheduler to run" in done.stderr
    assert list(site.cwd.iterdir()) == []
    assert [path.name for path in site.job_dir.iterdir()] == ["job.sh"]


def test_each_element_of_an_array_has_files_of_its_own(site):
    for index, run in (("1", "101"), ("2", "102"), ("3", "103")):
        site.run("sh", "-c", f"exit {index}", is_array=True, run=run, SCHED_INDEX=index)

    assert [site.folder.read_exit(index).code for index in (1, 2, 3)] == [1, 2, 3]
    assert [site.folder.read_start(index).scheduler_job_id for index in (1, 2, 3)] == ["101", "102", "103"]
    assert (site.folder.read_exit(), site.folder.read_start(), site.folder.read_claim()) == (None, None, None)


def test_an_element_without_an_index_refuses(site):
    assert site.run("touch", "ran", is_array=True).returncode != 0
    assert list(site.cwd.iterdir()) == []


def test_the_start_file_tells_where_the_script_runs(site):
    site.run("true", SCHED_RESTARTS="4")

    start = site.folder.read_start()
    assert (start.scheduler_job_id, start.restarts) == ("101", 4)
    assert start.host == os.uname().nodename
    assert start.at <= site.folder.read_exit().at


# The environment.

VALUES = {
    "EMPTY": "", "SPACES": "  a  b ", "LINES": "a\nb\n\n", "QUOTES": "'\"'\"\"'",
    "CODE": "$(touch canary)`touch canary`$HOME",
    "BACKSLASHES": "\\\\n\\", "UNICODE": "é日本🙂", "ODD": "\x01\x1b[31m\x7f", "IFS": "abc", "HOME": "/nowhere",
    "PS4": "$(touch canary)", "molq_dir": "/tmp/elsewhere", "molq_code": "99", "A1_": "=",
}  # fmt: skip


def test_variables_arrive_as_they_were_given(site):
    code = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(os.environb[k.encode()] for k in sys.argv[1:]))"

    done = site.run(sys.executable, "-c", code, *VALUES, env=VALUES)

    assert done.stdout == b"\0".join(value.encode() for value in VALUES.values())
    assert site.folder.read_exit().code == 0
    assert list(site.cwd.iterdir()) == []


def test_a_megabyte_of_variables_arrives(site):
    variables = {f"LARGE_{number}": str(number % 10) * 100_000 for number in range(10)}
    code = "import os; print(sum(len(v) for k, v in os.environ.items() if k.startswith('LARGE_')))"

    done = site.run(sys.executable, "-c", code, env=variables)

    assert int(done.stdout) == 1_000_000


def test_a_value_that_linux_passes_to_no_program_is_a_failure_with_an_exit_file(site):
    done = site.run("true", env={"LARGE": "x" * 1_000_000})

    assert done.returncode in (2, 126)
    assert site.folder.read_exit().code == done.returncode


def test_the_program_is_looked_for_in_the_path_of_the_environment(site):
    bin_dir = site.cwd / "bin"
    bin_dir.mkdir()
    (bin_dir / "mine").write_text("#!/bin/sh\necho found\n")
    (bin_dir / "mine").chmod(0o700)

    assert site.run("mine", env={"PATH": f"{bin_dir}:{os.environ['PATH']}"}).stdout == b"found\n"


def test_no_value_stands_in_the_script(site):
    script = site.render("true", env={"TOKEN": "a-secret"})

    assert b"a-secret" not in script.read_bytes()


def test_the_files_are_written_though_the_environment_has_no_path_for_the_command(site):
    done = site.run("true", env={"PATH": "/nowhere"})

    assert (done.returncode, site.folder.read_exit().code) == (127, 127)


# Scripts of the user's.


def run_payload(site, payload):
    path = site.job_dir / PAYLOAD
    path.write_bytes(payload)
    return site.run(*payload_command(payload, path))


@pytest.mark.parametrize(
    ("payload", "out"),
    [
        pytest.param(b"#!/bin/sh -e\nfalse\necho not reached\n", b"", id="one argument"),
        pytest.param(b"#!/bin/sh\necho $0 | tail -c 8\n", b"payload\n", id="no argument"),
        pytest.param(b"#! /bin/sh\necho blank\n", b"blank\n", id="a blank before the interpreter"),
        pytest.param(b"#!/bin/sh  \necho blanks\n", b"blanks\n", id="blanks after the interpreter"),
        pytest.param(b"#!/usr/bin/env python3\nprint('env')\n", b"env\n", id="env"),
        pytest.param(
            b"#!/usr/bin/env -S python3 -u\nimport sys; print(sys.stdout.write_through)\n", b"True\n", id="env -S"
        ),
        pytest.param(b"#!/bin/sh\r\necho dos\n", b"dos\n", id="a line end of DOS"),
        pytest.param(b"[[ a == a ]] && echo bash\n", b"bash\n", id="no interpreter"),
        pytest.param(b"\n#!/bin/false\necho bash\n", b"bash\n", id="an interpreter on the second line"),
        pytest.param(b"#!\necho bash\n", b"bash\n", id="an empty interpreter line"),
        pytest.param(b"echo no line end", b"no line end\n", id="no line end"),
        pytest.param("echo é日本🙂\n".encode(), "é日本🙂\n".encode(), id="unicode"),
    ],
)
def test_a_script_runs_by_its_own_interpreter_or_else_by_bash(site, payload, out):
    assert run_payload(site, payload).stdout == out


def test_the_exit_code_of_a_script_is_the_jobs(site):
    run_payload(site, b"#!/bin/sh -e\nfalse\n")

    assert site.folder.read_exit().code == 1


def test_a_script_whose_interpreter_does_not_exist_is_127(site):
    assert run_payload(site, b"#!/no/such/interpreter\n").returncode == 127


@pytest.mark.parametrize(
    ("first_line", "command"),
    [
        (b"#!/usr/bin/env -S python3 -u", ("/usr/bin/env", "-S python3 -u", "/p")),
        (b"#!/bin/sh -e -u", ("/bin/sh", "-e -u", "/p")),
        (b"#!/opt/\xff/sh", ("/opt/\udcff/sh", "/p")),
        (b"\x7fELF", ("bash", "/p")),
    ],
)
def test_the_interpreter_line_is_read_as_the_kernel_reads_it(first_line, command):
    assert payload_command(first_line + b"\nx\n", Path("/p")) == command


# Hostile names, beside a canary.

words = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and len(os.fsencode(name)) < 100
)
poison = st.sampled_from(
    [
        "$(touch canary)",
        "`touch canary`",
        "'; touch canary; '",
        '"; touch canary; "',
        "\ntouch canary\n",
        "-rf",
        "{molq}",
        "%s",
        "'",
    ]
)
names = st.one_of(
    words, st.builds("{}{}".format, words, poison).filter(lambda name: len(os.fsencode(name)) < 200), poison
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job_name=names, cwd_name=names, argument=st.one_of(names, words), value=st.one_of(names, words))
def test_no_name_of_a_folder_or_value_becomes_code(tmp_path_factory, job_name, cwd_name, argument, value):
    root = tmp_path_factory.mktemp("hostile")
    site = Site(("sh",), root / "jobs" / job_name, root / "work" / cwd_name)
    site.job_dir.mkdir(parents=True)
    site.cwd.mkdir(parents=True)
    code = (
        "import os, sys\n"
        "sys.stdout.buffer.write(b'\\0'.join([os.environb[b'VALUE'], os.fsencode(sys.argv[1]), os.getcwdb()]))"
    )

    done = site.run(sys.executable, "-c", code, argument, env={"VALUE": value})

    assert done.stdout == b"\0".join([value.encode(), argument.encode(), os.fsencode(site.cwd)])
    assert site.folder.read_exit().code == 0
    assert {path.name for path in site.job_dir.iterdir()} == {"job.sh", "environment", "claim", "start", "exit"}
    assert not list(root.rglob("canary"))
    assert list(site.cwd.iterdir()) == []


@settings(deadline=None, max_examples=30)
@given(cwd_name=names)
def test_no_name_of_a_missing_folder_spoils_the_exit_file(tmp_path_factory, cwd_name):
    root = tmp_path_factory.mktemp("missing")
    site = Site(("sh",), root / "job", root / cwd_name / "gone")
    site.job_dir.mkdir()

    site.run("true")

    assert site.folder.read_exit().code == 1
    assert site.folder.read_exit().reason == f"cannot enter the working directory {str(site.cwd)!r}"
    assert not list(root.rglob("canary"))


def test_the_script_is_clean_to_a_shells_eye(site):
    script = site.render("true", env={"A": "b"}, is_array=True, description=UNCOUNTED)

    checked = subprocess.run([*site.shell, "-n", str(script)], capture_output=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, b"")
    assert shlex.quote(str(site.job_dir)) in script.read_text()
