"""The command line follows attempts and knows elements, and says where a request's values come from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from molq import JobStore
from molq_slurm.testing import FakeSlurm

Molq = Callable[..., subprocess.CompletedProcess[str]]

_SECOND_TIME = "echo try; test -e marker || { touch marker; exit 7; }"


def _retried(molq: Molq) -> str:
    """Run a job that succeeds in its second attempt, and return its id."""
    reply = molq("submit", "local", "--retries", "1", "--retry-wait", "0s", "--block", "--shell", _SECOND_TIME)
    assert reply.returncode == 0, reply.stderr
    assert reply.stdout == "try\ntry\n"
    (job_id,) = {job["root_job_id"] for job in json.loads(molq("list", "--all", "--json").stdout)}
    return job_id


def _submitted_twice(molq: Molq) -> str:
    """Submit a job whose second attempt goes on for a minute, and return its id."""
    code = "test -e marker && exec sleep 60; touch marker; exit 7"
    failed = molq("submit", "local", "--block", "--json", "--shell", code)
    assert failed.returncode == 7
    job_id: str = json.loads(failed.stdout)["job_id"]
    assert molq("retry", job_id).returncode == 0
    return job_id


def _array(molq: Molq, fake_slurm: FakeSlurm, command: str = "echo said by $SLURM_ARRAY_TASK_ID") -> str:
    reply = molq("submit", "slurm", "--array", "0-2", "--shell", command)
    assert reply.returncode == 0, reply.stderr
    return reply.stdout.split()[0]


def test_blocking_shows_every_attempt_and_ends_as_the_last(molq: Molq):
    reply = molq("submit", "local", "--retries", "1", "--retry-wait", "0s", "--block", "--shell", "echo try; exit 7")

    assert (reply.returncode, reply.stdout) == (7, "try\ntry\n")
    assert "molq: attempt 1 is failed (ended with exit code 7); here is the next\n" in reply.stderr
    assert re.search(r"failed \(attempt 2\) after .*: ended with exit code 7$", reply.stderr.strip())


def test_a_history_shows_all_attempts_and_all_steps(molq: Molq):
    job_id = _retried(molq)

    shown = molq("history", job_id).stdout
    told = json.loads(molq("history", job_id, "--json").stdout)

    assert [line.split()[3] for line in shown.splitlines()[1:3]] == ["failed", "succeeded"]
    assert "attempt 2 of 2, since attempt 1 is failed" in shown
    assert [attempt["attempt"] for attempt in told["attempts"]] == [1, 2]
    assert told["transitions"][0]["new_state"] == "created"


def test_a_history_of_all_shows_the_latest_that_are_over(molq: Molq):
    assert molq("history").stdout.startswith("no job is over yet")
    retried = _retried(molq)
    other = molq("submit", "local", "--block", "--json", "--", "true")

    shown = json.loads(molq("history", "--json").stdout)
    assert [(job["root_job_id"], job["attempt"], job["state"]) for job in shown] == [
        (json.loads(other.stdout)["job_id"], 1, "succeeded"),
        (retried, 2, "succeeded"),
    ][::-1]
    assert re.search(r"attempt 2\b", molq("history").stdout)
    assert len(json.loads(molq("history", "--json", "-n", "1").stdout)) == 1


def test_a_history_of_all_leaves_out_a_job_that_is_tried_again(molq: Molq):
    job_id = _submitted_twice(molq)

    reply = molq("history")

    assert reply.stdout.startswith("no job is over yet")
    molq("cancel", job_id)


def test_status_and_logs_are_of_the_latest_attempt(molq: Molq):
    job_id = _retried(molq)

    assert " succeeded " in molq("status", job_id).stdout
    assert molq("logs", job_id).stdout == "try\n"
    assert molq("watch", job_id).returncode == 0


def test_inspect_shows_the_latest_attempt_unless_another_is_named(molq: Molq, store: JobStore):
    job_id = _retried(molq)
    first, second = store.family(job_id)

    def shown(*arguments: str) -> str:
        told: str = json.loads(molq("inspect", *arguments, "--json").stdout)["job_id"]
        return told

    assert shown(job_id) == shown(second.job_id) == shown(first.job_id, "--attempt", "2") == second.job_id
    assert shown(job_id, "--attempt", "1") == first.job_id
    assert molq("inspect", job_id, "--attempt", "3").stderr.endswith("has 2 attempts, and no attempt 3\n")


def test_a_job_is_tried_again_by_hand_under_its_own_id(molq: Molq):
    failed = molq("submit", "local", "--block", "--shell", "exit 4")
    assert failed.returncode == 4
    (job,) = json.loads(molq("list", "--all", "--json").stdout)

    reply = molq("retry", job["job_id"][:8])

    assert reply.returncode == 0
    assert reply.stdout.startswith(f"{job['job_id'][:8]}  attempt 2 (")
    assert molq("watch", job["job_id"]).returncode == 4


def test_a_job_that_is_active_is_not_tried_again(molq: Molq):
    molq("submit", "local", "--", "sleep", "60")
    (job,) = json.loads(molq("list", "--json").stdout)

    reply = molq("retry", job["job_id"])

    assert reply.returncode == 1
    assert "only a job that is over can be tried again; wait for its end, or cancel it first" in reply.stderr
    molq("cancel", job["job_id"])


def test_a_later_attempt_is_cancelled_under_the_id_that_the_job_was_submitted_by(molq: Molq):
    job_id = _submitted_twice(molq)

    reply = molq("cancel", job_id)

    assert (reply.returncode, reply.stderr) == (0, "")
    assert reply.stdout.startswith(f"{job_id[:8]}  ")


def test_an_element_of_a_later_attempt_is_cancelled_under_the_id_of_its_job(molq: Molq, fake_slurm: FakeSlurm):
    job_id = _array(molq, fake_slurm, "exit 1")
    for index in range(3):
        fake_slurm.run(f"1_{index}")
    assert molq("watch", job_id).returncode == 1
    assert molq("retry", job_id).returncode == 0

    reply = molq("cancel", f"{job_id}.1")

    assert (reply.returncode, reply.stderr) == (0, "")
    assert reply.stdout == f"{job_id[:8]}.1  cancelled\n"


def test_an_array_has_a_log_for_each_element(molq: Molq, fake_slurm: FakeSlurm):
    job_id = _array(molq, fake_slurm)
    for index in range(3):
        fake_slurm.run(f"1_{index}")

    assert molq("logs", f"{job_id[:8]}.1").stdout == "said by 1\n"
    assert f"is an array; give the element too, such as {job_id[:8]}.0" in molq("logs", job_id).stderr
    assert f"job {job_id} has no element 9" in molq("logs", f"{job_id}.9").stderr
    assert "names no element of an array; write ID.INDEX" in molq("logs", f"{job_id}.x").stderr


def test_blocking_shows_what_each_element_of_an_array_writes(fake_slurm: FakeSlurm):
    code = "echo said by $SLURM_ARRAY_TASK_ID; echo sighed by $SLURM_ARRAY_TASK_ID >&2"
    program = Path(sys.executable).with_name("molq")
    command = [program, "submit", "slurm", "--array", "1-2", "--block", "--shell", code]

    with Path("out").open("wb") as out, Path("err").open("wb") as err:
        blocked = subprocess.Popen(command, stdout=out, stderr=err)
    _wait_until(lambda: len(fake_slurm.jobs()) == 2)
    fake_slurm.run("1_2")
    _wait_until(lambda: Path("out").read_text() == "said by 2\n")
    fake_slurm.run("1_1")

    assert blocked.wait(timeout=60) == 0
    assert Path("out").read_text() == "said by 2\nsaid by 1\n"
    told = Path("err").read_text()
    assert told.startswith("molq: element 2:\nsighed by 2\nmolq: element 1:\nsighed by 1\nmolq: ")
    assert " succeeded after " in told


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_log_of_an_element_is_told_by_the_elements_own_state(molq: Molq, fake_slurm: FakeSlurm):
    job_id = _array(molq, fake_slurm)
    fake_slurm.run("1_0")
    molq("cancel", f"{job_id}.2")

    followed = molq("logs", "-f", f"{job_id}.0")
    cancelled = molq("logs", "-f", f"{job_id}.2")
    waiting = molq("logs", f"{job_id}.1")

    assert (followed.returncode, followed.stdout) == (0, "said by 0\n")
    assert cancelled.stderr.endswith(": it was cancelled before it wrote one\n")
    assert waiting.stderr.endswith(": it has not started yet\n")


def test_a_log_that_is_gone_is_told_by_how_the_job_ended(molq: Molq):
    job_id = json.loads(molq("submit", "local", "--block", "--json", "--", "true").stdout)["job_id"]
    Path(f".molq/jobs/{job_id}/stdout.log").unlink()

    reply = molq("logs", job_id)

    assert reply.returncode == 2
    assert reply.stderr.endswith(": it succeeded, and the file was deleted since, or never written\n")


def test_an_element_is_cancelled_alone(molq: Molq, fake_slurm: FakeSlurm):
    job_id = _array(molq, fake_slurm)
    fake_slurm.start("1_0")

    reply = molq("cancel", f"{job_id[:8]}.0", f"{job_id[:8]}.2")

    assert reply.returncode == 0, reply.stderr
    assert reply.stdout.splitlines() == [f"{job_id[:8]}.0  cancelled", f"{job_id[:8]}.2  cancelled"]
    states = {e["index"]: e["state"] for e in json.loads(molq("inspect", job_id, "--json").stdout)["elements"]}
    assert states == {0: "cancelled", 1: "queued", 2: "cancelled"}
    assert re.search(r"^0,2 +cancelled", molq("inspect", job_id).stdout, re.MULTILINE)


@pytest.mark.parametrize("command", ["status", "inspect", "watch", "retry", "history"])
def test_a_command_that_takes_no_element_says_which_do(molq: Molq, fake_slurm: FakeSlurm, command: str):
    job_id = _array(molq, fake_slurm)

    reply = molq(command, f"{job_id[:8]}.1")

    assert reply.returncode == 2
    assert reply.stderr == (
        f"molq: error: only molq logs and molq cancel take an element of an array, such as '{job_id[:8]}.1'; "
        f"molq inspect {job_id[:8]} shows all elements\n"
    )


def test_a_cancel_that_did_not_reach_the_scheduler_says_that_it_is_to_be_repeated(molq: Molq, fake_slurm: FakeSlurm):
    job_id = molq("submit", "slurm", "--", "true").stdout.split()[0]
    fake_slurm.hang()

    reply = molq("cancel", job_id)

    fake_slurm.come_back()
    assert reply.returncode == 1
    assert f"; job {job_id} was not cancelled, and goes on: cancel it again later\n" in reply.stderr


def test_states_that_may_be_old_say_for_how_long(molq: Molq, fake_slurm: FakeSlurm):
    molq("submit", "slurm", "--", "true")
    molq("list")
    fake_slurm.hang()

    reply = molq("list")

    fake_slurm.come_back()
    told = r"^molq: slurm: states may be old \(stale for [\d.hms]+\): "
    assert re.search(told, reply.stderr, re.MULTILINE)
    (job,) = json.loads(molq("list", "--no-refresh", "--json").stdout)
    for command in (("list",), ("status", job["job_id"])):
        assert re.search(told, molq(*command, "--no-refresh").stderr, re.MULTILINE)


def test_a_job_that_waits_in_molq_is_submitted_well(molq: Molq, fake_slurm: FakeSlurm):
    parent = molq("submit", "slurm", "--retries", "1", "--", "true").stdout.split()[0]

    reply = molq("submit", "slurm", "--after-failure", parent[:8], "--", "true")

    assert reply.returncode == 0
    assert f"waits in molq for job {parent} (after_failure), since it may be tried again" in reply.stdout


def test_variables_come_from_a_file_and_the_command_line_wins(molq: Molq):
    Path("env").write_text("# mine\nA=1\nexport B='x y'\n\nC=\n")

    reply = molq("submit", "local", "--env-file", "env", "-e", "A=2", "--block", "--shell", 'echo "$A|$B|$C"')

    assert reply.stdout == "2|x y|\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"A=1\nsecret\n", "line 2 of 'env' is not NAME=VALUE"),
        (b"A=\xff\n", "cannot read the variables in 'env': it is not"),
    ],
)
def test_a_file_of_variables_that_cannot_be_read_is_named_without_its_values(molq: Molq, content: bytes, sentence: str):
    Path("env").write_bytes(content)

    reply = molq("submit", "local", "--env-file", "env", "--", "true")

    assert reply.returncode == 2
    assert sentence in reply.stderr
    assert "secret" not in reply.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--retry-wait", "5s"), "say how often the job is to be tried again with --retries N"),
        (("--retries", "2", "--memory", "1G", "--more-memory", "much"), "--more-memory takes FACTOR or FACTOR:CAP"),
        (
            ("--retries", "2", "--time", "1m", "--more-time", "1"),
            "the factor of --more-time must be a number of more",
        ),
        (("--retries", "2", "--more-memory", "2:64G"), "--more-memory multiplies what --memory asks for"),
        (("--retries", "2", "--more-time", "2", "--memory", "1G"), "asks for nothing; give --time too"),
        (("--retries", "-1"), "'--retries': '-1' is no whole number from 0 to 999999"),
        (("--retries", "9" * 20), "'--retries': '99999999999999999999' is no whole number from 0 to 999999"),
        (("--retries", "1", "--retry-on-exit-code", "300"), "'300' is no whole number from 0 to 255"),
    ],
)
def test_a_retry_policy_that_makes_no_sense_is_one_sentence(molq: Molq, arguments: tuple[str, ...], sentence: str):
    reply = molq("submit", "local", *arguments, "--", "true")

    assert reply.returncode == 2
    assert reply.stderr.count("\n") == 1
    assert sentence in reply.stderr


def test_a_whole_policy_can_be_typed(molq: Molq, store: JobStore):
    options = ("--retries", "4", "--retry-on", "lost", "--retry-on", "failed", "--retry-on-exit-code", "75")
    more = ("--retry-wait", "10m", "--more-memory", "2:64G", "--more-time", "1.5")
    limits = ("--memory", "16M", "--time", "1h")
    job_id = molq("submit", "local", *options, *more, *limits, "--", "true").stdout.split()[0]

    assert store.request(job_id)["retry"] == {
        "max_attempts": 5,
        "retry_on_states": ["lost", "failed"],
        "retry_on_exit_codes": [75],
        "backoff": {"initial_seconds": 600.0, "maximum_seconds": 600.0},
        "escalate": {"memory_factor": 2.0, "memory_cap": "64G", "time_factor": 1.5},
    }


def test_a_dry_run_prints_the_script_alone_and_says_where_each_value_comes_from(
    molq: Molq, fake_slurm: FakeSlurm, home: Path
):
    home.mkdir(mode=0o700, exist_ok=True)
    config = home / "config.toml"
    config.write_text(
        '[profiles.gpu]\nscheduler = "slurm"\ndefaults.resources.memory = "32G"\n'
        'defaults.execution.env.TOKEN = "secret"\nretry.max_attempts = 3\n'
    )
    os.chmod(config, 0o600)

    reply = molq("submit", "-p", "gpu", "--cpus", "4", "-o", "gpu_flag=gpus", "--dry-run", "--", "true")

    assert reply.returncode == 0
    assert reply.stdout.startswith("#!/bin/sh\n#SBATCH")
    rows = {row[0]: row[1:] for row in (re.split(r"  +", line) for line in reply.stderr.splitlines())}
    assert rows["resources.memory"] == ["32G", "profile gpu"]
    assert rows["resources.cpu_count"] == ["4", "the command line"]
    assert rows["option gpu_flag"] == ["gpus", "the command line"]
    assert rows["retry.max_attempts"] == ["3", "profile gpu"]
    assert rows["execution.env.TOKEN"] == ["(not shown)", "profile gpu"]
    assert "secret" not in reply.stdout + reply.stderr
    assert fake_slurm.jobs() == ()


_PROFILE = """\
[profiles.gpu]
scheduler = "slurm"
defaults.scheduling.dependency = "afterok:99"
retry.max_attempts = 3
retry.retry_on_exit_codes = [75]
retry.backoff = { mode = "fixed", initial_seconds = 60.0 }
retry.escalate = { memory_factor = 2.0 }
defaults.resources.time_limit = "1h"
"""


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("--retries", "4"), {"retry.max_attempts": ("5", "the command line")}),
        (("--retries", "0"), {"retry.max_attempts": ("1", "the command line")}),
        (("--retry-wait", "90s"), {"retry.backoff.initial_seconds": ("90.0", "the command line")}),
        (("--more-time", "1.5"), {"retry.escalate.time_factor": ("1.5", "the command line")}),
        (("--after-success", "ID"), {"after_success": ("ID", "the command line"), "scheduling.dependency": None}),
        (("--dependency", "after:9"), {"scheduling.dependency": ("after:9", "the command line")}),
    ],
)
def test_a_dry_run_tells_what_is_typed_from_what_a_profile_says_field_by_field(
    molq: Molq, fake_slurm: FakeSlurm, home: Path, typed: tuple[str, ...], told: dict[str, tuple[str, str] | None]
):
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "config.toml").write_text(_PROFILE)
    os.chmod(home / "config.toml", 0o600)
    upstream = json.loads(molq("submit", "slurm", "-c", "gpu", "--json", "--", "true").stdout)["job_id"]
    arguments = [part.replace("ID", upstream) for part in typed]

    reply = molq("submit", "-p", "gpu", *arguments, "--dry-run", "--", "true")

    assert reply.returncode == 0, reply.stderr
    rows = {row[0]: tuple(row[1:]) for row in (re.split(r"  +", line) for line in reply.stderr.splitlines())}
    usual = {
        "retry.max_attempts": "3", "retry.retry_on_exit_codes": "75", "retry.backoff.mode": "fixed",
        "retry.backoff.initial_seconds": "60.0", "retry.escalate.memory_factor": "2.0",
        "scheduling.dependency": "afterok:99",
    }  # fmt: skip
    wanted = {name: (value, "profile gpu") for name, value in usual.items()}
    wanted |= {name: row and (row[0].replace("ID", upstream), row[1]) for name, row in told.items()}
    about = ("retry.", "scheduling.", "after_")
    assert {n: row for n, row in rows.items() if n.startswith(about)} == {n: row for n, row in wanted.items() if row}


def test_a_dry_run_shows_values_as_people_write_them(molq: Molq, fake_slurm: FakeSlurm):
    options = ("--exclusive", "--retries", "2", "--retry-on", "failed", "--retry-on", "lost", "--memory", "8G")

    reply = molq("submit", "slurm", *options, "--dry-run", "--", "true")

    rows = {row[0]: row[1] for row in (re.split(r"  +", line) for line in reply.stderr.splitlines())}
    assert rows["scheduling.exclusive_node"] == "true"
    assert rows["retry.retry_on_states"] == "failed, lost"
    assert rows["resources.memory"] == "8G"


def test_a_dry_run_as_json_is_json_alone(molq: Molq, fake_slurm: FakeSlurm):
    reply = molq("submit", "slurm", "--cpus", "2", "--dry-run", "--json", "--", "true")

    told = json.loads(reply.stdout)
    assert reply.stderr == ""
    assert told["script"].startswith("#!/bin/sh\n#SBATCH")
    assert {"field": "resources.cpu_count", "value": "2", "from": "the command line"} in told["values"]


def test_blocking_with_json_prints_json_alone(molq: Molq):
    reply = molq("submit", "local", "--block", "--json", "--shell", "printf out; printf err >&2")

    assert json.loads(reply.stdout)["state"] == "succeeded"
    assert sorted([reply.stderr[:3], reply.stderr[3:]]) == ["err", "out"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_retry_exits_with_1_if_the_scheduler_refuses_the_attempt(
    molq: Molq, fake_slurm: FakeSlurm, options: tuple[str, ...]
):
    molq("submit", "slurm", "--queue", "no-such", "--", "true")
    (record,) = json.loads(molq("list", "--all", "--json").stdout)

    reply = molq("retry", record["job_id"], *options)

    assert reply.returncode == 1
