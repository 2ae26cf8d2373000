"""One job, from one call to its recorded result, on the local queue with real processes."""

from __future__ import annotations

import asyncio
import math
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from molq import (
    ConfigError,
    Duration,
    EventType,
    JobExecution,
    JobNotFoundError,
    JobResources,
    JobScheduling,
    JobState,
    JobStore,
    LocalSchedulerOptions,
    Memory,
    MolqTimeoutError,
    Script,
    ScriptError,
    StoreError,
    SubmitError,
    Submitor,
    SubmitorDefaults,
    load_config,
)
from molq.errors import UnsupportedFieldsError

_ENOUGH = 60.0


@pytest.mark.parametrize(("code", "state"), [(0, JobState.SUCCEEDED), (3, JobState.FAILED), (255, JobState.FAILED)])
def test_a_job_ends_with_its_exit_code(submitor: Submitor, code: int, state: JobState):
    handle = submitor.submit(argv=["sh", "-c", f"exit {code}"])

    record = handle.wait(_ENOUGH)

    assert (record.state, record.exit_code, record.signal) == (state, code, None)
    assert record.finished_at >= record.started_at >= record.submitted_at - 1
    assert record.failure_reason == (None if code == 0 else f"ended with exit code {code}")


def test_a_job_that_is_killed_names_the_signal(submitor: Submitor):
    handle = submitor.submit(argv=["sh", "-c", "kill -9 $$"])

    record = handle.wait(_ENOUGH)

    assert (record.state, record.signal, record.exit_code) == (JobState.FAILED, 9, 137)
    assert record.failure_reason == "killed by signal 9 (SIGKILL)"


@pytest.mark.parametrize(
    "argument",
    [
        "two words",
        "'single'",
        '"double"',
        "line\nbreak",
        "$HOME",
        "`id`",
        "$(id)",
        "-n",
        "--",
        "",
        "*",
        "\\",
        "ü€",
        "%s",
    ],
)
def test_an_argument_reaches_the_program_as_it_is(submitor: Submitor, argument: str):
    handle = submitor.submit(argv=[sys.executable, "-c", "import sys; sys.stdout.write(sys.argv[1])", argument])

    record = handle.wait(_ENOUGH)

    assert Path(record.stdout_path).read_text() == argument


def test_a_command_is_shell_code(submitor: Submitor):
    record = submitor.submit(command="printf 'b\\na\\n' | sort | head -1; [[ x == x ]]").wait(_ENOUGH)

    assert record.state is JobState.SUCCEEDED
    assert Path(record.stdout_path).read_text() == "a\n"


def test_a_script_of_many_lines_is_run_by_its_interpreter(submitor: Submitor):
    lines = ["import sys", "for i in range(2):", "    print(i, sys.flags.isolated)", ""]
    script = Script.inline("\n".join([f"#!/usr/bin/env -S {sys.executable} -I", *lines]))

    record = submitor.submit(script=script).wait(_ENOUGH)

    assert Path(record.stdout_path).read_text() == "0 1\n1 1\n"


def test_a_script_by_path_is_copied_when_it_is_submitted(submitor: Submitor, tmp_path: Path):
    path = tmp_path / "my script.sh"
    path.write_text("#!/bin/bash -e\nfalse\necho unreachable\n")

    record = submitor.submit(script=Script.path(path)).wait(_ENOUGH)

    assert (record.state, record.exit_code) == (JobState.FAILED, 1)
    assert Path(record.stdout_path).read_text() == ""


