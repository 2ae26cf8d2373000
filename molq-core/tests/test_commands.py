"""Running a scheduler's programs: real programs, real signals, real files."""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import subprocess
import sys

import pytest

from molq import commands as commands_module
from molq.backend import BackendDescription, SchedulerOptions, SubmitUnconfirmed
from molq.commands import SystemCommands
from molq.errors import CommandFailedError, CommandNotStartedError
from molq.job_folder import JobFolder, JobPlace

DESCRIPTION = BackendDescription(
    label="Acme",
    options_class=SchedulerOptions,
    job_id_variable="ACME_ID",
    dropped_variables=("ACME_*", "SBATCH_*"),
    kept_variables=("ACME_CONF",),
)

# The fifo tells when the program has started, and, since its descendants hold it open too, when the last one is gone.
TREE = """
exec 9>"$1"
bash -c 'echo $$ >&9; sleep 1000' &
echo $$ >&9
wait
"""

DYING_SUBMITTER = """
import os, sys
from pathlib import Path
from molq.backend import BackendDescription, SchedulerOptions
from molq.commands import SystemCommands
from molq.job_folder import JobFolder
folder = JobFolder(Path(sys.argv[1]))
description = BackendDescription(label="Acme", options_class=SchedulerOptions, job_id_variable="ACME_ID")
with folder.submit_lock() as lock:
    SystemCommands(description, os.environ, folder=folder, lock=lock).submit(
        ["bash", "-c", 'echo started >"$1"; read -r line <"$2"; cat; echo "accepted 7"', "_", *sys.argv[2:4]],
        stdin="script\\n" * 50_000,
    )
"""


@pytest.fixture
def folder(tmp_path):
    return JobFolder.create(JobPlace(tmp_path / "jobs"), "job-7", 1.0)


@pytest.fixture
def submitting(folder):
    with folder.submit_lock() as lock:
        yield SystemCommands(DESCRIPTION, os.environ, folder=folder, lock=lock)


def running(**environment):
    return SystemCommands(DESCRIPTION, {"PATH": os.environ["PATH"], **environment})


def a_program(path, text, mode=0o755):
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_reply_is_what_the_program_wrote_and_its_exit_code():
    reply = running().run(["bash", "-c", "echo out; echo error >&2; exit 3"])

    assert (reply.exit_code, reply.stdout, reply.stderr) == (3, "out\n", "error\n")


def test_a_program_that_a_signal_ended_has_the_signals_negative_number():
    assert running().run(["bash", "-c", "kill -TERM $$"]).exit_code == -signal.SIGTERM


def test_arguments_reach_the_program_as_they_are():
    odd = ["", "a b", "'", '"', "$(id)", "*", "--", "\n", os.fsdecode(b"\xff")]

    reply = running().run(["printf", "%s|", *odd])

    assert reply.stdout == "|".join(odd[:-1]) + "|�|"


def test_a_program_reads_nothing_unless_it_is_given_something():
    assert running().run(["cat"]).stdout == ""
    assert running().run(["cat"], stdin="").stdout == ""
    assert running().run(["cat"], stdin="hé\n").stdout == "hé\n"


def test_bytes_that_are_no_text_are_handed_to_the_program_as_they_were():
    reply = running().run(["od", "-An", "-tx1"], stdin=os.fsdecode(b"\xff"))

    assert reply.stdout.strip() == "ff"


def test_output_that_is_not_utf_8_is_read_as_far_as_it_can_be():
    reply = running().run(["printf", r"7\377|R\n"])

    assert reply.stdout == "7�|R\n"


def test_a_program_may_write_much_on_both_streams_while_it_is_given_much():
    code = "import sys; t = sys.stdin.read(); sys.stdout.write(t); sys.stderr.write(t)"
    text = "x" * 3_000_000

    reply = running().run([sys.executable, "-c", code], stdin=text)

    assert reply.stdout == text
    assert reply.stderr == text


def test_a_program_need_not_read_what_it_is_given():
    assert running().run(["true"], stdin="x" * 3_000_000).exit_code == 0


