"""Requests as scripts."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molq.backend import Duration, JobResources, JobScheduling, Memory, SubmitRejected, SubmitRequest
from molq_pbs import PBSSchedulerOptions
from molq_pbs.array_ranges import cover
from molq_pbs.directives import render_script, safe_name
from molq_pbs.testing.qsub_options import parse


def request(
    resources=None, scheduling=None, *, name="job", job_dir="/d", dependency=None, body="echo body\n", **options
):
    return SubmitRequest(
        job_id="tag",
        job_name=name,
        job_dir=Path(job_dir),
        body=body,
        cwd=Path("/w"),
        stdout_path=Path(job_dir) / "stdout.log",
        stderr_path=Path(job_dir) / "stderr.log",
        resources=resources or JobResources(),
        scheduling=scheduling or JobScheduling(),
        dependency=dependency,
        options=PBSSchedulerOptions(**options),
    )


def directives(*args, **kwargs):
    lines = render_script(request(*args, **kwargs)).splitlines()
    assert lines[0] == "#!/bin/sh"
    return [line.removeprefix("#PBS ") for line in lines if line.startswith("#PBS")]


TORQUE = {"dialect": "torque"}
NODES = {"resource_style": "nodes"}
GPU_TYPE = {"gpu_type_resource": "gpu_model"}


def test_a_plain_job_leaves_all_to_the_site():
    assert directives() == ["-N job", "-S /bin/sh", "-j oe", "-o /d/pbs.log"]


@pytest.mark.parametrize(
    ("resources", "nodes", "options", "expected"),
    [
        (JobResources(cpu_count=8), None, {}, ["-l select=1:ncpus=8"]),
        (
            JobResources(cpu_count=8, memory=Memory.gb(32), gpu_count=2),
            None,
            {},
            ["-l select=1:ncpus=8:mem=32gb:ngpus=2"],
        ),
        (JobResources(cpu_count=8), 4, {}, ["-l select=4:ncpus=8", "-l place=scatter"]),
        (JobResources(memory=Memory.mb(1536)), 2, {}, ["-l select=2:mem=1536mb", "-l place=scatter"]),
        (JobResources(cpu_count=8, memory=Memory.gb(3)), 4, NODES, ["-l nodes=4:ppn=8", "-l mem=12gb"]),
        (JobResources(cpu_count=8), 4, TORQUE, ["-l nodes=4:ppn=8"]),
        (JobResources(gpu_count=2, gpu_type="a100"), None, TORQUE, ["-l nodes=1:gpus=2:a100"]),
        (JobResources(gpu_count=1), None, {"gpu_resource": "naccels"}, ["-l select=1:naccels=1"]),
        (
            JobResources(gpu_type="a100"),
            None,
            GPU_TYPE,
            ["-l select=1:ngpus=1:gpu_model=a100"],
        ),
        (JobResources(time_limit=Duration.hours(30)), None, {}, ["-l walltime=30:00:00"]),
        (None, 1, {}, ["-l select=1"]),
    ],
)
def test_resources_are_those_of_each_node(resources, nodes, options, expected):
    said = directives(resources, JobScheduling(node_count=nodes), **options)

    assert [line for line in said if line.startswith("-l")] == expected


@pytest.mark.parametrize(
    ("options", "expected"), [({}, ["-l select=1", "-l place=excl"]), (TORQUE, ["-l nodes=1", "-n"])]
)
def test_a_node_for_itself(options, expected):
    said = directives(scheduling=JobScheduling(exclusive_node=True), **options)

    assert said[4:] == expected


def test_scheduling():
    scheduling = JobScheduling(queue="long", account="acc", priority="-5", email="o'neil@x.org", array_spec="0-9%2")

    said = directives(scheduling=scheduling, dependency="afterok:1.s:2.s,afterany:3[].s")

    assert said == [
        "-N job",
        "-S /bin/sh",
        "-j oe",
        "-o /d/pbs.log.^array_index^",
        "-q long",
        "-A acc",
        "-p -5",
        "-J 0-9%2",
        "-W depend=afterok:1.s:2.s,afterany:3[].s",
        '-M "o\'neil@x.org"',
        "-m ae",
    ]


@pytest.mark.parametrize(("options", "queue"), [(GPU_TYPE, "queue"), (GPU_TYPE, "reservation"), (TORQUE, "queue")])
def test_each_field_counts_beside_all_others(options, queue):
    resources = {
        "cpu_count": 3,
        "memory": Memory.mb(300),
        "gpu_count": 2,
        "gpu_type": "a100",
        "time_limit": Duration.minutes(17),
    }
    scheduling = {
        queue: "R7",
        "account": "acc",
        "priority": "7",
        "node_count": 2,
        "exclusive_node": True,
        "array_spec": "1-3",
        "email": "x@y",
    }
    all_said = directives(JobResources(**resources), JobScheduling(**scheduling), **options)

    for field in [*resources, *scheduling]:
        dropped = {field, "gpu_type"} if field == "gpu_count" else {field}
        fewer = JobResources(**{name: value for name, value in resources.items() if name not in dropped})
        rest = JobScheduling(**{name: value for name, value in scheduling.items() if name not in dropped})
        assert directives(fewer, rest, **options) != all_said, field


def test_an_account_may_be_a_project():
    assert "-P acc" in directives(scheduling=JobScheduling(account="acc"), account_flag="project")


@pytest.mark.parametrize("given_id", ["R123", "R123.server"])
def test_a_reservation_is_a_queue(given_id):
    assert "-q R123" in directives(scheduling=JobScheduling(reservation=given_id))


@pytest.mark.parametrize(
    ("resources", "scheduling", "options", "words"),
    [
        (None, JobScheduling(reservation="R1", queue="long"), {}, "drop one"),
        (None, JobScheduling(reservation="R1"), TORQUE, "no reservations"),
        (None, JobScheduling(reservation="tomorrow"), {}, "pbs_rstat"),
        (None, JobScheduling(priority="high"), {}, "from -1024 to 1023"),
        (None, JobScheduling(priority="1024"), {}, "from -1024 to 1023"),
        (None, JobScheduling(queue="a;b"), {}, "queue"),
        (None, JobScheduling(account="a#b"), {}, "account"),
        (None, JobScheduling(exclusive_node=True), NODES, "select"),
        (JobResources(gpu_count=1, gpu_type="a100"), None, {}, "gpu_type_resource"),
    ],
)
def test_what_pbs_cannot_be_told_is_refused_with_a_sentence(resources, scheduling, options, words):
    with pytest.raises(SubmitRejected, match=words):
        directives(resources, scheduling, **options)


@pytest.mark.parametrize(
    ("spec", "range_", "prelude"),
    [
        ("0-9", "0-9", None),
        ("0-10:5", "0-10:5", None),
        ("3,9", "3-9:6", None),
        ("1,3,5-7", "1-7", "1|3|5|6|7"),
        ("5", "5-6", "5"),
        ("10,0,30%2", "0-30:10%2", "0|10|30"),
    ],
)
def test_lists_and_single_elements_are_covered_by_a_range(spec, range_, prelude):
    script = render_script(request(scheduling=JobScheduling(array_spec=spec)))

    assert f"#PBS -J {range_}\n" in script
    assert ("case $PBS_ARRAY_INDEX in" in script) == (prelude is not None)
    assert prelude is None or f"\n{prelude}) ;;\n" in script


def test_torque_takes_lists():
    script = render_script(request(scheduling=JobScheduling(array_spec="1,3,10-14:2%4"), dialect="torque"))

    assert "#PBS -t 1,3,10,12,14%4\n" in script
    assert "case" not in script.partition("echo body")[0]


@given(st.sets(st.integers(0, 10_000), min_size=1, max_size=50))
def test_a_covering_range_holds_all_that_was_asked_for(indices):
    covering = cover(sorted(indices))
    held = set(range(covering.first, covering.last + 1, covering.step))

    assert indices <= held
    assert len(held) > 1
    assert covering.is_exact == (held == indices)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("two words", "two_words"),
        ("méthane", "methane"),
        ("-dash", "dash"),
        ("--hold", "hold"),
        ("日本", "molq"),
        ("x" * 3000, "x" * 230),
        ("9lives", "9lives"),
        ("line\n#PBS -q nosuch", "line_PBS_-q_nosuch"),
    ],
)
def test_names_are_made_safe(name, expected):
    assert safe_name(name, PBSSchedulerOptions()) == expected


@pytest.mark.parametrize(("name", "expected"), [("9lives", "j9lives"), ("a_name_of_many_letters", "a_name_of_many_")])
def test_torques_names_are_short_and_begin_with_a_letter(name, expected):
    assert safe_name(name, PBSSchedulerOptions(dialect="torque")) == expected


@given(st.text())
def test_no_name_can_be_anything_but_a_name(name):
    said = directives(name=name)

    assert re.fullmatch(r"-N [A-Za-z0-9][A-Za-z0-9_.+-]{0,229}", said[0])
    assert said[1:] == directives()[1:]


WORDS = st.text("abcXYZ019_.-@:;#=,+/'\"\\ $`\n", min_size=1, max_size=12)


@given(WORDS, WORDS, WORDS, WORDS)
def test_no_value_can_be_another_directive(queue, account, email, dependency):
    try:
        scheduling = JobScheduling(queue=queue, account=account, email=email)
        script = render_script(request(scheduling=scheduling, dependency=dependency))
    except (ValueError, SubmitRejected):
        return

    options = {}
    for line in script.split("\n"):
        if line.startswith("#PBS"):
            parse(shlex.split(line[4:]), options, is_directive=True)
    assert options.keys() == set("NSjoqAWMm")
    assert (options["q"], options["A"], options["M"]) == (queue, account, email)


PATHS = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PATHS, PATHS)
def test_a_prelude_is_run_beside_a_canary_whatever_the_folders_are_called(tmp_path, folder, file):
    job_dir = tmp_path / folder
    job_dir.mkdir(exist_ok=True)
    (job_dir / "claim").unlink(missing_ok=True)
    output = tmp_path / f"out-{file}"
    made = attrs.evolve(request(job_dir=job_dir), stdout_path=output, stderr_path=job_dir / "stderr.log")
    script = render_script(made)
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    before = set(os.listdir(tmp_path))

    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PBS_JOBID": "1.s", "PBS_JOBNAME": "job"}
    done = subprocess.run(["sh", "-c", script], cwd=home, env=environment, capture_output=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert output.read_bytes().endswith(b"body\n")
    assert set(os.listdir(tmp_path)) <= before | {output.name}
    assert os.listdir(home) == []


def test_the_users_own_file_is_begun_anew_once_and_then_continued(tmp_path):
    output, job_dir = tmp_path / "mine.txt", tmp_path / "job"
    job_dir.mkdir()
    output.write_text("old\n")
    script = render_script(attrs.evolve(request(job_dir=job_dir, body="echo new\n"), stdout_path=output))

    subprocess.run(["sh", "-c", script], env={"PBS_JOBID": "1.s"}, check=True)
    (job_dir / "claim").symlink_to("1.s")
    subprocess.run(["sh", "-c", script], env={"PBS_JOBID": "1.s"}, check=True)

    assert output.read_text() == "new\nnew\n"


def test_a_job_that_cannot_write_its_output_ends_with_a_code_of_its_own(tmp_path):
    made = attrs.evolve(request(job_dir=tmp_path), stdout_path=tmp_path / "nowhere" / "out")

    done = subprocess.run(["sh", "-c", render_script(made)], capture_output=True, check=False)

    assert done.returncode == 73
    assert b"nowhere" in done.stderr


def test_nothing_of_the_users_stands_in_the_line_that_ends_the_directives():
    script = render_script(request(job_dir="/d\n#PBS -q nosuch", body="echo '\n#PBS -q nosuch\n'\n"))

    lines = script.split("\n")
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert lines[first] == "unset MOLQ_TAG"
    assert not any("nosuch" in line for line in lines[:first])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("qsub_path", ""),
        ("qstat_path", "--help"),
        ("dialect", "pbspro"),
        ("resource_style", "chunks"),
        ("account_flag", "P"),
        ("gpu_resource", "n gpus"),
        ("command_timeout", Duration(0)),
        ("command_timeout", 60),
        ("extra_qsub_flags", ("select",)),
        ("extra_qsub_flags", ("-N name",)),
        ("extra_qsub_flags", ("-Wblock=true",)),
        ("extra_qsub_flags", ("-Wumask=22,depend=afterok:1",)),
        ("extra_qsub_flags", ("-J1-2",)),
        ("extra_qsub_flags", ("-z",)),
        ("extra_qsub_flags", ("--",)),
        ("extra_qsub_flags", "-h"),
    ],
)
def test_options_are_checked_when_they_are_made(field, value):
    with pytest.raises(ValueError, match=field):
        PBSSchedulerOptions(**{field: value})


@pytest.mark.parametrize("wrong", [{"resource_style": "select"}, {"account_flag": "project"}])
def test_what_torque_does_not_know_is_refused(wrong):
    with pytest.raises(ValueError, match="Torque"):
        PBSSchedulerOptions(dialect="torque", **wrong)


def test_options_can_be_changed_and_compared():
    options = PBSSchedulerOptions(extra_qsub_flags=["-Wgroup_list=chem", "-lselect=1:ncpus=2"])

    assert attrs.evolve(options) == options
    assert options.extra_qsub_flags == ("-Wgroup_list=chem", "-lselect=1:ncpus=2")
