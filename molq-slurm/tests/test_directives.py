"""Requests as scripts."""

from __future__ import annotations

import shlex
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.backend import Duration, JobResources, JobScheduling, Memory, SubmitRejected, SubmitRequest
from molq_slurm import SlurmSchedulerOptions
from molq_slurm.directives import output_pattern, render_script, safe_name


def request(resources=None, scheduling=None, *, name="job", cwd="/w", dependency=None, **options):
    return SubmitRequest(
        job_id="tag",
        job_name=name,
        job_dir=Path("/d"),
        body="echo body\n",
        cwd=Path(cwd),
        stdout_path=Path("/d/stdout.log"),
        stderr_path=Path("/d/stderr.log"),
        resources=resources or JobResources(),
        scheduling=scheduling or JobScheduling(),
        dependency=dependency,
        options=SlurmSchedulerOptions(**options),
    )


def directives(*args, **kwargs):
    lines = render_script(request(*args, **kwargs)).splitlines()
    assert lines[0] == "#!/bin/sh"
    return [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")]


def test_a_plain_job_is_one_task_on_one_node():
    assert directives() == [
        "job-name=job",
        "chdir=/w",
        "output=/d/stdout.log",
        "error=/d/stderr.log",
        "open-mode=append",
        "nodes=1",
        "ntasks-per-node=1",
    ]


def test_only_files_of_molqs_own_are_appended_to():
    own = request()
    users = attrs.evolve(own, stdout_path=Path("/w/out.txt"))

    assert "--open-mode=append" in render_script(own)
    assert "--open-mode" not in render_script(users)


@pytest.mark.parametrize(
    ("resources", "options", "expected"),
    [
        (JobResources(cpu_count=8), {}, "cpus-per-task=8"),
        (JobResources(memory=Memory.gb(32)), {}, "mem=32G"),
        (JobResources(memory=Memory.gb(32), cpu_count=8), {"memory_flag": "mem-per-cpu"}, "mem-per-cpu=4G"),
        (JobResources(memory=Memory.gb(1), cpu_count=3), {"memory_flag": "mem-per-cpu"}, "mem-per-cpu=349526K"),
        (JobResources(gpu_count=2), {}, "gres=gpu:2"),
        (JobResources(gpu_type="a100"), {}, "gres=gpu:a100:1"),
        (JobResources(gpu_count=2, gpu_type="a100"), {"gpu_flag": "gpus-per-node"}, "gpus-per-node=a100:2"),
        (JobResources(time_limit=Duration.hours(30)), {}, "time=1-06:00:00"),
    ],
)
def test_resources(resources, options, expected):
    assert expected in directives(resources, **options)


def test_gpus_in_total_count_every_node():
    said = directives(JobResources(gpu_count=2), JobScheduling(node_count=3), gpu_flag="gpus")

    assert "gpus=6" in said


def test_a_site_that_refuses_memory_requests_gets_none():
    assert not any(one.startswith("mem") for one in directives(JobResources(memory=Memory.gb(1)), memory_flag="none"))


def test_scheduling():
    scheduling = JobScheduling(
        queue="long",
        account="acc",
        node_count=4,
        exclusive_node=True,
        array_spec="0-9%2",
        email="o'neil@x.org",
        qos="high",
        reservation="res",
    )  # fmt: skip - one value

    said = directives(scheduling=scheduling, dependency="afterok:1,singleton")

    assert {
        "partition=long",
        "account=acc",
        "nodes=4",
        "exclusive",
        "array=0-9%2",
        'mail-user="o\'neil@x.org"',
        "mail-type=END,FAIL",
        "qos=high",
        "reservation=res",
        "dependency=afterok:1,singleton",
        "output=/d/stdout.log.%a",
        "error=/d/stderr.log.%a",
    } <= set(said)  # fmt: skip - one set


@pytest.mark.parametrize(
    ("priority", "expected"),
    [("100", "priority=100"), ("TOP", "priority=TOP"), ("-10", "nice=10"), ("1", "priority=1")],
)
def test_a_priority_becomes_the_flag_that_fits_it(priority, expected):
    assert expected in directives(scheduling=JobScheduling(priority=priority))


@pytest.mark.parametrize("priority", ["high", "4294967295", "1e3", "0", "-0"])
def test_a_word_that_sbatch_would_take_for_zero_and_pass_over_is_refused(priority):
    with pytest.raises(SubmitRejected, match="qos"):
        directives(scheduling=JobScheduling(priority=priority))


@given(st.text())
def test_no_name_can_be_anything_but_a_name(name):
    said = directives(name=name)

    assert shlex.split(said[0], comments=True) == [f"job-name={safe_name(name)}"]
    assert said[1:] == directives()[1:]


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_path_is_literal_or_refused(name):
    path = Path("/w") / name.replace("/", "_")
    try:
        pattern = output_pattern(path)
    except SubmitRejected:
        return

    expanded = pattern.replace("\\\\", "\\") if "\\" in pattern else pattern.replace("%%", "%")
    assert expanded == str(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sbatch_path", ""),
        ("squeue_path", "--help"),
        ("sacct_path", "a=b"),
        ("memory_flag", "cpu"),
        ("gpu_flag", "gpu"),
        ("cluster", "a,b"),
        ("cluster", "--all"),
        ("extra_sbatch_flags", ("icelake",)),
        ("extra_sbatch_flags", ("--wrap=true",)),
        ("extra_sbatch_flags", ("--comment=mine",)),
        ("extra_sbatch_flags", "--x"),
    ],
)
def test_options_are_checked_when_they_are_made(field, value):
    with pytest.raises(ValueError, match=field):
        SlurmSchedulerOptions(**{field: value})


def test_options_can_be_changed_and_compared():
    options = SlurmSchedulerOptions(extra_sbatch_flags=["--constraint=icelake"])

    assert attrs.evolve(options) == options
    assert options.extra_sbatch_flags == ("--constraint=icelake",)