def test_a_program_that_writes_without_end_is_ended(monkeypatch):
    monkeypatch.setattr(commands_module, "LONGEST_OUTPUT", 2 * 2**20)

    with pytest.raises(CommandFailedError, match="'yes' wrote more than 2 MiB, and was ended"):
        running().run(["yes"])


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "fifo", "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as fifo:
        with pytest.raises(CommandFailedError, match=r"'bash -c .*' did not answer within 3 s") as caught:
            running().run(["bash", "-c", TREE, "_", str(tmp_path / "fifo")], timeout=3.0)

        pids = [int(line) for line in os.read(fifo.fileno(), 1000).split()]
        poll = select.poll()
        poll.register(fifo, 0)
        assert poll.poll(60_000), "somebody still holds the fifo open"

    assert len(pids) == 2
    assert caught.value.argv[0] == "bash"
    assert caught.value.exit_code is None


def test_a_program_that_closes_its_output_and_goes_on_takes_too_long_too():
    with pytest.raises(CommandFailedError, match="did not answer within"):
        running().run(["bash", "-c", "exec >&- 2>&-; sleep 1000"], timeout=0.3)


def test_a_program_is_out_of_reach_of_ctrl_c():
    reply = running().run([sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"])

    assert reply.stdout == "True\n"


def test_a_program_leaves_no_descriptor_open():
    before = sorted(os.listdir("/proc/self/fd"))

    running().run(["echo", "x"], stdin="y")
    with pytest.raises(CommandFailedError):
        running().run(["sleep", "1000"], timeout=0.05)

    assert sorted(os.listdir("/proc/self/fd")) == before


def test_programs_do_not_inherit_what_the_description_drops():
    commands = running(ACME_ID="1", ACME_CONF="/etc/acme", SBATCH_ACCOUNT="x", MY_ACME_ID="2", LC_ALL="de_DE", TZ="UTC")

    inherited = dict(line.split("=", 1) for line in commands.run(["env"]).stdout.split())

    assert {"ACME_ID", "SBATCH_ACCOUNT"} & set(inherited) == set()
    assert {"ACME_CONF": "/etc/acme", "MY_ACME_ID": "2", "TZ": "UTC"}.items() <= inherited.items()
    assert inherited["LC_ALL"] == "C"
    assert "ACME_ID" not in commands.environment


def test_a_program_that_is_not_installed_is_named():
    with pytest.raises(CommandNotStartedError, match="the program 'no-such-sbatch' was not found; is it installed"):
        running().run(["no-such-sbatch", "--parsable"])


def test_programs_are_looked_for_where_the_given_environment_says(tmp_path):
    a_program(tmp_path / "acme-submit", "#!/bin/sh\necho mine\n")

    assert SystemCommands(DESCRIPTION, {"PATH": str(tmp_path)}).run(["acme-submit"]).stdout == "mine\n"
    with pytest.raises(CommandNotStartedError, match="was not found"):
        SystemCommands(DESCRIPTION, {}).run(["acme-submit"])


@pytest.mark.parametrize(
    ("text", "number"),
    [("no interpreter line", errno.ENOEXEC), ("#!/no/such/interpreter\n", errno.ENOENT)],
)
def test_a_program_that_cannot_be_started_is_named_with_the_reason(tmp_path, text, number):
    program = a_program(tmp_path / "acme", text)

    # A long path is cut in the sentence.
    with pytest.raises(CommandNotStartedError, match=f"could not be started: {os.strerror(number)}") as caught:
        running().run([program])

    assert caught.value.argv == (program,)


def test_too_long_a_list_of_arguments_is_named_shortly():
    with pytest.raises(CommandNotStartedError, match="could not be started: Argument list too long") as caught:
        running().run(["true", "x" * 10_000_000])

    assert len(str(caught.value)) < 400


def test_an_argument_that_no_program_can_be_given_is_named():
    with pytest.raises(CommandNotStartedError, match="could not be started: embedded null byte"):
        running().run(["echo", "a\0b"])


def test_a_submission_leaves_its_reply_on_disk(folder, submitting):
    reply = submitting.submit(["bash", "-c", "echo 7; echo careful >&2; exit 4"])

    assert (reply.exit_code, reply.stdout, reply.stderr) == (4, "7\n", "careful\n")
    assert folder.read_submit_reply() == reply
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir()}
    assert modes["submit.out"] == modes["submit.err"] == modes["submit.exit"] == 0o600


def test_a_submission_that_is_forgotten_may_be_followed_by_another(folder, submitting):
    submitting.submit(["cat"], stdin="first\n")

    folder.forget_submission()

    assert submitting.submit(["cat"], stdin="second\n").stdout == "second\n"


def test_a_submission_keeps_the_users_language(folder):
    with folder.submit_lock() as lock:
        commands = SystemCommands(DESCRIPTION, {**os.environ, "LC_ALL": "xx"}, folder=folder, lock=lock)

        assert commands.submit(["printenv", "LC_ALL"]).stdout == "xx\n"


def test_a_submit_command_reads_the_whole_script(submitting):
    text = "line é\n" * 30_000

    assert submitting.submit(["md5sum"], stdin=text).stdout == running().run(["md5sum"], stdin=text).stdout


def test_a_submit_command_outside_of_a_submission_is_not_run(tmp_path):
    with pytest.raises(CommandNotStartedError, match="outside of a submission"):
        running().submit(["touch", str(tmp_path / "ran")])

    assert not (tmp_path / "ran").exists()


def test_a_second_submit_command_is_not_run(tmp_path, submitting):
    submitting.submit(["echo", "7"])

    with pytest.raises(SubmitUnconfirmed, match="second command of one submission"):
        submitting.submit(["touch", str(tmp_path / "ran")])

    assert not (tmp_path / "ran").exists()


def test_a_submit_program_that_is_not_installed_was_surely_not_run(folder, submitting):
    with pytest.raises(CommandNotStartedError, match="was not found"):
        submitting.submit(["no-such-sbatch"])

    assert folder.read_submit_reply() is None


def test_a_reply_that_could_not_be_kept_prevents_the_submission(tmp_path, folder, submitting):
    folder.path.rename(tmp_path / "aside")

    with pytest.raises(CommandNotStartedError, match=r"was not run: its reply cannot be kept in .*: No such file"):
        submitting.submit(["touch", str(tmp_path / "ran")])

    assert not (tmp_path / "ran").exists()


def test_a_submit_command_that_takes_too_long_is_not_ended(tmp_path, folder):
    os.mkfifo(tmp_path / "go")
    with folder.submit_lock() as lock:
        commands = SystemCommands(DESCRIPTION, os.environ, folder=folder, lock=lock)
        with pytest.raises(SubmitUnconfirmed, match=r"did not answer within 0\.2 s"):
            commands.submit(["bash", "-c", 'read -r line <"$1"; echo 7', "_", str(tmp_path / "go")], timeout=0.2)

    assert folder.submission_is_under_way()
    (tmp_path / "go").write_text("go\n")
    wait_for_the_lock(folder)
    assert folder.read_submit_reply().stdout == "7\n"


def test_a_linux_that_knows_no_descriptors_of_processes_will_do(monkeypatch, submitting):
    def pidfd_open(pid, flags=0):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", pidfd_open)

    assert submitting.submit(["sh", "-c", "sleep 0.02; echo 7"]).stdout == "7\n"
    with pytest.raises(CommandFailedError, match=r"did not answer within 0\.1 s"):
        running().run(["sh", "-c", "exec >&- 2>&-; exec sleep 60"], timeout=0.1)


def test_a_submission_survives_the_death_of_its_submitter(tmp_path, folder):
    os.mkfifo(tmp_path / "started")
    os.mkfifo(tmp_path / "go")
    submitter = subprocess.Popen(
        [sys.executable, "-c", DYING_SUBMITTER, str(folder.path), str(tmp_path / "started"), str(tmp_path / "go")]
    )
    assert (tmp_path / "started").read_text() == "started\n"

    os.kill(submitter.pid, signal.SIGKILL)
    submitter.wait()

    assert folder.submission_is_under_way()
    (tmp_path / "go").write_text("go\n")
    wait_for_the_lock(folder)
    assert not folder.submission_is_under_way()
    assert folder.read_submit_reply().exit_code is None
    # All of the script was read, although nobody was there any more to write it.
    assert (folder.path / "submit.out").read_text() == "script\n" * 50_000 + "accepted 7\n"


def wait_for_the_lock(folder):
    with folder.submit_lock():
        pass
