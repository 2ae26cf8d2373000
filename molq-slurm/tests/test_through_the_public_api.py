"""Jobs on the fake Slurm, submitted and followed as a user does."""

from __future__ import annotations

import pytest

from molq import JobExecution, JobScheduling, JobState, SubmitError, Submitor


@pytest.fixture
def submitor(fake_slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Submitor("lab", "slurm", scheduler_options=fake_slurm.options) as one:
        yield one


def test_a_job_runs_and_its_end_is_known(fake_slurm, submitor):
    job = submitor.submit(command="echo hello; exit 3", execution=JobExecution(job_name="it's\nmine"))
    fake_slurm.run(job.scheduler_job_id)

    record = job.wait(timeout=60)

    assert (record.state, record.exit_code, record.job_name) == (JobState.FAILED, 3, "it's\nmine")
    with open(record.stdout_path) as output:
        assert output.read() == "hello\n"


def test_a_submission_whose_reply_is_lost_is_adopted_and_not_repeated(fake_slurm, submitor):
    fake_slurm.accept_but_hang()

    job = submitor.submit(command="true")
    submitor.refresh()

    assert submitor.get(job.job_id).scheduler_job_id == "1"
    assert len(fake_slurm.jobs()) == 1


def test_a_submission_that_a_hung_controller_hears_later_is_adopted(fake_slurm, submitor):
    fake_slurm.hang()
    job = submitor.submit(command="true")
    fake_slurm.come_back()

    submitor.refresh()

    assert submitor.get(job.job_id).scheduler_job_id == "1"


@pytest.mark.parametrize("accounting", ["accounting_on", "accounting_off", "accounting_down"])
def test_nothing_waits_for_a_job_that_slurm_has_forgotten(fake_slurm, submitor, accounting):
    upstream = submitor.submit(command="true")
    fake_slurm.start(upstream.scheduler_job_id)
    submitor.refresh()
    fake_slurm.finish(upstream.scheduler_job_id, 3)  # without a script, so without an exit file
    fake_slurm.forget(upstream.scheduler_job_id)
    getattr(fake_slurm, accounting)()

    with pytest.raises(SubmitError, match="is failed already" if accounting == "accounting_on" else "nothing can wait"):
        submitor.submit(command="true", after_success=[upstream.job_id])

    assert len(submitor.list(include_terminal=True)) == 1


def test_nothing_is_submitted_that_waits_for_a_job_about_which_slurm_cannot_be_asked(fake_slurm, submitor):
    upstream = submitor.submit(command="true")
    fake_slurm.go_down()

    with pytest.raises(SubmitError, match="could not be asked about"):
        submitor.submit(command="true", after=[upstream.job_id])

    assert len(submitor.list(include_terminal=True)) == 1


def test_a_success_that_a_controller_starts_again_runs_once(fake_slurm, submitor):
    job = submitor.submit(command="echo said; echo x >>ran")
    fake_slurm.run(job.scheduler_job_id)
    fake_slurm.requeue(job.scheduler_job_id)
    fake_slurm.run(job.scheduler_job_id)

    record = job.wait(timeout=60)

    assert (record.state, record.exit_code) == (JobState.SUCCEEDED, 0)
    with open("ran") as runs, open(record.stdout_path) as output:
        assert (runs.read(), output.read()) == ("x\n", "said\n")


def test_a_refusal_is_told_in_slurms_words(submitor):
    with pytest.raises(SubmitError, match="Invalid partition name specified"):
        submitor.submit(command="true", scheduling=JobScheduling(queue="nosuch"))


def test_a_job_that_was_requeued_runs_again_under_its_own_id(fake_slurm, submitor):
    job = submitor.submit(command="test -e marker && exit 0; touch marker; kill -9 $PPID")
    fake_slurm.run(job.scheduler_job_id)
    fake_slurm.requeue(job.scheduler_job_id)
    submitor.refresh()
    fake_slurm.run(job.scheduler_job_id)

    assert job.wait(timeout=60).state is JobState.SUCCEEDED


def test_each_element_of_an_array_has_files_of_its_own(fake_slurm, submitor, tmp_path):
    job = submitor.submit(command="echo $SLURM_ARRAY_TASK_ID", scheduling=JobScheduling(array_spec="1-2"))
    for index in (1, 2):
        fake_slurm.run(f"{job.scheduler_job_id}_{index}")

    record = job.wait(timeout=60)

    assert record.state is JobState.SUCCEEDED
    for index in (1, 2):
        with open(f"{record.stdout_path}.{index}") as output:
            assert output.read() == f"{index}\n"


def test_a_cancelled_job_is_cancelled_by_evidence(fake_slurm, submitor):
    job = submitor.submit(command="true")
    fake_slurm.start(job.scheduler_job_id)

    submitor.cancel(job.job_id)

    record = submitor.get(job.job_id)
    assert (record.state, record.cause) == (JobState.CANCELLED, "cancelled")