def test_what_was_asked_for_reaches_the_job(submitor: Submitor, tmp_path: Path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    record = submitor.submit(
        command='echo "$GREETING from $PWD"; echo oops >&2',
        execution=JobExecution(
            env={"GREETING": "it's $5\nsharp"},
            cwd=folder,
            job_name="a name; with 'everything'\n",
            output_file="out put.txt",
            error_file=str(tmp_path / "err.txt"),
        ),
        resources=JobResources(cpu_count=1, memory=Memory.mb(64), time_limit=Duration.hours(1)),
        metadata={"who": "me"},
    ).wait(_ENOUGH)

    assert (folder / "out put.txt").read_text() == f"it's $5\nsharp from {folder}\n"
    assert (tmp_path / "err.txt").read_text() == "oops\n"
    assert record.job_name == "a name; with 'everything'\n"
    assert record.metadata == {"who": "me"}
    assert record.cwd == str(folder)


def test_the_value_of_a_variable_is_kept_out_of_the_database(submitor: Submitor, store: JobStore):
    submitor.submit(argv=["true"], execution=JobExecution(env={"TOKEN": "canary-7391"})).wait(_ENOUGH)

    written = b"".join(path.read_bytes() for path in store.path.parent.glob("jobs.db*"))

    assert b"TOKEN" in written
    assert b"canary-7391" not in written


def test_everything_of_a_job_is_readable_by_its_user_alone(submitor: Submitor, home: Path):
    before = os.umask(0)
    try:
        record = submitor.submit(argv=["true"], execution=JobExecution(env={"A": "b"})).wait(_ENOUGH)
    finally:
        os.umask(before)

    folder = Path(record.job_dir)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "jobs.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "environment").stat().st_mode) == 0o600


def test_output_is_readable_while_the_job_runs(submitor: Submitor, tmp_path: Path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    handle = submitor.submit(command=f"echo early; cat {gate}")
    path = Path(submitor.get(handle.job_id).stdout_path)

    with pytest.raises(MolqTimeoutError):
        while not (path.exists() and path.read_text()):
            handle.wait(0.05)
        handle.wait(0)
    assert path.read_text() == "early\n"
    assert handle.status() is JobState.RUNNING

    gate.write_text("late\n")
    handle.wait(_ENOUGH)
    assert path.read_text() == "early\nlate\n"


def test_a_job_over_its_time_limit_is_timed_out(submitor: Submitor):
    handle = submitor.submit(argv=["sleep", "60"], resources=JobResources(time_limit=Duration(1)))

    record = handle.wait(_ENOUGH)

    assert (record.state, record.cause) == (JobState.TIMED_OUT, "timeout")
    assert record.failure_reason == "exceeded its time limit"


def test_a_cancelled_job_leaves_no_descendant(submitor: Submitor, tmp_path: Path):
    pids = tmp_path / "pids"
    handle = submitor.submit(command=f"sleep 60 & echo $! >>{pids}; setsid sleep 61 & echo $! >>{pids}; wait")
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        with pytest.raises(MolqTimeoutError):
            handle.wait(0.02)

    handle.cancel()
    record = handle.wait(_ENOUGH)

    assert record.state is JobState.CANCELLED
    assert [pid for pid in pids.read_text().split() if _is_alive(pid)] == []


def test_cancelling_a_finished_job_changes_nothing(submitor: Submitor):
    handle = submitor.submit(argv=["true"])
    before = handle.wait(_ENOUGH)

    handle.cancel()

    assert submitor.get(handle.job_id) == before


def test_a_hundred_jobs_run_four_at_a_time(store: JobStore, tmp_path: Path):
    submitor = Submitor("here", scheduler_options=LocalSchedulerOptions(max_concurrent=4, cpu_count=8), store=store)
    log = tmp_path / "log"
    command = f"echo start >>{log}; sleep 0.02; echo end >>{log}"

    handles = [submitor.submit(command=command) for _ in range(100)]
    records = submitor.watch([handle.job_id for handle in handles], timeout=_ENOUGH)

    assert {record.state for record in records} == {JobState.SUCCEEDED}
    running, most = 0, 0
    for line in log.read_text().split():
        running += 1 if line == "start" else -1
        most = max(most, running)
    assert log.read_text().split().count("start") == 100
    assert most <= 4


def test_events_tell_the_life_of_a_job(submitor: Submitor):
    heard: list[str] = []
    for event in EventType:
        submitor.on(event, lambda payload: heard.append(payload.event.value))

    submitor.submit(argv=["false"]).wait(_ENOUGH)

    assert heard.count("job_started") == heard.count("job_failed") == heard.count("all_completed") == 1
    assert heard.index("job_started") < heard.index("job_failed") < heard.index("all_completed")


def test_defaults_are_merged_field_by_field(store: JobStore):
    defaults = SubmitorDefaults(
        resources=JobResources(cpu_count=1, memory=Memory.mb(32)), execution=JobExecution(env={"A": "1", "B": "2"})
    )
    submitor = Submitor("here", defaults=defaults, store=store)

    record = submitor.submit(
        command="echo $A $B", resources=JobResources(memory=Memory.mb(16)), execution=JobExecution(env={"B": "3"})
    ).wait(_ENOUGH)

    assert Path(record.stdout_path).read_text() == "1 3\n"
    assert store.request(record.job_id)["resources"] == {"cpu_count": 1, "memory": "16M"}


@pytest.mark.parametrize(
    ("scheduling", "resources", "field"),
    [
        (JobScheduling(account="a"), None, "account"),
        (JobScheduling(qos="a"), None, "qos"),
        (JobScheduling(reservation="a"), None, "reservation"),
        (JobScheduling(email="a@b"), None, "email"),
        (JobScheduling(array_spec="0-3"), None, "array_spec"),
        (JobScheduling(dependency="afterok:1"), None, "dependency"),
        (None, JobResources(gpu_type="a100"), "gpu_type"),
    ],
)
def test_what_a_machine_cannot_do_is_refused_by_name(
    submitor: Submitor, scheduling: JobScheduling | None, resources: JobResources | None, field: str
):
    with pytest.raises(ConfigError, match=rf"'local' does not support .*\b{field}\b"):
        submitor.submit(argv=["true"], scheduling=scheduling, resources=resources)

    assert submitor.list(include_terminal=True) == []
    assert list(Path.cwd().iterdir()) == []


def test_all_that_a_machine_cannot_do_is_told_at_once(submitor: Submitor):
    scheduling = JobScheduling(node_count=2, qos="q", queue="long")

    with pytest.raises(UnsupportedFieldsError, match="does not support queue, node_count 2, qos; drop them") as caught:
        submitor.submit(argv=["true"], scheduling=scheduling)

    assert caught.value.fields == ("queue", "node_count", "qos")
    assert submitor.submit(argv=["true"], scheduling=JobScheduling(node_count=1)).wait(_ENOUGH).exit_code == 0


def test_dependencies_are_refused_before_anything_is_stored(submitor: Submitor):
    first = submitor.submit(argv=["true"])

    with pytest.raises(ConfigError, match=r"does not support dependencies \(after_success\); drop it"):
        submitor.submit(argv=["true"], after_success=[first.job_id])

    first.wait(_ENOUGH)
    assert len(submitor.list(include_terminal=True)) == 1


def test_more_than_the_machine_has_is_refused_with_both_numbers(submitor: Submitor):
    with pytest.raises(Exception, match=r"999.*CPU") as caught:
        submitor.submit(argv=["true"], resources=JobResources(cpu_count=999))

    assert isinstance(caught.value, SubmitError)
    assert submitor.list() == []


@pytest.mark.parametrize(
    ("argument", "value", "sentence"),
    [
        ("defaults", 3, "defaults must be a SubmitorDefaults, not an int"),
        ("defaults", JobResources(), "defaults must be a SubmitorDefaults, not a JobResources"),
        ("default_retry_policy", 3, "default_retry_policy must be a RetryPolicy, not an int"),
        ("retention_policy", 3, "retention_policy must be a RetentionPolicy, not an int"),
        ("event_bus", 3, "event_bus must be an EventBus, not an int"),
        ("jobs_dir", 3, "jobs_dir must be the path of a folder, not an int"),
        ("store", "/x/jobs.db", "store must be a JobStore, such as JobStore('jobs.db'), not a str"),
        ("profile_name", 3, "profile_name must be the name of a profile, not an int"),
        ("scheduler", 3, "scheduler must be the name of a scheduler, such as 'slurm', not an int"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_with_what_would_be_right(
    home: Path, argument: str, value: object, sentence: str
):
    with pytest.raises(ConfigError) as caught:
        Submitor("here", **{argument: value})

    assert str(caught.value) == sentence


@pytest.mark.parametrize("value", ["3", math.nan, True, [3]])
def test_a_timeout_that_is_no_number_is_refused_before_anything_is_waited_for(submitor: Submitor, value: object):
    handle = submitor.submit(argv=["true"])

    for wait in (submitor.watch, lambda **given: list(submitor.as_completed(**given)), handle.wait):
        with pytest.raises(ConfigError, match="timeout must be a number of seconds, not "):
            wait(timeout=value)
    with pytest.raises(ConfigError, match="timeout must be a number of seconds, not "):
        asyncio.run(anext(submitor.as_completed_async(timeout=value)))


def test_a_wait_without_end_may_be_written_as_such(submitor: Submitor):
    assert submitor.submit(argv=["true"]).wait(timeout=math.inf).state is JobState.SUCCEEDED


def test_a_handle_where_an_id_belongs_is_told_apart(submitor: Submitor):
    handle = submitor.submit(argv=["true"])

    with pytest.raises(ConfigError, match="after takes a list of job ids, not of a JobHandle; give its job_id"):
        submitor.submit(argv=["true"], after=[handle])
    with pytest.raises(ConfigError, match="job_ids takes a list of job ids, not of a JobHandle; give its job_id"):
        submitor.watch([handle])


@pytest.mark.parametrize("jobs_dir", ["", " "])
def test_a_folder_without_a_name_is_refused(home: Path, jobs_dir: str):
    with pytest.raises(ConfigError, match="jobs_dir is empty; give a folder, such as "):
        Submitor("here", jobs_dir=jobs_dir)


def test_a_retention_policy_of_the_wrong_kind_is_refused(submitor: Submitor):
    with pytest.raises(ConfigError, match="retention_policy must be a RetentionPolicy, not an int"):
        submitor.cleanup(retention_policy=3)


def test_another_process_sees_waits_for_and_cancels_the_same_jobs(submitor: Submitor):
    short, long = submitor.submit(argv=["sleep", "0.3"]), submitor.submit(argv=["sleep", "60"])
    code = (
        "import sys\nfrom molq import Submitor\n"
        "with Submitor('here') as s:\n"
        "    print(*[r.job_id for r in s.list()])\n"
        "    s.cancel(sys.argv[2])\n"
        "    print(*[r.state.value for r in s.watch(sys.argv[1:], timeout=30)])\n"
    )

    reply = subprocess.run(
        [sys.executable, "-c", code, short.job_id, long.job_id], capture_output=True, text=True, check=True
    )

    assert reply.stdout.split("\n")[:2] == [f"{short.job_id} {long.job_id}", "succeeded cancelled"]
    assert (short.status(), long.status()) == (JobState.SUCCEEDED, JobState.CANCELLED)


def test_a_submitor_for_a_job_closes_the_database_that_it_opened_and_no_other(submitor: Submitor, store: JobStore):
    job_id = submitor.submit(argv=["true"]).job_id

    with Submitor.for_job(job_id) as its_own:
        assert its_own.get(job_id).cluster_name == "here"
    with Submitor.for_job(job_id, store):
        pass

    with pytest.raises(StoreError, match="closed"):
        its_own.get(job_id)
    assert store.job(job_id).job_id == job_id


def test_a_submitor_of_another_cluster_does_not_touch_the_job(submitor: Submitor, store: JobStore):
    handle = submitor.submit(argv=["true"])
    other = Submitor("there", store=store)

    with pytest.raises(ConfigError, match="is on 'here'"):
        other.cancel(handle.job_id)
    with pytest.raises(JobNotFoundError, match="there is no job 'nonsense'"):
        other.watch(["nonsense"])
    handle.wait(_ENOUGH)


def test_a_missing_working_directory_is_named(submitor: Submitor, tmp_path: Path):
    folder = tmp_path / "gone"
    folder.mkdir()
    blocker = submitor.submit(argv=["true"])
    blocker.wait(_ENOUGH)
    with Submitor("here", jobs_dir=tmp_path / "jobs") as elsewhere:
        record = elsewhere.submit(argv=["true"], execution=JobExecution(cwd=tmp_path / "never-there")).wait(_ENOUGH)

    assert record.state is JobState.FAILED
    assert "never-there" in record.failure_reason
    assert "working directory" in record.failure_reason


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("never-there", "does not exist; make it, or give another with cwd"),
        ("file", "is no folder; give another with cwd"),
        ("file/below", "does not exist; make it, or give another with cwd"),
    ],
)
def test_a_job_that_would_have_its_folder_in_a_missing_working_directory_is_refused(
    submitor: Submitor, tmp_path: Path, name: str, sentence: str
):
    (tmp_path / "file").touch()

    with pytest.raises(ScriptError) as caught:
        submitor.submit(argv=["true"], execution=JobExecution(cwd=tmp_path / name))

    assert str(caught.value) == f"the working directory '{tmp_path / name}' {sentence}"
    assert submitor.list(include_terminal=True) == []


def test_the_home_folder_may_be_written_as_a_tilde_in_every_path(submitor: Submitor, tmp_path: Path):
    user = Path.home()
    user.mkdir()
    (user / "run.sh").write_text("pwd; echo problem >&2\n")
    execution = JobExecution(cwd="~", output_file="~/out.log", error_file="~/err.log")

    submitor.submit(script=Script.path("~/run.sh"), execution=execution).wait(_ENOUGH)

    assert ((user / "out.log").read_text(), (user / "err.log").read_text()) == (f"{user}\n", "problem\n")


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("cwd", lambda path: Submitor("here").submit(argv=["true"], execution=JobExecution(cwd=path))),
        ("output_file", lambda path: Submitor("here").submit(argv=["true"], execution=JobExecution(output_file=path))),
        ("error_file", lambda path: Submitor("here").submit(argv=["true"], execution=JobExecution(error_file=path))),
        ("jobs_dir", lambda path: Submitor("here", jobs_dir=path).submit(argv=["true"])),
        ("the script", lambda path: Submitor("here").submit(script=Script.path(path))),
        ("the path of the database", JobStore),
        ("the path of the profiles", load_config),
    ],
)
def test_the_home_of_nobody_is_refused_with_the_name_of_the_path(home: Path, name: str, use: Callable[[str], object]):
    with pytest.raises(ConfigError) as caught:
        use("~nosuchuser/x")

    assert str(caught.value) == (
        f"{name} is '~nosuchuser/x', and it is not known where the home '~nosuchuser' is; write the path in full"
    )


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("cwd", lambda path: Submitor("here").submit(argv=["true"], execution=JobExecution(cwd=path))),
        ("jobs_dir", lambda path: Submitor("here", jobs_dir=path).submit(
            argv=["true"], execution=JobExecution(cwd="/tmp"))),
        ("the path of the database", JobStore),
        ("the path of the profiles", load_config),
    ],
)  # fmt: skip
def test_a_relative_path_in_a_folder_that_is_gone_is_refused_with_its_name(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, use: Callable[[str], object]
):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(ConfigError) as caught:
        use("x")

    assert str(caught.value) == (
        f"{name} is 'x', which begins at the current directory, and that does not exist any more; "
        "change to another, or write the path in full"
    )


def _is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
