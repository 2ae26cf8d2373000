"""What one poll makes of squeue, accounting and the job's own files."""

from __future__ import annotations

import os
import time

import pytest

from molq.backend import JobState, SubmittedJob
from molq.commands import SystemCommands
from molq_slurm import hooks
from molq_slurm.poll import poll_jobs


@pytest.fixture
def commands():
    return SystemCommands(hooks.molq_describe_backend(), os.environ)


@pytest.fixture
def submit(fake_slurm, tmp_path, commands):
    """Put a job straight into the fake queue, as a submission would."""

    def put(tag, array=None):
        folder = tmp_path / tag
        folder.mkdir()
        directive = f"#SBATCH --array={array}\n" if array else ""
        (folder / "job.sh").write_text(f"#!/bin/sh\n{directive}true\n")
        reply = commands.run(
            [fake_slurm.options.sbatch_path, "--parsable", f"--comment=molq:{tag}", str(folder / "job.sh")]
        )
        return SubmittedJob(
            job_id=tag,
            scheduler_job_id=reply.stdout.strip(),
            job_dir=folder,
            submitted_at=time.time(),
            is_array=array is not None,
        )

    return put


def poll(fake_slurm, commands, *jobs, after=0.0):
    return poll_jobs(jobs, fake_slurm.options, commands, time.time() + after)


def names(fake_slurm):
    return [words[0] for words in fake_slurm.commands_run if words[0] != "sbatch"]


def test_active_jobs_need_one_command(fake_slurm, commands, submit):
    jobs = [submit(f"tag-{n}") for n in range(3)]

    assert len(poll(fake_slurm, commands, *jobs).reports) == 3
    assert names(fake_slurm) == ["squeue"]


def test_jobs_that_have_left_the_queue_need_one_more(fake_slurm, commands, submit):
    jobs = [submit(f"tag-{n}") for n in range(4)]
    for number, job in enumerate(jobs[1:]):
        fake_slurm.finish(job.scheduler_job_id, number)
        fake_slurm.forget(job.scheduler_job_id)

    answer = poll(fake_slurm, commands, *jobs)

    assert {report.state for report in answer.reports} == {JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED}
    assert names(fake_slurm) == ["squeue", "sacct"]


def test_accounting_is_not_asked_about_a_job_whose_exit_file_says_success(fake_slurm, commands, submit):
    job = submit("tag-1")
    fake_slurm.finish(job.scheduler_job_id)
    fake_slurm.forget(job.scheduler_job_id)
    (job.job_dir / "exit").write_text("0\n")

    answer = poll(fake_slurm, commands, job)

    assert (answer.reports, answer.unanswered) == ((), frozenset())
    assert names(fake_slurm) == ["squeue"]


def test_an_element_that_was_cancelled_while_it_waited_does_not_keep_the_array_open(fake_slurm, commands, submit):
    job = submit("tag-a", "0-2")
    commands.run([fake_slurm.options.scancel_path, f"{job.scheduler_job_id}_1"])
    for index in (0, 2):
        fake_slurm.finish(f"{job.scheduler_job_id}_{index}")

    early = poll(fake_slurm, commands, job)
    late = poll(fake_slurm, commands, job, after=100).reports[0]

    assert early.reports[0].state is None
    assert [element.index for element in early.reports[0].elements] == [0, 2]
    assert late.state is JobState.CANCELLED
    assert late.reason == "1 of 3 elements were cancelled: 1"


@pytest.mark.parametrize("accounting", ["accounting_on", "accounting_off"])
def test_forgotten_elements_are_known_from_accounting_or_their_exit_files(fake_slurm, commands, submit, accounting):
    job = submit("tag-a", "0-3")
    for index in range(3):
        fake_slurm.finish(f"{job.scheduler_job_id}_{index}", index)
        (job.job_dir / f"exit.{index}").write_text(f"{index}\n")
        fake_slurm.forget(f"{job.scheduler_job_id}_{index}")
    getattr(fake_slurm, accounting)()

    partly = poll(fake_slurm, commands, job).reports[0]
    fake_slurm.finish(f"{job.scheduler_job_id}_3")
    whole = poll(fake_slurm, commands, job).reports[0]

    assert partly.state is JobState.RUNNING
    assert whole.state is JobState.FAILED
    assert [element.exit_code for element in whole.elements] == [0, 1, 2, 0]


def test_an_array_whose_elements_accounting_cannot_tell_is_open(fake_slurm, commands, submit):
    job = submit("tag-a", "0-1")
    for index in range(2):
        fake_slurm.finish(f"{job.scheduler_job_id}_{index}")
    fake_slurm.forget(job.scheduler_job_id)
    fake_slurm.accounting_down()

    assert poll(fake_slurm, commands, job).unanswered == {job.scheduler_job_id}


def test_who_cancelled_a_job_is_asked_of_accounting_and_is_no_condition(fake_slurm, commands, submit):
    job = submit("tag-1")
    fake_slurm.cancel(job.scheduler_job_id, uid=1234)

    assert poll(fake_slurm, commands, job).reports[0].reason == "was cancelled by uid 1234"
    fake_slurm.accounting_down()
    assert poll(fake_slurm, commands, job).reports[0].reason == "was cancelled"


def test_a_squeue_that_answers_in_part_and_fails_is_no_answer(fake_slurm, commands, submit):
    from molq.backend import SchedulerError

    job = submit("tag-1")
    reply = poll(fake_slurm, commands, job)
    assert reply.reports
    fake_slurm.say("squeue", "1\x1f1\x1fN/A\x1fCOMPLETED\n", "slurm_load_jobs error: Zero Bytes\n", 1)

    with pytest.raises(SchedulerError, match="Zero Bytes"):
        poll(fake_slurm, commands, job)


def test_doctor_names_what_is_wrong_with_a_site(fake_slurm, commands):
    good = {finding.name: finding for finding in hooks.molq_probe_site(fake_slurm.options, commands)}
    fake_slurm.accounting_off()
    off = {finding.name: finding for finding in hooks.molq_probe_site(fake_slurm.options, commands)}
    fake_slurm.go_down()
    down = {finding.name: finding for finding in hooks.molq_probe_site(fake_slurm.options, commands)}

    assert not any(finding.is_problem for finding in good.values())
    assert "22.05.8" in good["sbatch"].value
    assert good["default partition"].value.startswith("debug (")
    assert off["accounting"].is_problem
    assert down["controller"].is_problem
