"""Chains of jobs with failures and retries in the middle, on a real Slurm, end as a person expects."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from molq import JobScheduling, JobState, RetryBackoff, RetryPolicy, Submitor

S, F, C = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED

# Fails in its first attempt and succeeds in the second; fails always; succeeds.
FLAKY = 'echo x >>"$KEY"; test "$(wc -l <"$KEY")" -ge 2'
TWICE = RetryPolicy(max_attempts=2, backoff=RetryBackoff("fixed", 1.0))


@pytest.fixture
def submitor(real_slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(real_slurm.conf))
    monkeypatch.setenv("PATH", os.environ["PATH"] + ":/usr/sbin")
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Submitor("lab", "slurm", scheduler_options=real_slurm.options) as one:
        yield one
    real_slurm.cancel_all()


def flaky(submitor, key, **after):
    return submitor.submit(command=f"KEY={key}; {FLAKY}", retry=TWICE, **after).job_id


def bad(submitor, **after):
    return submitor.submit(command="exit 5", retry=TWICE, **after).job_id


def good(submitor, **after):
    return submitor.submit(command="true", **after).job_id


def test_a_diamond_of_thirty_jobs_with_retries_in_the_middle_ends_as_a_person_expects(submitor):
    # It ends when all are submitted: a job that could never run any more would be refused.
    root = submitor.submit(command="until test -e all-submitted; do sleep 0.1; done").job_id
    middle = {
        **{flaky(submitor, f"runs-{number}", after_success=[root]): S for number in range(3)},
        **{bad(submitor, after_success=[root]): F for _ in range(3)},
        **{good(submitor, after_success=[root]): S for _ in range(2)},
    }
    expected = {root: S, **middle}
    for job_id, end in middle.items():
        expected[good(submitor, after_success=[job_id])] = S if end is S else C
        expected[good(submitor, after_failure=[job_id])] = S if end is F else C
    succeeded = [job_id for job_id, end in middle.items() if end is S]
    failed = [job_id for job_id, end in middle.items() if end is F]
    expected[good(submitor, after_success=succeeded)] = S
    expected[good(submitor, after_success=[*succeeded, failed[0]])] = C
    expected[good(submitor, after_failure=failed, after_success=succeeded[:1])] = S
    expected[good(submitor, after_started=failed)] = S
    expected[good(submitor, after=[*expected])] = S
    assert len(expected) == 30
    Path("all-submitted").touch()

    records = submitor.watch([*expected], timeout=150)

    ends = {job_id: record.state for job_id, record in zip(expected, records, strict=True)}
    assert ends == expected
    for job_id, end in middle.items():
        family = submitor.get_retry_family(job_id)
        assert len(family) == (1 if end is family[0].state is S else 2)
    for number in range(3):
        assert Path(f"runs-{number}").read_text() == "x\nx\n"


def test_a_waiting_job_follows_the_next_attempt_and_runs_after_it(submitor):
    parent = flaky(submitor, "runs")
    child = submitor.submit(command="cat runs", after_success=[parent])

    record = child.wait(timeout=90)

    assert record.state is S
    (second,) = submitor.watch([parent], timeout=30)
    (edge,) = submitor.get_dependencies(child.job_id)
    assert edge.scheduler_dependency == f"afterok:{second.scheduler_job_id}"
    assert record.started_at >= second.finished_at - 1
    assert Path(record.stdout_path).read_text() == "x\nx\n"


def test_a_retry_of_an_array_runs_the_failed_elements_alone(submitor):
    command = "I=$SLURM_ARRAY_TASK_ID; test $I != 2 || test -e again || { touch again; exit 4; }; echo x >>runs.$I"
    array = submitor.submit(command=command, scheduling=JobScheduling(array_spec="1-4%3"), retry=TWICE)
    child = submitor.submit(command="true", after_success=[array.job_id])

    record = array.wait(timeout=90)

    assert (record.state, record.attempt) == (S, 2)
    assert {e.index: e.state for e in submitor.get_elements(array.job_id)} == dict.fromkeys(range(1, 5), S)
    assert [Path(f"runs.{index}").read_text() for index in range(1, 5)] == ["x\n"] * 4
    assert child.wait(timeout=60).state is S


def test_an_element_that_is_cancelled_while_it_waits_is_known_at_once(submitor):
    array = submitor.submit(argv=["sleep", "2"], scheduling=JobScheduling(array_spec="0-2%1"))

    submitor.cancel(array.job_id, elements=[2])

    assert {e.index: e.state for e in submitor.get_elements(array.job_id)}[2] is C
    record = array.wait(timeout=60)
    assert (record.state, record.failure_reason) == (C, "1 of 3 elements were cancelled: 2")
