"""Jobs on the fake LSF, submitted and followed as a user does."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import molq
from molq import (
    Duration,
    JobExecution,
    JobResources,
    JobScheduling,
    JobState,
    LSFSchedulerOptions,
    Memory,
    RetryBackoff,
    RetryPolicy,
    SubmitError,
    Submitor,
)
from molq_lsf.testing import FakeLSF, FakeSpectrumLSF


@pytest.fixture(params=[FakeLSF, FakeSpectrumLSF])
def lsf(request, tmp_path):
    """A fake LSF of either kind."""
    return request.param(tmp_path)


@pytest.fixture
def submitor(lsf, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Submitor("lab", "lsf", scheduler_options=lsf.options) as one:
        yield one


def test_a_job_runs_and_its_end_is_known(lsf, submitor):
    job = submitor.submit(command="echo hello; exit 3", execution=JobExecution(job_name="it's\nmine [1]"))
    lsf.run(job.scheduler_job_id)

    record = job.wait(timeout=60)

    assert (record.state, record.exit_code, record.job_name) == (JobState.FAILED, 3, "it's\nmine [1]")
    assert Path(record.stdout_path).read_text() == "hello\n"


def test_what_a_command_holds_is_no_directive(lsf, submitor, tmp_path):
    text = f"x\n#BSUB -q nosuch\n_USER_SCRIPT_\ntouch {tmp_path}/canary\n"
    job = submitor.submit(argv=["printf", "%s", text])
    lsf.run(job.scheduler_job_id)

    record = job.wait(timeout=60)

    assert record.state is JobState.SUCCEEDED
    assert Path(record.stdout_path).read_text() == text
    assert not (tmp_path / "canary").exists()
    assert lsf.jobs()[0]["queue"] == "normal"


def test_the_name_that_lsf_shows_ends_in_the_users(lsf, submitor):
    submitor.submit(command="true", execution=JobExecution(job_name="train"))

    (job,) = lsf.jobs()

    assert job["name"].endswith(".train" if lsf.dialect == "openlava" else "train")


def test_every_field_of_the_reference_reaches_lsf(fake_spectrum, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Submitor("lab", "lsf", scheduler_options=fake_spectrum.options) as submitor:
        submitor.submit(
            argv=["true"],
            resources=JobResources(cpu_count=4, memory=Memory.gb(1), time_limit=Duration.hours(2)),
            scheduling=JobScheduling(queue="excl", account="acc", node_count=2, exclusive_node=True, priority="9"),
        )

    (job,) = fake_spectrum.jobs()
    said = job["events"][0][1]
    assert (job["slots"], job["run_limit"], job["memory_limit"]) == (8, 120, 2097152)
    assert (job["queue"], job["project"]) == ("excl", "acc")
    assert "Requested Resources <span[ptile=4] rusage[mem=1024]>" in said


def test_a_submission_whose_reply_is_lost_is_adopted_and_not_repeated(lsf, submitor):
    lsf.accept_but_hang()

    job = submitor.submit(command="true")
    submitor.refresh()

    assert submitor.get(job.job_id).scheduler_job_id == "1"
    assert len(lsf.jobs()) == 1


def test_a_submission_that_a_daemon_hears_later_is_adopted(lsf, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    options = attrs.evolve(lsf.options, command_timeout=Duration(1))
    with Submitor("lab", "lsf", scheduler_options=options) as submitor:
        lsf.hang()
        job = submitor.submit(command="true")
        lsf.come_back()
        wait_for_the_end_of_bsub(submitor.get(job.job_id))
        submitor.refresh()

        assert submitor.get(job.job_id).scheduler_job_id == "101"
        assert len(lsf.jobs()) == 1


def wait_for_the_end_of_bsub(record):
    """Wait for the lock that bsub holds."""
    with open(Path(record.job_dir) / "submit.lock", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_a_refusal_is_told_in_lsfs_words(submitor):
    with pytest.raises(SubmitError, match="nosuch: No such queue"):
        submitor.submit(command="true", scheduling=JobScheduling(queue="nosuch"))


@pytest.mark.parametrize(
    "request_", [{"scheduling": JobScheduling(reservation="r")}, {"resources": JobResources(gpu_count=1)}]
)
def test_what_openlava_lacks_is_refused_before_it_is_misunderstood(fake_lsf, tmp_path, monkeypatch, request_):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with (
        Submitor("lab", "lsf", scheduler_options=fake_lsf.options) as submitor,
        pytest.raises(SubmitError, match="OpenLava has no"),
    ):
        submitor.submit(command="true", **request_)

    assert "bsub" not in [words[0] for words in fake_lsf.commands_run if "-V" not in words]


@pytest.mark.parametrize("flags", [("-app", "fluent"), ("-env", "none"), ("-x", "fluent")])
def test_flags_that_openlava_takes_for_something_else_are_refused(fake_lsf, tmp_path, monkeypatch, flags):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    options = attrs.evolve(fake_lsf.options, extra_bsub_flags=flags)

    with (
        Submitor("lab", "lsf", scheduler_options=options) as one,
        pytest.raises(SubmitError, match="OpenLava"),
    ):
        one.submit(command="true")

    assert fake_lsf.jobs() == ()


def test_flags_that_openlava_has_reach_it(fake_lsf, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    options = attrs.evolve(fake_lsf.options, extra_bsub_flags=("-P", "some-project", "-r", "-n2", "-q", "short"))

    with Submitor("lab", "lsf", scheduler_options=options) as one:
        one.submit(command="true")

    (job,) = fake_lsf.jobs()
    assert (job["project"], job["slots"], job["queue"]) == ("some-project", 2, "short")


def test_quality_of_service_is_refused_by_name(submitor):
    with pytest.raises(molq.ConfigError, match="qos"):
        submitor.submit(command="true", scheduling=JobScheduling(qos="high"))


def test_each_element_of_an_array_has_files_of_its_own(lsf, submitor):
    job = submitor.submit(command="echo $LSB_JOBINDEX", scheduling=JobScheduling(array_spec="1-2%1"))
    for index in (1, 2):
        lsf.run(f"{job.scheduler_job_id}_{index}")

    record = job.wait(timeout=60)

    assert record.state is JobState.SUCCEEDED
    for index in (1, 2):
        assert Path(f"{record.stdout_path}.{index}").read_text() == f"{index}\n"


def test_a_job_that_kills_itself_is_no_success(lsf, submitor):
    job = submitor.submit(command="kill -9 $$")
    lsf.run(job.scheduler_job_id)

    record = job.wait(timeout=60)

    assert (record.state, record.signal, record.exit_code) == (JobState.FAILED, 9, 137)


def test_a_job_that_dies_with_all_its_shells_is_no_success_whatever_lsf_says(lsf, submitor):
    job = submitor.submit(command="kill -9 0")
    assert lsf.run(job.scheduler_job_id) == -9

    submitor.refresh()

    said = lsf.jobs()[0]["state"]
    assert said == ("DONE" if lsf.dialect == "openlava" else "EXIT")
    assert submitor.get(job.job_id).state is (JobState.RUNNING if lsf.dialect == "openlava" else JobState.FAILED)


def test_a_cancelled_job_is_cancelled_by_evidence(lsf, submitor):
    job = submitor.submit(command="true")
    lsf.start(job.scheduler_job_id)

    submitor.cancel(job.job_id)

    record = submitor.get(job.job_id)
    assert (record.state, record.cause) == (JobState.CANCELLED, "cancelled")


def test_a_cancelled_array_is_cancelled_with_all_its_elements(lsf, submitor):
    job = submitor.submit(command="true", scheduling=JobScheduling(array_spec="1-4"))
    lsf.start(f"{job.scheduler_job_id}_1")
    lsf.finish(f"{job.scheduler_job_id}_2", 0)

    submitor.cancel(job.job_id)

    record = submitor.get(job.job_id)
    assert (record.state, record.cause) == (JobState.CANCELLED, "cancelled")


def test_a_chain_waits_in_lsf_and_is_judged_by_molq(lsf, submitor):
    first = submitor.submit(command="true")
    second = submitor.submit(command="true", after_success=[first.job_id])
    (edge,) = submitor.get_dependencies(second.job_id)
    lsf.run(first.scheduler_job_id)
    submitor.refresh()
    lsf.forget(first.scheduler_job_id)

    third = submitor.submit(command="true", after_success=[first.job_id])  # LSF would refuse an id that it forgot

    assert edge.scheduler_dependency == f"done({first.scheduler_job_id})"
    assert lsf.jobs()[1]["dependency"] == f"done({first.scheduler_job_id})"
    assert lsf.jobs()[2]["dependency"] == ""
    assert third.scheduler_job_id == "3"


def test_a_job_may_wait_for_more_than_fits_into_a_line_of_a_script(lsf, submitor):
    first = submitor.submit(command="true")
    condition = " && ".join([f"done({first.scheduler_job_id})"] * 500)

    last = submitor.submit(command="true", scheduling=JobScheduling(dependency=condition))

    waiting = next(job for job in lsf.jobs() if str(job["id"]) == last.scheduler_job_id)
    assert waiting["dependency"] == condition


def test_whoever_waits_for_an_array_is_held_back_until_molq_knows_its_end(lsf, submitor):
    array = submitor.submit(command="test $LSB_JOBINDEX -ne 2", scheduling=JobScheduling(array_spec="1-2"))
    cleaner = submitor.submit(command="true", after_failure=[array.job_id])
    before = len(lsf.jobs())
    for index in (1, 2):
        lsf.run(f"{array.scheduler_job_id}_{index}")
    array.wait(timeout=60)
    submitor.refresh()

    assert before == 2
    assert submitor.get(cleaner.job_id).scheduler_job_id == "2"
    assert lsf.jobs()[-1]["dependency"] == ""


def test_whoever_waits_for_a_job_that_is_tried_again_waits_for_its_next_attempt(lsf, submitor):
    policy = RetryPolicy(max_attempts=2, backoff=RetryBackoff(mode="fixed", initial_seconds=0))
    first = submitor.submit(command="exit 3", retry=policy)
    second = submitor.submit(command="true", after_success=[first.job_id])
    lsf.run(first.scheduler_job_id)
    for _ in range(3):
        submitor.refresh()

    again = submitor.get_retry_family(first.job_id)[-1]
    assert (again.attempt, again.scheduler_job_id) == (2, "3")
    assert lsf.jobs()[1]["dependency"] == "done(3)"
    assert submitor.get(second.job_id).scheduler_job_id == "2"


def test_an_outage_changes_no_state(lsf, submitor):
    job = submitor.submit(command="true")
    lsf.start(job.scheduler_job_id)
    submitor.refresh()
    lsf.go_down()

    with pytest.raises(molq.SchedulerError):
        submitor.refresh()

    assert submitor.get(job.job_id).state is JobState.RUNNING


def test_a_job_that_is_given_back_to_the_queue_runs_again_under_its_own_id(lsf, submitor):
    job = submitor.submit(command="test -e marker && exit 0; touch marker; kill -9 $PPID")
    lsf.run(job.scheduler_job_id)
    lsf.brequeue(job.scheduler_job_id)
    submitor.refresh()
    lsf.run(job.scheduler_job_id)

    assert job.wait(timeout=60).state is JobState.SUCCEEDED


def test_a_submission_from_within_a_job_inherits_nothing_of_it(lsf, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    for name in ("LSB_JOBID", "LSB_JOBINDEX", "LSB_HOSTS", "LS_SUBCWD", "BSUB_QUIET", "LSB_DEFAULTQUEUE"):
        monkeypatch.setenv(name, "outer")
    monkeypatch.setenv("LS_COLORS", "di=1")
    monkeypatch.setenv("LSF_ENVDIR", "/etc/lsf")
    monkeypatch.chdir(tmp_path)
    with Submitor("lab", "lsf", scheduler_options=lsf.options) as submitor:
        job = submitor.submit(command="env")
        lsf.run(job.scheduler_job_id)
        output = Path(job.wait(timeout=60).stdout_path).read_text().splitlines()

    assert "outer" not in {line.partition("=")[2] for line in output}
    assert {"LS_COLORS=di=1", "LSF_ENVDIR=/etc/lsf"} <= set(output)


def command_line(lsf, tmp_path, *arguments):
    options = [
        f"-o{name}={getattr(lsf.options, name)}" for name in ("bsub_path", "bjobs_path", "bkill_path", "bhist_path")
    ]
    words = [word for option in options for word in ("-o", option[2:])]
    argv = [str(Path(sys.executable).with_name("molq")), *arguments[:2], *words, *arguments[2:]]
    environment = {**os.environ, "MOLQ_HOME": str(tmp_path / "home")}
    return subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_the_command_line_submits_and_follows(lsf, tmp_path):
    done = command_line(lsf, tmp_path, "submit", "lsf", "--json", "--", "echo", "hello")
    assert done.returncode == 0, shlex.join(done.args) + done.stderr
    job = json.loads(done.stdout)
    lsf.run("1")

    argv = [str(Path(sys.executable).with_name("molq")), "watch", job["job_id"]]
    environment = {**os.environ, "MOLQ_HOME": str(tmp_path / "home")}
    watched = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    logged = subprocess.run(
        [argv[0], "logs", job["job_id"]], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (watched.returncode, logged.stdout) == (0, "hello\n"), watched.stderr + logged.stderr


def test_the_options_are_found_by_their_name():
    assert molq.LSFSchedulerOptions is LSFSchedulerOptions
    assert LSFSchedulerOptions().dialect == "auto"
