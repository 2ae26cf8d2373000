"""Jobs on the fake PBS, submitted and followed as a user does."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from molq import (
    JobExecution,
    JobResources,
    JobScheduling,
    JobState,
    Memory,
    RetryBackoff,
    RetryPolicy,
    SchedulerError,
    SubmitError,
    Submitor,
)


@pytest.fixture(params=["openpbs", "torque"])
def fake(request, fake_pbs, fake_torque):
    return fake_pbs if request.param == "openpbs" else fake_torque


@pytest.fixture
def submitor(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Submitor("lab", "pbs", scheduler_options=fake.options) as one:
        yield one


@pytest.fixture
def openpbs(fake_pbs, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Submitor("lab", "pbs", scheduler_options=fake_pbs.options) as one:
        yield one


def test_a_job_runs_and_its_end_is_known(fake, submitor):
    job = submitor.submit(
        command="echo hello; exit 3",
        execution=JobExecution(job_name="it's\nmine"),
        resources=JobResources(cpu_count=2, memory=Memory.gb(1)),
    )
    fake.run(job.scheduler_job_id)

    record = job.wait(timeout=60)

    assert (record.state, record.exit_code, record.job_name) == (JobState.FAILED, 3, "it's\nmine")
    with open(record.stdout_path) as output:
        assert output.read() == "hello\n"


def test_a_submission_whose_reply_is_lost_is_adopted_and_not_repeated(fake, submitor):
    fake.accept_but_hang()

    job = submitor.submit(command="true")
    submitor.refresh()

    assert submitor.get(job.job_id).scheduler_job_id == "1.vm"
    assert len(fake.jobs()) == 1


def test_a_submission_that_a_hung_server_hears_later_is_adopted(fake, submitor):
    fake.hang()
    job = submitor.submit(command="true")
    assert submitor.get(job.job_id).state is JobState.CREATED
    fake.come_back()
    until = time.monotonic() + 60
    while submitor.get(job.job_id).scheduler_job_id is None and time.monotonic() < until:
        submitor.refresh()
        time.sleep(0.1)

    assert submitor.get(job.job_id).scheduler_job_id == "1.vm"
    assert len(fake.jobs()) == 1


def test_a_refusal_is_told_in_pbs_words(submitor):
    with pytest.raises(SubmitError, match="Unknown queue"):
        submitor.submit(command="true", scheduling=JobScheduling(queue="nosuch"))


def test_what_pbs_cannot_express_is_refused_by_name(submitor):
    with pytest.raises(Exception, match="qos"):
        submitor.submit(command="true", scheduling=JobScheduling(qos="high"))


def test_states_stay_while_the_server_is_away(fake, submitor):
    job = submitor.submit(command="true")
    fake.start(job.scheduler_job_id)
    submitor.refresh()
    fake.go_down()

    with pytest.raises(SchedulerError, match="Connection refused"):
        submitor.refresh()

    assert submitor.get(job.job_id).state is JobState.RUNNING


def test_a_success_that_pbs_starts_again_runs_once(fake, submitor):
    job = submitor.submit(command="echo said; echo x >>ran")
    fake.run(job.scheduler_job_id)
    fake.requeue(job.scheduler_job_id)
    fake.run(job.scheduler_job_id)

    record = job.wait(timeout=60)

    assert (record.state, record.exit_code) == (JobState.SUCCEEDED, 0)
    with open("ran") as runs, open(record.stdout_path) as output:
        assert (runs.read(), output.read()) == ("x\n", "said\n")


def test_a_job_that_was_requeued_runs_again_under_its_own_id(fake, submitor):
    job = submitor.submit(command="test -e marker && exit 0; touch marker; kill -9 $PPID")
    fake.run(job.scheduler_job_id)
    fake.requeue(job.scheduler_job_id)
    submitor.refresh()
    fake.run(job.scheduler_job_id)

    assert job.wait(timeout=60).state is JobState.SUCCEEDED


def test_each_element_of_an_array_has_files_of_its_own(fake, submitor):
    job = submitor.submit(command="echo $PBS_ARRAY_INDEX", scheduling=JobScheduling(array_spec="1,3"))
    for index in (1, 3):
        fake.run(f"{job.scheduler_job_id}_{index}")

    record = job.wait(timeout=60)

    assert record.state is JobState.SUCCEEDED
    for index in (1, 3):
        with open(f"{record.stdout_path}.{index}") as output:
            assert output.read() == f"{index}\n"


@pytest.mark.parametrize("spec", ["5", "1,2,9"])
def test_elements_that_openpbs_needs_and_nobody_asked_for_do_nothing(fake_pbs, openpbs, spec):
    job = openpbs.submit(command="echo x >>ran.$PBS_ARRAY_INDEX", scheduling=JobScheduling(array_spec=spec))
    elements = fake_pbs.jobs()[0]["array"]
    for index in elements:
        assert fake_pbs.run(f"{job.scheduler_job_id}_{index}") == 0

    record = job.wait(timeout=60)

    wanted = [int(index) for index in spec.split(",")]
    assert record.state is JobState.SUCCEEDED
    assert [element.index for element in openpbs.get_elements(job.job_id)] == wanted
    assert {path.name for path in Path().glob("ran.*")} == {f"ran.{index}" for index in wanted}


def test_only_the_elements_that_failed_are_tried_again(fake, submitor):
    policy = RetryPolicy(max_attempts=2, backoff=RetryBackoff(mode="fixed", initial_seconds=0.0))
    command = "echo x >>ran.$PBS_ARRAY_INDEX; [ $PBS_ARRAY_INDEX != 2 ] || [ -e again ] || { touch again; exit 3; }"
    job = submitor.submit(command=command, scheduling=JobScheduling(array_spec="1-3"), retry=policy)
    for index in (1, 2, 3):
        fake.run(f"1[{index}].vm")
    until = time.monotonic() + 60
    while len(fake.jobs()) == 1 and time.monotonic() < until:
        submitor.refresh()
        time.sleep(0.05)

    again = fake.jobs()[1]
    for index in again["array"]:
        fake.run(f"2[{index}].vm")
    record = job.wait(timeout=60)

    assert record.state is JobState.SUCCEEDED
    assert [Path(f"ran.{index}").read_text() for index in (1, 2, 3)] == ["x\n", "x\nx\n", "x\n"]
    assert not Path("ran.4").exists()


def test_single_elements_are_cancelled(fake, submitor):
    job = submitor.submit(command="true", scheduling=JobScheduling(array_spec="1-3"))
    fake.start("1[1].vm")

    submitor.cancel(job.job_id, elements=[1, 3])
    fake.run("1[2].vm")
    record = job.wait(timeout=60)

    assert record.state is JobState.CANCELLED
    assert {e.index: e.state for e in submitor.get_elements(job.job_id)} == {
        1: JobState.CANCELLED,
        2: JobState.SUCCEEDED,
        3: JobState.CANCELLED,
    }


def test_a_waiting_element_that_was_cancelled_is_known_to_be_so_while_the_others_go_on(fake_pbs, openpbs):
    job = openpbs.submit(command="true", scheduling=JobScheduling(array_spec="1-3"))
    fake_pbs.start("1[1].vm")

    openpbs.cancel(job.job_id, elements=[3])
    openpbs.refresh()

    assert {e.index: e.state for e in openpbs.get_elements(job.job_id)} == {
        1: JobState.RUNNING,
        2: JobState.QUEUED,
        3: JobState.CANCELLED,
    }


def test_a_job_that_is_cancelled_runs_until_pbs_has_killed_it(fake_pbs, openpbs):
    job = openpbs.submit(command="true")
    fake_pbs.start(job.scheduler_job_id)
    fake_pbs.delay_kills()

    openpbs.cancel(job.job_id)
    openpbs.cancel(job.job_id)
    meanwhile = openpbs.get(job.job_id)
    fake_pbs.die(job.scheduler_job_id)
    record = job.wait(timeout=60)

    assert (meanwhile.state, meanwhile.cancel_requested_at is not None) == (JobState.RUNNING, True)
    assert (record.state, record.cause) == (JobState.CANCELLED, "cancelled")


def test_a_cancelled_job_is_cancelled_by_evidence(fake, submitor):
    job = submitor.submit(command="true")
    fake.start(job.scheduler_job_id)

    submitor.cancel(job.job_id)

    record = submitor.get(job.job_id)
    assert (record.state, record.cause) == (JobState.CANCELLED, "cancelled")


def test_a_chain_is_compiled_for_pbs(fake, submitor):
    first = submitor.submit(command="true")
    second = submitor.submit(command="true")
    child = submitor.submit(command="true", after_success=[first.job_id, second.job_id], after=[])

    edges = {edge.scheduler_dependency for edge in submitor.get_dependencies(child.job_id)}
    assert edges == {"afterok:1.vm", "afterok:2.vm"}
    assert fake.jobs()[2]["depend"] == [["afterok", "1"], ["afterok", "2"]]


def test_a_job_that_waits_for_one_that_was_cancelled_before_it_started_is_let_go(fake_pbs, openpbs):
    first = openpbs.submit(command="true")
    child = openpbs.submit(command="true", after=[first.job_id])
    openpbs.cancel(first.job_id)
    openpbs.refresh()

    fake_pbs.run(child.scheduler_job_id)

    assert child.wait(timeout=60).state is JobState.SUCCEEDED


def test_a_job_that_waits_for_the_failure_of_one_that_was_cancelled_before_it_started_is_let_go(fake_pbs, openpbs):
    other = openpbs.submit(command="exit 1")
    fake_pbs.run(other.scheduler_job_id)
    first = openpbs.submit(command="true")
    child = openpbs.submit(command="true", after_failure=[first.job_id])
    openpbs.cancel(first.job_id)
    openpbs.refresh()

    fake_pbs.run(child.scheduler_job_id)

    assert child.wait(timeout=60).state is JobState.SUCCEEDED


def test_what_waits_for_an_array_is_held_in_molq(fake_pbs, openpbs):
    array = openpbs.submit(command="exit $PBS_ARRAY_INDEX", scheduling=JobScheduling(array_spec="0-2"))
    child = openpbs.submit(command="true", after_failure=[array.job_id])
    assert len(fake_pbs.jobs()) == 1

    for index in (1, 2, 0):  # the server judges by the last, which succeeds
        fake_pbs.run(f"{array.scheduler_job_id}_{index}")
    openpbs.refresh()
    openpbs.refresh()

    assert len(fake_pbs.jobs()) == 2
    fake_pbs.run(openpbs.get(child.job_id).scheduler_job_id)
    assert openpbs.watch([child.job_id], timeout=60)[0].state is JobState.SUCCEEDED


def test_the_command_line_takes_the_options_of_pbs(fake_pbs, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    named = ("qsub_path", "qstat_path", "qdel_path", "qselect_path", "qalter_path", "dialect")
    pairs = [f"-o{name}={getattr(fake_pbs.options, name)}" for name in named]

    def molq(*words):
        argv = [sys.executable, "-m", "molq", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = molq("submit", "pbs", *pairs, "--cpus", "2", "--memory", "1G", "--dry-run", "--", "true")
    job_id = molq("submit", "pbs", *pairs, "--", "echo", "hello").split()[0]
    fake_pbs.run("1.vm")

    assert "#PBS -l select=1:ncpus=2:mem=1gb\n" in shown
    assert "succeeded" in molq("watch", job_id)
    assert molq("logs", job_id) == "hello\n"
    assert "23.06.06" in molq("doctor", "pbs", *pairs)
