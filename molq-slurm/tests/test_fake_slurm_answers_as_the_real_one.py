"""Commands that were recorded on a real Slurm are given to the fake one, which has to answer the same."""

from __future__ import annotations

import os
import subprocess

import pytest
import slurm_tests_recorded as recorded

from molq_slurm.testing import FakeSlurm


@pytest.fixture
def fake(tmp_path):
    for name in ("job.sh", "noshebang.sh", "empty.sh", "dos.sh"):
        text = {"job.sh": "#!/bin/sh\ntrue\n", "noshebang.sh": "true\n", "empty.sh": "", "dos.sh": "#!/bin/sh\r\n"}[
            name
        ]
        (tmp_path / name).write_bytes(text.encode())
    return FakeSlurm(tmp_path)


def ask(fake, command):
    environment = {**os.environ, "PATH": f"{fake.bin}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", command], env=environment, cwd=fake.folder.parent, capture_output=True, check=False, text=True
    )


def submit(fake, job_id, *flags):
    fake.number_from(job_id)
    done = ask(fake, f"sbatch --parsable {' '.join(flags)} job.sh")
    assert done.stdout == f"{job_id}\n", done


def assert_same(fake, transcript, command, occurrence=0):
    real = recorded.block(transcript, command, occurrence)
    done = ask(fake, command)
    assert (done.returncode, done.stdout, done.stderr) == (real.exit_code, real.stdout, real.stderr)


@pytest.mark.parametrize(
    "command",
    [
        block.command
        for block in recorded.blocks("squeue-unknown-ids")
        if block.command.startswith(("squeue -h -j", "squeue -h -t all -j", "sacct"))
        and not any(odd in block.command for odd in ("'0'", "'-1'", "batch", "+0", "''"))
    ],
)
def test_unknown_ids(fake, command):
    submit(fake, 91)
    submit(fake, 92)
    submit(fake, 93, "--array=0-0")
    submit(fake, 94)
    for job_id in ("91", "92", "93_0"):
        fake.start(job_id)
    fake.finish("94", 1)

    assert_same(fake, "squeue-unknown-ids", command)


@pytest.mark.parametrize(
    "command",
    [
        "sbatch --parsable -p nosuch job.sh",
        "sbatch --parsable --time=abc job.sh",
        "sbatch --parsable --time=1:2:3:4 job.sh",
        "sbatch --parsable nosuchscript.sh",
        "sbatch --parsable noshebang.sh",
        "sbatch --parsable empty.sh",
        "sbatch --parsable dos.sh",
        "sbatch --parsable --gres=gpu:1 job.sh",
        "sbatch --parsable --reservation=nosuch job.sh",
        "sbatch --parsable --dependency=afterok:abc job.sh",
        "sbatch --parsable --dependency=after0k:1 job.sh",
        "sbatch --parsable --dependency=afterok: job.sh",
        "sbatch --parsable --dependency=afterany:1:abc job.sh",
        "sbatch --parsable --nosuchoption job.sh",
    ],
)
def test_refusals(fake, command):
    assert_same(fake, "sbatch-errors", command)


@pytest.mark.parametrize(
    "command",
    [
        *("scancel 99999999", "scancel -v 99999999", "scancel 102", "scancel -v 102", "scancel abc", "scancel -v abc"),
        *("scancel 102 99999999", "scancel -v 98_5", "scancel -v 99_99", "scancel"),
    ],
)
def test_cancelling(fake, command):
    submit(fake, 98)
    submit(fake, 99, "--array=0-9%2")
    submit(fake, 102)
    fake.finish("102")

    assert_same(fake, "scancel", command)


def test_an_array_that_is_cancelled_in_part_and_whole(fake):
    submit(fake, 99, "--array=0-9%2")
    for index in (0, 1, 2):
        fake.start(f"99_{index}")
    ask(fake, "scancel 99_1 99_7")
    ask(fake, "scancel 99_3")
    fake.start("99_4")
    ask(fake, "scancel 99")

    rows = ask(fake, "squeue -h -t all -j 99 -o '%i|%T|%K'").stdout.splitlines()

    assert set(rows) == {
        "99_[5-6,8-9%2]|CANCELLED|5-6,8-9%2",
        *(f"99_{index}|CANCELLED|{index}" for index in (0, 1, 2, 4)),
    }


def test_a_site_without_accounting(fake):
    submit(fake, 306)
    fake.accounting_off()

    assert_same(fake, "no-accounting", "sacct -n -P -X -j 306 -o JobID,State,ExitCode")
    assert_same(fake, "no-accounting", "sacct")


