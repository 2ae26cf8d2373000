"""Profiles on the command line, as a user types it."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from molq_slurm.testing import FakeSlurm

Molq = Callable[..., "subprocess.CompletedProcess[str]"]

_FILE = """\
[profiles.here]
scheduler = "local"
cluster_name = "mine"

[profiles.here.defaults.resources]
cpu_count = 1
memory = "64M"

[profiles.here.defaults.execution.env]
GREETING = "hi"
NAME = "you"

[profiles.here.scheduler_options]
kill_grace = "2s"
max_concurrent = 2
"""


@pytest.fixture
def file(home: Path) -> Path:
    home.mkdir(mode=0o700)
    path = home / "config.toml"
    path.write_text(_FILE)
    path.chmod(0o600)
    return path


def _job(molq: Molq, *arguments: str) -> dict[str, object]:
    reply = molq("submit", "--json", *arguments)
    assert reply.returncode == 0, reply.stderr
    job_id = json.loads(reply.stdout)["job_id"]
    molq("watch", job_id)
    return json.loads(molq("inspect", "--json", job_id).stdout)


def test_a_newcomer_comes_from_nothing_to_a_job(molq: Molq, home: Path):
    replies = [
        molq("profile", "list"),
        molq("profile", "init"),
        molq("profile", "set", "local", "defaults.resources.memory", "64M"),
        molq("profile", "show", "local"),
        molq("submit", "--profile", "local", "--block", "--", "echo", "hello"),
    ]

    assert [reply.returncode for reply in replies] == [0] * 5, [reply.stderr for reply in replies]
    assert replies[0].stdout == f"no profiles; begin {home / 'config.toml'} with: molq profile init\n"
    assert re.search(r"^defaults\.resources\.memory +64M +file$", replies[3].stdout, re.MULTILINE)
    assert re.search(r"^cluster_name +local +default$", replies[3].stdout, re.MULTILINE)
    assert replies[4].stdout == "hello\n"


def test_the_file_to_begin_with_loads_with_and_without_its_examples(molq: Molq, home: Path):
    molq("profile", "init")
    file = home / "config.toml"
    text = file.read_text()
    examples = re.sub(r"^# ([\w.]+ = )", r"\1", text, flags=re.MULTILINE)
    listed = json.loads(molq("profile", "list", "--json").stdout)
    file.write_text(examples)
    listed_with_examples = json.loads(molq("profile", "list", "--json").stdout)

    assert examples != text
    assert {row["name"]: row["status"] for row in listed}.items() >= {("local", "ok"), ("slurm", "ok")}
    assert listed_with_examples == listed
    local = tomllib.loads(examples)["profiles"]["local"]
    assert "queue" not in local["defaults"]["scheduling"]
    assert local["defaults"]["resources"]["memory"] == "8G"
    assert {"max_concurrent", "cpu_count", "memory", "kill_grace"} <= local["scheduler_options"].keys()
    assert local["retry"]["backoff"] == {"initial_seconds": 60}


def test_each_example_of_the_file_to_begin_with_can_be_taken_alone(molq: Molq, home: Path):
    molq("profile", "init")
    file = home / "config.toml"
    text = file.read_text()
    section = text.partition("[profiles.local.defaults.resources]\n")
    assert section[2].startswith("# cpu_count = 4\n")

    file.write_text(section[0] + section[1] + section[2].removeprefix("# "))
    shown = json.loads(molq("profile", "show", "local", "--json").stdout)["settings"]

    assert shown["defaults.resources.cpu_count"] == {"value": 4, "from": "file"}


def test_init_leaves_a_file_alone(molq: Molq, file: Path):
    reply = molq("profile", "init")

    assert reply.returncode == 2
    assert "is there already; it was left as it is" in reply.stderr
    assert file.read_text() == _FILE


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_is_no_dead_end(molq: Molq, file: Path, text: str):
    file.write_text(text)

    listed = molq("profile", "list").stdout
    refused = molq("profile", "init")
    done = molq("profile", "set", "here", "scheduler", "local")

    assert listed == f"no profiles; begin {file} with: molq profile set NAME scheduler SCHEDULER\n"
    assert refused.stderr.endswith("Begin a profile in it with: molq profile set NAME scheduler SCHEDULER\n")
    assert done.returncode == 0
    assert '[profiles.here]\nscheduler = "local"\n' in file.read_text()


def test_a_job_of_a_profile_has_its_settings_and_its_name(molq: Molq, file: Path):
    job = _job(molq, "--profile", "here", "--shell", "echo $GREETING $NAME")

    assert (job["profile_name"], job["cluster_name"], job["scheduler"]) == ("here", "mine", "local")
    assert job["request"]["resources"] == {"cpu_count": 1, "memory": "64M"}
    assert job["request"]["options"] == {"max_concurrent": 2, "kill_grace": "2s"}
    assert Path(job["stdout_path"]).read_text() == "hi you\n"


def test_what_is_typed_wins_over_the_profile_field_by_field(molq: Molq, file: Path):
    job = _job(
        molq, "-p", "here", "-c", "other", "--memory", "32M", "-e", "NAME=me", "-o", "max_concurrent=1",
        "--shell", "echo $GREETING $NAME",
    )  # fmt: skip

    assert (job["profile_name"], job["cluster_name"]) == ("here", "other")
    assert job["request"]["resources"] == {"cpu_count": 1, "memory": "32M"}
    assert job["request"]["options"] == {"max_concurrent": 1, "kill_grace": "2s"}
    assert Path(job["stdout_path"]).read_text() == "hi me\n"


def test_the_retry_policy_of_a_profile_holds_and_gives_way_field_by_field(molq: Molq, file: Path):
    file.write_text(
        f"{_FILE}[profiles.here.retry]\nmax_attempts = 2\nretry_on_exit_codes = [75]\n"
        "backoff = {mode = 'fixed', initial_seconds = 0}\nescalate = {memory_factor = 2, memory_cap = '1G'}\n"
    )
    policy = {
        "max_attempts": 2,
        "retry_on_exit_codes": [75],
        "backoff": {"mode": "fixed", "initial_seconds": 0},
        "escalate": {"memory_factor": 2, "memory_cap": "1G"},
    }

    job = _job(molq, "-p", "here", "--shell", "exit 75")
    more = _job(molq, "-p", "here", "--retries", "2", "--", "true")

    assert job["request"]["retry"] == policy
    assert more["request"]["retry"] == {**policy, "max_attempts": 3}
    attempts = json.loads(molq("history", job["root_job_id"], "--json").stdout)["attempts"]
    assert [attempt["profile_name"] for attempt in attempts] == ["here", "here"]


@pytest.mark.parametrize(
    ("typed", "is_exclusive"), [((), True), (("--exclusive",), True), (("--no-exclusive",), False)]
)
def test_nodes_that_a_profile_wants_alone_can_be_shared(
    molq: Molq, file: Path, fake_slurm: FakeSlurm, typed: tuple[str, ...], is_exclusive: bool
):
    file.write_text(
        '[profiles.gpu]\nscheduler = "slurm"\ndefaults.scheduling = { queue = "q", exclusive_node = true }\n'
    )

    reply = molq("submit", "-p", "gpu", *typed, "--dry-run", "--", "true")

    assert ("#SBATCH --exclusive" in reply.stdout) is is_exclusive
    assert ("scheduling.exclusive_node" in reply.stderr) is is_exclusive
    assert "#SBATCH --partition=q" in reply.stdout


def test_a_profile_of_slurm_reaches_slurm(molq: Molq, home: Path, fake_slurm: FakeSlurm):
    for key, value in {
        "scheduler": "slurm",
        "defaults.scheduling.queue": "gpu",
        "defaults.resources.time_limit": "04:00:00",
        "defaults.resources.memory": "8G",
        "scheduler_options.memory_flag": "mem-per-cpu",
    }.items():
        assert molq("profile", "set", "big", key, value).returncode == 0

    script = molq("submit", "-p", "big", "--dry-run", "--time", "1h", "--", "./work").stdout

    assert "#SBATCH --partition=gpu" in script
    assert "#SBATCH --time=01:00:00" in script
    assert "#SBATCH --mem-per-cpu=8G" in script


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-p", "here", "echo", "-n", "hi"), "and 'echo' before it; try: molq submit -p here -- echo -n hi; see: "),
        (("local", "-p", "here"), "'local' has no place before --; try: molq submit --profile here -- COMMAND"),
        (
            ("local", "-p", "here", "--", "true"),
            "'local' has no place before --; try: molq submit --profile here -- tr",
        ),
        (("-p", "her", "--", "true"), "there is no profile 'her'"),
        (("-p", "here"), "there is nothing to run; give a command behind --"),
        (("-p",), "Option '-p' requires an argument"),
        (("--", "true"), "name a scheduler, or a profile with --profile; see: molq submit --help"),
        ((), "name a scheduler, or a profile with --profile"),
        (("-p", "here", "-o", "colour=red", "--", "true"), "has no option 'colour'"),
        (("-p", "here", "--queue", "x", "--", "true"), "does not support queue"),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(molq: Molq, file: Path, arguments: tuple[str, ...], sentence: str):
    reply = molq("submit", *arguments)

    assert (reply.returncode, reply.stdout) == (2, "")
    assert sentence in reply.stderr
    assert reply.stderr.count("\n") == 1
    assert molq("list", "--all", "--json").stdout == "[]\n"


def test_dashes_in_a_command_are_the_commands(molq: Molq, file: Path):
    assert molq("submit", "local", "--block", "--", "echo", "--", "-p", "x").stdout == "-- -p x\n"


def test_every_mistake_of_a_profile_stands_in_a_line_of_its_own(molq: Molq, file: Path):
    file.write_text("[profiles.p]\nscheduler = 'local'\nmemory = '1G'\nretry.max_attempts = 0\n")

    reply = molq("submit", "-p", "p", "--", "true")

    assert reply.returncode == 2
    assert reply.stderr.splitlines()[0] == f"molq: error: '{file}' has 2 mistakes:"
    assert reply.stderr.splitlines()[2] == (
        "  profiles.p.retry.max_attempts: must be a whole number of at least 1, not 0"
    )


def test_a_file_that_others_can_write_is_refused_by_all_commands(molq: Molq, file: Path):
    file.chmod(0o666)

    replies = [
        molq("submit", "-p", "here", "--", "true"),
        molq("doctor", "-p", "here"),
        molq("profile", "list"),
        molq("profile", "show", "here"),
        molq("profile", "set", "here", "jobs_dir", "x"),
        molq("profile", "unset", "here"),
    ]

    assert {reply.returncode for reply in replies} == {2}
    assert all(f"chmod go-w {file}" in reply.stderr for reply in replies)
    assert file.read_text() == _FILE


def test_a_broken_file_hinders_no_command_without_a_profile(molq: Molq, file: Path):
    file.write_text("this is no TOML")

    assert molq("submit", "local", "--block", "--", "echo", "hi").stdout == "hi\n"
    assert molq("list", "--all").returncode == 0


def test_list_shows_broken_profiles_beside_good_ones(molq: Molq, file: Path):
    file.write_text(_FILE + "[profiles.bad]\nscheduler = 'nope'\n[profile.typo]\n")

    reply = molq("profile", "list", "--json")
    rows = {row["name"]: row for row in json.loads(reply.stdout)}

    assert reply.returncode == 0
    assert rows["here"] == {
        "name": "here", "scheduler": "local", "cluster_name": "mine", "status": "ok", "problems": [],
    }  # fmt: skip
    assert "there is no scheduler 'nope'" in rows["bad"]["status"]
    assert "profile: there is no such key; did you mean 'profiles'?" in reply.stderr
    assert re.search(r"^here +local +mine +ok$", molq("profile", "list").stdout, re.MULTILINE)


def test_list_tells_of_a_profile_whose_every_submission_is_refused(molq: Molq, file: Path):
    file.write_text(
        _FILE + "[profiles.bad]\nscheduler = 'local'\ndefaults.scheduling = { qos = 'q', node_count = 2 }\n"
    )

    rows = {row["name"]: row for row in json.loads(molq("profile", "list", "--json").stdout)}
    submitted = molq("submit", "-p", "bad", "--", "true")

    why = "scheduler 'local' does not support node_count 2, qos; drop them, or submit to a scheduler that does"
    assert rows["bad"] == {
        "name": "bad", "scheduler": "local", "cluster_name": "bad", "status": f"submissions are refused: {why}",
        "problems": [],
    }  # fmt: skip
    assert rows["here"]["status"] == "ok"
    assert (submitted.returncode, submitted.stderr) == (2, f"molq: error: {why}\n")


def test_list_counts_the_mistakes_of_a_profile_that_has_several(molq: Molq, file: Path):
    file.write_text("[profiles.p]\nscheduler = 'local'\nmemroy = 1\nretry.attempts = 3\njobs_dri = 'x'\n")

    listed = molq("profile", "list").stdout
    (row,) = json.loads(molq("profile", "list", "--json").stdout)

    assert re.search(r"^p +- +- +3 mistakes; see: molq profile show p$", listed, re.MULTILINE)
    assert len(row["problems"]) == 3
    assert all("profiles.p" in problem for problem in row["problems"])


def test_show_tells_what_holds_and_keeps_secrets(molq: Molq, file: Path):
    shown = json.loads(molq("profile", "show", "here", "--json").stdout)
    table = molq("profile", "show", "here").stdout

    assert (shown["name"], shown["file"]) == ("here", str(file))
    assert shown["settings"]["defaults.resources.memory"] == {"value": "64M", "from": "file"}
    assert shown["settings"]["defaults.resources.gpu_count"] == {"value": None, "from": "default"}
    assert shown["settings"]["scheduler_options.idle_seconds"] == {"value": 5.0, "from": "default"}
    assert "defaults.execution.env.GREETING" in table
    assert " hi" not in table
    assert "gpu_count" not in table


def test_set_and_unset_say_what_they_did(molq: Molq, file: Path):
    first = molq("profile", "set", "here", "retry.retry_on_states", "failed,lost")
    second = molq("profile", "unset", "here", "defaults.execution")
    third = molq("profile", "unset", "here")

    assert first.stdout == f"{file}: here: retry.retry_on_states = failed, lost\n"
    assert second.stdout == f"{file}: here: defaults.execution is not set any more\n"
    assert third.stdout == f"{file}: here is gone\n"
    assert tomllib.loads(file.read_text()) == {}


def test_set_does_not_repeat_the_value_of_a_variable(molq: Molq, file: Path):
    reply = molq("profile", "set", "here", "defaults.execution.env.SECRET", "abc")

    assert reply.stdout == f"{file}: here: defaults.execution.env.SECRET = (not shown)\n"
    assert "abc" in file.read_text()


def test_a_value_may_begin_with_a_dash(molq: Molq, file: Path):
    reply = molq("profile", "set", "here", "defaults.scheduling.priority", "-10")
    refused = molq("profile", "set", "here", "retry.max_attempts", "-4")

    assert reply.returncode == 0, reply.stderr
    assert "must be a whole number of at least 1, not -4" in refused.stderr


def test_an_edit_that_leaves_a_mistake_says_so(molq: Molq, file: Path):
    file.write_text("[profiles.p]\nscheduler = 'local'\nmemory = '1G'\njobs_dri = 'x'\n")

    reply = molq("profile", "unset", "p", "memory")

    assert reply.returncode == 0
    assert "molq: the profile cannot be used yet: " in reply.stderr
    assert "jobs_dri: there is no such key; did you mean 'jobs_dir'?" in reply.stderr


def test_doctor_takes_a_profile_instead_of_a_scheduler(molq: Molq, file: Path):
    found = molq("doctor", "--profile", "here", "--json")
    both = molq("doctor", "local", "--profile", "here")
    none = molq("doctor")

    assert found.returncode == 0
    assert "capacity" in {finding["name"] for finding in json.loads(found.stdout)}
    assert [reply.returncode for reply in (both, none)] == [2, 2]
    assert "give either a scheduler or a profile with --profile; see: molq doctor --help" in none.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("frob",), "No such command 'frob'; see: molq profile --help"),
        (("show",), "Missing argument 'NAME'"),
        (("set", "here"), "Missing argument 'KEY'"),
        (("set", "here", "defaults.memory", "1G"), "defaults has no key 'memory'; there are resources, scheduling"),
        (("set", "here", "memory", "1G"), "a profile has no key 'memory'; there are scheduler, cluster_name"),
        (("set", "her", "jobs_dir", "x"), "begin one with: molq profile set her scheduler SCHEDULER"),
        (("set", "", "scheduler", "local"), 'profiles."": the name of a profile must be printable and not empty'),
        (("unset", "here", "retry"), "profile 'here' does not set 'retry'"),
    ],
)
def test_misuse_of_profile_is_one_sentence(molq: Molq, file: Path, arguments: tuple[str, ...], sentence: str):
    reply = molq("profile", *arguments)

    assert (reply.returncode, reply.stdout) == (2, "")
    assert reply.stderr.startswith("molq: error: ")
    assert reply.stderr.count("\n") == 1
    assert sentence in reply.stderr
    assert file.read_text() == _FILE