@pytest.mark.parametrize(
    "command",
    [
        *("squeue -h -j 302 -o '%i|%T'", "squeue -h", "scancel 302", "squeue -h -j 99999999"),
        *("sbatch --parsable job.sh", "sacct -n -P -X -j 302 -o JobID,State,ExitCode"),
    ],
)
def test_a_controller_that_is_down(fake, command):
    submit(fake, 302)
    fake.finish("302")
    fake.go_down()

    assert_same(fake, "slurmctld-down", command)


def test_a_controller_that_hangs_hears_later(fake):
    fake.hang()
    assert_same(fake, "slurmctld-hung", "squeue -h")
    assert_same(fake, "slurmctld-hung", "sbatch --parsable -J hung-submission --comment=molq:hung job.sh")
    assert_same(fake, "slurmctld-hung", "scancel 1")
    fake.come_back()

    assert ask(fake, "squeue -h -t all -o '%j|%k'").stdout == "hung-submission|molq:hung\n"


def test_accounting_that_is_down_and_lags_afterwards(fake):
    submit(fake, 320)
    fake.finish("320", 4)
    fake.accounting_down()
    assert_same(fake, "slurmdbd-down", "sacct -n -P -X -j 320 -o JobID,State,ExitCode")
    fake.accounting_on()
    fake.accounting_lag("state")
    assert_same(fake, "slurmdbd-down", "sacct -n -P -X -j 320 -o JobID,State,ExitCode", 1)
    fake.accounting_on()
    assert_same(fake, "slurmdbd-down", "sacct -n -P -X -j 320 -o JobID,State,ExitCode", 2)


def test_a_job_that_the_controller_has_forgotten(fake):
    submit(fake, 312)
    submit(fake, 313)
    fake.start("313")
    fake.finish("312", 6)
    assert_same(fake, "min-job-age", "squeue -h -t all -j 312 -o '%i|%T'")
    fake.forget("312")

    assert_same(fake, "min-job-age", "squeue -h -t all -j 312 -o '%i|%T'", 1)
    assert_same(fake, "min-job-age", "squeue -h -j 312 -o '%i|%T'")
    assert_same(fake, "min-job-age", "squeue -h -t all -j 312,313 -o '%i|%T'")
    assert_same(fake, "min-job-age", "squeue -h -t all -j 312,100312 -o '%i|%T'")
    assert_same(fake, "min-job-age", "scancel 312")
    assert_same(fake, "min-job-age", "sacct -n -P -X -j 312 -o JobID,State,ExitCode")


def test_names_and_comments_of_all_kinds(fake):
    commands = [block.command for block in recorded.blocks("special-characters") if block.command.startswith("sbatch")]
    for job_id, command in enumerate(commands, start=257):
        fake.number_from(job_id)
        ask(fake, command)
    ids = ",".join(str(job_id) for job_id in range(257, 269))

    command = f"squeue -h -j {ids} -o '%i|%j|%T|%k|%u'"
    lines = recorded.block("special-characters", command).stdout.replace("|root\n", "|\n")
    asked = ask(fake, command.replace("|%u", "|")).stdout
    assert sorted(asked.split("\n")) == sorted(lines.split("\n"))
    command = f"sacct -P -n -X -j {ids} -o JobID,JobName,State"
    assert ask(fake, command).stdout == recorded.block("special-characters", command).stdout


def test_dependencies_that_can_never_be_satisfied(fake):
    submit(fake, 222)
    submit(fake, 223, "-d", "afterok:222")
    submit(fake, 225, "-d", "afterok:223")
    fake.finish("222", 1)
    submit(fake, 227)
    fake.finish("227")

    def reason(job_id, dependency):
        submit(fake, job_id, "-d", dependency)
        return ask(fake, f"squeue -h -t all -j {job_id} -o %r").stdout.strip()

    assert ask(fake, "squeue -h -o '%i %r'").stdout == "223 DependencyNeverSatisfied\n225 Dependency\n"
    assert reason(228, "afterok:222") == "DependencyNeverSatisfied"
    assert reason(230, "afterok:227") == "None"
    assert reason(231, "afterany:222") == "None"
    assert reason(232, "afternotok:222") == "None"
    assert reason(233, "afternotok:227") == "DependencyNeverSatisfied"
    assert reason(234, "afterok:99999999") == "None"


def test_variables_that_change_what_the_programs_do(fake):
    submit(fake, 283)

    assert_same(fake, "export", "SLURM_CLUSTERS=nosuch squeue -h")
    fake.start("283")
    assert ask(fake, "SQUEUE_STATES=PD squeue -h").stdout == ""
    assert ask(fake, "SBATCH_PARTITION=nosuch sbatch job.sh").returncode == 1
    assert ask(fake, "SQUEUE_FORMAT=%A squeue -h").stdout == "283\n"
