"""A job that ended badly is tried again: as often as asked, after the back-off, whoever is there to do it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

from molq.attempts import plan_by_hand
from molq.backend import SubmitDeferred, SubmitReceipt, SubmitRejected
from molq.errors import ConfigError, ScriptError, StoreError
from molq.job_folder import JobFolder, JobPlace
from molq.job_spec import Script
from molq.job_state import JobState
from molq.policies import RetentionPolicy, RetryBackoff, RetryEscalation, RetryPolicy
from molq.quantities import Duration, Memory
from molq.store import JobStore
from molq.submitor import Submitor
from molq.upkeep import Upkeep

THREE = RetryPolicy(max_attempts=3, backoff=RetryBackoff("fixed", 10.0))


def fail(cluster, job, code=3):
    """Let a job run and fail by itself, and learn of it."""
    cluster.start(job)
    cluster.end(job, code)
    cluster.say(job, JobState.FAILED, exit_code=code)
    cluster.refresh()


def next_attempt(cluster, job):
    """Let the back-off pass, and return the attempt that is submitted then."""
    cluster.clock.turn(10)
    cluster.keep_up()
    return cluster.latest(job)


def test_a_failure_and_its_retry_are_written_together(cluster):
    job = cluster.submit(retry=THREE)

    fail(cluster, job)

    first, second = cluster.store.family(job.job_id)
    assert (first.state, second.state) == (JobState.FAILED, JobState.CREATED)
    assert second.job_id != first.job_id
    assert (second.root_job_id, second.attempt, second.previous_attempt_job_id) == (job.job_id, 2, job.job_id)
    assert first.retry_group_id == second.retry_group_id == job.job_id
    assert second.not_before == cluster.clock() + 10
    assert second.scheduler_job_id is None
    assert second.reason.startswith("attempt 2 of 3, since attempt 1 is failed (ended with exit code 3)")
    assert cluster.scheduler.ids == [job.scheduler_job_id]


def test_the_back_off_is_kept_and_any_process_submits_the_attempt(cluster):
    job = cluster.submit(retry=THREE)
    fail(cluster, job)

    cluster.clock.turn(9.9)
    cluster.keep_up()
    assert len(cluster.scheduler.ids) == 1
    cluster.clock.turn(0.1)
    cluster.another_process().keep_up()

    second = cluster.latest(job)
    assert (second.attempt, second.state) == (2, JobState.SUBMITTED)
    assert cluster.scheduler.ids == [job.scheduler_job_id, second.scheduler_job_id]
    assert cluster.steps(second) == ["CREATED", "SUBMITTED"]


def test_there_are_exactly_as_many_attempts_as_asked_for(cluster):
    job = cluster.submit(retry=THREE)

    for _ in range(5):
        fail(cluster, cluster.latest(job))
        next_attempt(cluster, job)

    family = cluster.store.family(job.job_id)
    assert [record.state for record in family] == [JobState.FAILED] * 3
    assert len(cluster.scheduler.ids) == 3


def test_an_attempt_that_succeeds_is_the_last(cluster):
    job = cluster.submit(retry=THREE)
    fail(cluster, job)
    second = next_attempt(cluster, job)
    cluster.start(second)
    cluster.end(second, 0)
    cluster.refresh()

    cluster.clock.turn(1000)
    cluster.keep_up()

    assert [record.state for record in cluster.store.family(job.job_id)] == [JobState.FAILED, JobState.SUCCEEDED]


def test_the_wait_grows_as_the_policy_says(cluster):
    job = cluster.submit(retry=RetryPolicy(max_attempts=4, backoff=RetryBackoff("exponential", 4.0, 10.0, 2.0)))
    waits = []
    for _ in range(3):
        fail(cluster, cluster.latest(job))
        due = cluster.record(cluster.latest(job)).not_before
        waits.append(due - cluster.clock())
        cluster.clock.turn(waits[-1])
        cluster.keep_up()

    assert waits == [4.0, 8.0, 10.0]


@pytest.mark.parametrize(
    ("policy", "state", "facts", "again"),
    [
        (RetryPolicy(2), JobState.FAILED, {"exit_code": 1}, True),
        (RetryPolicy(2), JobState.FAILED, {"cause": "preempted"}, True),
        (RetryPolicy(2), JobState.FAILED, {"cause": "node_fail"}, True),
        (RetryPolicy(2), JobState.TIMED_OUT, {}, True),
        (RetryPolicy(2), JobState.CANCELLED, {}, False),
        (RetryPolicy(2), JobState.SUCCEEDED, {}, False),
        (RetryPolicy(1), JobState.FAILED, {}, False),
        (RetryPolicy(2, (JobState.TIMED_OUT,)), JobState.FAILED, {"exit_code": 1}, False),
        (RetryPolicy(2, retry_on_exit_codes=(75,)), JobState.FAILED, {"exit_code": 75}, True),
        (RetryPolicy(2, retry_on_exit_codes=(75,)), JobState.FAILED, {"exit_code": 1}, False),
        (RetryPolicy(2, retry_on_exit_codes=(137,)), JobState.FAILED, {"signal": 9}, True),
        (RetryPolicy(2, retry_on_exit_codes=(75,)), JobState.TIMED_OUT, {}, True),
    ],
)
def test_a_job_is_tried_again_after_the_ends_that_the_policy_names(cluster, policy, state, facts, again):
    job = cluster.submit(retry=policy)
    cluster.say(job, state, **facts)

    cluster.refresh()

    assert len(cluster.store.family(job.job_id)) == (2 if again else 1)


def test_an_attempt_runs_the_bytes_of_the_first_ones_script(cluster):
    script = cluster.folder / "mine.sh"
    script.write_text("#!/bin/sh\necho first\n")
    job = cluster.submit(script=Script.path(script), env={"TOKEN": "secret"}, retry=THREE)
    script.write_text("#!/bin/sh\necho changed\n")
    fail(cluster, job)

    second = next_attempt(cluster, job)

    folder = Path(second.job_dir)
    assert (folder / "payload").read_text() == "#!/bin/sh\necho first\n"
    assert "secret" in (folder / "environment").read_text()
    assert str(folder / "payload") in (folder / "job.sh").read_text()
    assert "secret" not in str(cluster.store.request(second.job_id))


def test_an_attempt_starts_from_the_environment_in_which_the_job_was_submitted(cluster):
    seen = []

    def submit(request, commands):
        seen.append(dict(commands.environment))
        return SubmitReceipt(scheduler_job_id=cluster.scheduler.take(request))

    cluster.backend = cluster.scheduler.backend(molq_submit_job=submit)
    first = attrs.evolve(cluster.submitter, environment={"PATH": "/mine:/bin", "LANG": "x\ny"})
    job = first.submit(cluster.spec(retry=THREE))
    fail(cluster, job)

    next_attempt(cluster, job)

    assert seen == [{"PATH": "/mine:/bin", "LANG": "x\ny"}] * 2
    kept = Path(job.job_dir) / "submitter.environ"
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "request_",
    ["no JSON", "3", '{"scheduling": 3}', '{"retry": {"max_attempts": "many"}}', '{"resources": {"memory": 7}}'],
)
def test_a_request_that_somebody_has_edited_spoils_no_other_job(cluster, caplog, request_):
    edited, other = (cluster.submit(retry=THREE) for _ in range(2))
    with cluster.store._connection.writing() as sqlite:
        sqlite.execute("UPDATE requests SET request = ? WHERE job_id = ?", (request_, edited.job_id))
    for job in (edited, other):
        cluster.say(job, JobState.FAILED)

    cluster.refresh()
    next_attempt(cluster, other)

    assert cluster.state(edited) is JobState.FAILED
    assert cluster.latest(other).state is JobState.SUBMITTED


def test_an_edited_request_of_a_waiting_attempt_spoils_no_other_job(cluster):
    edited, other = (cluster.submit(retry=THREE) for _ in range(2))
    for job in (edited, other):
        cluster.say(job, JobState.FAILED)
    cluster.refresh()
    waiting = cluster.latest(edited)
    with cluster.store._connection.writing() as sqlite:
        sqlite.execute("UPDATE requests SET request = ? WHERE job_id = ?", ("no JSON", waiting.job_id))

    next_attempt(cluster, other)

    assert cluster.latest(other).state is JobState.SUBMITTED
    assert cluster.latest(edited).waits_in_molq
    assert cluster.latest(edited).reason.startswith("could not be submitted yet: the request of job")


def test_an_attempt_has_the_request_of_the_first_one(cluster):
    job = cluster.submit("python", "train.py", memory=Memory.gb(2), queue="gpu", job_name="mine", retry=THREE)
    fail(cluster, job)

    second = next_attempt(cluster, job)

    first, again = (cluster.scheduler.request(one.scheduler_job_id) for one in (job, second))
    assert (again.resources, again.scheduling, again.job_name) == (first.resources, first.scheduling, "mine")
    assert again.cwd == first.cwd
    assert "python train.py" in again.body
    assert again.stdout_path.parent == Path(second.job_dir)
    assert cluster.record(second).stdout_path == str(again.stdout_path)


def test_the_users_own_output_file_stays_the_same(cluster):
    job = cluster.submit(output_file="out.txt", retry=THREE)
    fail(cluster, job)

    second = next_attempt(cluster, job)

    assert cluster.record(second).stdout_path == cluster.record(job).stdout_path == str(cluster.folder / "out.txt")


def test_after_a_cancel_there_is_no_further_attempt(cluster):
    job = cluster.submit(retry=THREE)
    cluster.start(job)
    cluster.scheduler.cancels_slowly = True
    cluster.cancel(job.job_id)

    fail(cluster, job)
    cluster.clock.turn(1000)
    cluster.keep_up()

    assert len(cluster.store.family(job.job_id)) == 1


def test_a_cancel_during_the_back_off_ends_the_family_without_a_command(cluster):
    job = cluster.submit(retry=THREE)
    fail(cluster, job)

    cluster.cancel(job.job_id)
    cluster.clock.turn(1000)
    cluster.keep_up()

    second = cluster.record(cluster.latest(job))
    assert (second.state, second.cause) == (JobState.CANCELLED, "cancelled")
    assert len(cluster.scheduler.ids) == 1
    assert cluster.scheduler.cancels == []


def test_a_cancel_is_of_the_latest_attempt(cluster):
    job = cluster.submit(retry=THREE)
    fail(cluster, job)
    second = next_attempt(cluster, job)

    cluster.cancel(job.job_id)

    assert cluster.scheduler.cancels == [second.scheduler_job_id]
    assert cluster.state(second) is JobState.CANCELLED


def test_a_job_that_was_refused_at_once_is_not_tried_again(cluster):
    cluster.scheduler.rejects = "no such queue"
    with pytest.raises(Exception, match="no such queue") as caught:
        cluster.submit(retry=THREE)

    assert len(cluster.store.family(caught.value.job_id)) == 1


def test_an_attempt_that_the_scheduler_cannot_take_now_goes_on_waiting(cluster):
    job = cluster.submit(retry=THREE)
    fail(cluster, job)

    def defer(_):
        raise SubmitDeferred("your limit of jobs is reached")

    cluster.scheduler.on_submit = defer
    second = next_attempt(cluster, job)
    assert (second.attempt, second.state, second.waits_in_molq) == (2, JobState.CREATED, True)
    assert "your limit of jobs is reached" in second.reason
    cluster.scheduler.on_submit = lambda _: None
    cluster.clock.turn(60)
    cluster.keep_up()

    assert cluster.state(second) is JobState.SUBMITTED


def test_an_attempt_that_the_scheduler_refuses_has_failed_and_counts(cluster):
    job = cluster.submit(retry=THREE)
    fail(cluster, job)

    def refuse(_):
        raise SubmitRejected("no such account")

    cluster.scheduler.on_submit = refuse
    for _ in range(4):
        next_attempt(cluster, job)

    family = cluster.store.family(job.job_id)
    assert [record.state for record in family] == [JobState.FAILED] * 3
    assert [record.cause for record in family] == ["exit", "submit", "submit"]
    assert family[1].failure_reason == "no such account"


def test_an_attempt_whose_reply_is_lost_is_adopted_and_not_repeated(cluster):
    job = cluster.submit(retry=THREE)
    fail(cluster, job)
    cluster.scheduler.loses_replies = True
    second = next_attempt(cluster, job)
    assert (second.state, second.waits_in_molq) == (JobState.CREATED, False)

    cluster.refresh()

    assert cluster.latest(job).scheduler_job_id == cluster.scheduler.ids[-1]
    assert len(cluster.scheduler.ids) == 2


def test_an_attempt_whose_submitter_died_before_it_submitted_is_submitted_by_another(cluster):
    job = cluster.submit(retry=THREE)
    fail(cluster, job)
    cluster.clock.turn(10)
    second = cluster.latest(job)
    folder = JobFolder.reopen(JobPlace.of(second.job_dir), second.job_id, cluster.clock())
    with folder.submit_lock():
        cluster.store.claim(second, cluster.clock())
        cluster.refresh()
        assert cluster.latest(job).claimed_at is not None, "its submitter still lives"

    for _ in range(3):
        cluster.clock.turn(61)
        cluster.refresh()

    assert cluster.latest(job).attempt == 2
    assert cluster.latest(job).scheduler_job_id == cluster.scheduler.ids[-1]
    assert len(cluster.scheduler.ids) == 2


def test_two_processes_submit_an_attempt_once(cluster):
    job = cluster.submit(retry=THREE)
    fail(cluster, job)
    cluster.clock.turn(10)
    other = cluster.another_process()
    cluster.scheduler.on_submit = lambda _: other.keep_up()

    cluster.keep_up()

    assert len(cluster.scheduler.ids) == 2


def test_an_attempt_waits_until_it_is_known_that_the_last_one_does_not_go_on(cluster):
    job = cluster.submit(retry=THREE)
    cluster.start(job)
    cluster.say(job, JobState.FAILED, cause="node_fail")
    cluster.refresh()
    cluster.fail_polls()

    assert next_attempt(cluster, job).waits_in_molq
    cluster.fail_polls(down=False)
    cluster.clock.turn(31)
    cluster.keep_up()

    assert cluster.latest(job).state is JobState.SUBMITTED


def test_an_attempt_waits_while_the_scheduler_cannot_tell_whether_the_last_one_is_over(cluster):
    job = cluster.submit(retry=THREE)
    cluster.start(job)
    cluster.say(job, JobState.FAILED, cause="node_fail")
    cluster.refresh()
    cluster.scheduler.leave_unanswered(job.scheduler_job_id)

    second = next_attempt(cluster, job)

    assert second.waits_in_molq
    assert second.reason == "waits until the scheduler can tell whether the last attempt is over"


def test_a_job_that_the_scheduler_starts_again_by_itself_is_not_tried_again_beside(cluster):
    job = cluster.submit(retry=THREE)
    cluster.start(job)
    cluster.say(job, JobState.FAILED, cause="node_fail")
    cluster.refresh()
    cluster.say(job, JobState.QUEUED, restarts=1)

    next_attempt(cluster, job)

    assert [record.state for record in cluster.store.family(job.job_id)] == [JobState.QUEUED]
    assert len(cluster.scheduler.ids) == 1


def test_more_memory_is_asked_for_after_the_memory_was_too_little(cluster):
    policy = RetryPolicy(
        4, backoff=RetryBackoff("fixed", 10.0), escalate=RetryEscalation(memory_factor=2, memory_cap=Memory.gb(6))
    )
    job = cluster.submit(memory=Memory.gb(2), time_limit=Duration.hours(1), retry=policy)
    asked = []
    for _ in range(3):
        attempt = cluster.latest(job)
        cluster.say(attempt, JobState.FAILED, cause="out_of_memory")
        cluster.refresh()
        next_attempt(cluster, job)
        asked.append(cluster.scheduler.request(cluster.latest(job).scheduler_job_id).resources)

    assert [resources.memory for resources in asked] == [Memory.gb(4), Memory.gb(6), Memory.gb(6)]
    assert {resources.time_limit for resources in asked} == {Duration.hours(1)}
    assert cluster.store.request(cluster.latest(job).job_id)["resources"]["memory"] == "6G"


def test_more_time_is_asked_for_after_a_time_limit(cluster):
    policy = RetryPolicy(2, backoff=RetryBackoff("fixed", 10.0), escalate=RetryEscalation(time_factor=1.5))
    job = cluster.submit(memory=Memory.gb(2), time_limit=Duration.hours(1), retry=policy)
    cluster.say(job, JobState.TIMED_OUT)
    cluster.refresh()

    second = next_attempt(cluster, job)

    asked = cluster.scheduler.request(second.scheduler_job_id).resources
    assert (asked.memory, asked.time_limit) == (Memory.gb(2), Duration.minutes(90))
    assert second.time_limit == 5400


def test_a_cap_never_takes_away_what_there_was(cluster):
    policy = RetryPolicy(2, backoff=RetryBackoff("fixed", 10.0), escalate=RetryEscalation(2, Memory.gb(1)))
    job = cluster.submit(memory=Memory.gb(2), retry=policy)
    cluster.say(job, JobState.FAILED, cause="out_of_memory")
    cluster.refresh()

    assert cluster.scheduler.request(next_attempt(cluster, job).scheduler_job_id).resources.memory == Memory.gb(2)


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_a_job_that_is_over_may_be_tried_again_by_hand(cluster, state):
    job = cluster.submit()
    cluster.say(job, state)
    cluster.refresh()

    assert plan_by_hand(cluster.store, job.job_id, cluster.clock())
    cluster.keep_up()

    second = cluster.latest(job)
    assert (second.attempt, second.state) == (2, JobState.SUBMITTED)
    assert {record.retry_group_id for record in cluster.store.family(job.job_id)} == {job.job_id}


def test_a_job_that_is_not_over_is_not_tried_again_by_hand(cluster):
    job = cluster.submit()

    assert not plan_by_hand(cluster.store, job.job_id, cluster.clock())


def test_an_attempt_whose_first_folder_is_gone_has_failed_and_says_so(cluster):
    job = cluster.submit(command="exit 3", retry=RetryPolicy(2, backoff=RetryBackoff("fixed", 10.0)))
    fail(cluster, job)
    (Path(job.job_dir) / "payload").unlink()

    second = cluster.record(next_attempt(cluster, job))

    assert (second.state, second.cause) == (JobState.FAILED, "submit")
    assert "cannot read the script" in second.failure_reason


def test_an_attempt_whose_files_are_not_seen_from_here_goes_on_waiting(cluster):
    job = cluster.submit(command="exit 3", retry=THREE)
    fail(cluster, job)
    os.rename(cluster.folder, f"{cluster.folder}.away")

    second = next_attempt(cluster, job)
    assert second.waits_in_molq
    assert "could not be submitted from this machine" in second.reason
    os.rename(f"{cluster.folder}.away", cluster.folder)
    cluster.clock.turn(31)
    cluster.keep_up()

    assert cluster.state(second) is JobState.SUBMITTED


def test_an_attempt_whose_folder_cannot_be_reached_goes_on_waiting_and_hinders_no_other(cluster):
    (cluster.folder / "gone").mkdir()
    job, other = cluster.submit(cwd=cluster.folder / "gone", retry=THREE), cluster.submit(retry=THREE)
    fail(cluster, job)
    fail(cluster, other)
    shutil.rmtree(cluster.folder / "gone")
    (cluster.folder / "gone").write_text("a file by now")

    next_attempt(cluster, job)

    assert "Not a directory" in cluster.latest(job).reason
    assert cluster.latest(other).state is JobState.SUBMITTED


def test_a_raw_dependency_on_jobs_that_are_over_is_not_repeated(cluster):
    one = cluster.submit(dependency="afterok:77", retry=THREE)
    other = cluster.submit(dependency="singleton", retry=THREE)
    fail(cluster, one)
    fail(cluster, other)
    cluster.clock.turn(10)
    cluster.keep_up()

    asked = [cluster.scheduler.request(cluster.latest(job).scheduler_job_id).dependency for job in (one, other)]
    assert asked == [None, "singleton"]


def test_waiting_for_a_job_is_waiting_for_its_latest_attempt(cluster):
    job = cluster.submit(retry=THREE)

    def fail_once_then_succeed():
        attempt = cluster.latest(job)
        if attempt.state in (JobState.SUBMITTED, JobState.QUEUED, JobState.RUNNING):
            code = 3 if attempt.attempt == 1 else 0
            cluster.start(attempt)
            cluster.end(attempt, code)
            cluster.say(attempt, JobState.FAILED if code else JobState.SUCCEEDED, exit_code=code)

    cluster.clock.on_sleep = fail_once_then_succeed
    cluster.waiter(on_step=cluster.keep_up).wait([job.job_id], timeout=600)

    assert [record.state for record in cluster.store.family(job.job_id)] == [JobState.FAILED, JobState.SUCCEEDED]


def test_a_cancel_in_the_back_off_ends_an_attempt_that_the_scheduler_might_start_again(cluster):
    job = cluster.submit(retry=THREE)
    cluster.start(job)
    cluster.say(job, JobState.FAILED, cause="node_fail")
    cluster.refresh()
    cluster.say(job, JobState.QUEUED, restarts=1)

    cluster.cancel(job.job_id)

    assert cluster.scheduler.cancels == [job.scheduler_job_id]
    assert cluster.state(cluster.latest(job)) is JobState.CANCELLED


def test_of_many_processes_one_asks_whether_an_attempt_is_surely_over(cluster):
    job = cluster.submit(retry=THREE)
    cluster.start(job)
    cluster.say(job, JobState.FAILED, cause="node_fail")
    cluster.refresh()
    cluster.clock.turn(10)
    asked = cluster.scheduler.polls
    other = cluster.another_process()

    with other.poller.turn() as is_ours:
        cluster.keep_up()
        assert is_ours
        assert cluster.latest(job).waits_in_molq
        assert cluster.scheduler.polls == asked
    cluster.keep_up()

    assert cluster.latest(job).state is JobState.SUBMITTED
    assert cluster.scheduler.polls == asked + 1


def test_a_submission_that_fails_in_an_odd_way_hinders_no_other(cluster):
    first, second = (failed(cluster) for _ in range(2))
    cluster.clock.turn(11)
    refused = cluster.latest(first).job_id

    def refuse(request):
        if request.job_id == refused:
            raise ConfigError("the site's policy knows no such account")

    cluster.scheduler.on_submit = refuse
    cluster.keep_up()

    assert cluster.latest(second).state is JobState.SUBMITTED
    assert cluster.latest(first).state is JobState.CREATED


def failed(cluster):
    """Return a job whose first attempt has failed, and whose second is due in ten seconds."""
    job = cluster.submit(retry=RetryPolicy(max_attempts=3, backoff=RetryBackoff("fixed", 10.0)))
    cluster.refresh()
    cluster.start(job)
    cluster.end(job, 3)
    cluster.say(job, JobState.FAILED, exit_code=3)
    cluster.refresh()
    return job


def test_an_attempt_that_was_asked_for_outlives_the_news_of_how_the_last_one_ended(cluster):
    job = cluster.submit()
    cluster.refresh()
    cluster.start(job)
    cluster.look()
    cluster.forget(job)
    for _ in range(4):
        cluster.clock.turn(60)
        cluster.refresh()
    before = cluster.state(job)
    plan_by_hand(cluster.store, job.job_id, cluster.clock())

    Path(job.job_dir, "exit").write_text("3\n")
    cluster.refresh()

    assert (before, cluster.state(job)) == (JobState.LOST, JobState.FAILED)
    assert [record.attempt for record in cluster.store.family(job.job_id)] == [1, 2]


def test_a_retry_is_not_forgotten_because_the_database_could_not_be_read(cluster, monkeypatch):
    job = cluster.submit(retry=RetryPolicy(max_attempts=3))
    cluster.refresh()
    cluster.start(job)
    cluster.end(job, 3)
    cluster.say(job, JobState.FAILED, exit_code=3)

    def fail(job_id):
        raise StoreError(f"disk I/O error while reading {job_id}", path=cluster.store.path)

    with monkeypatch.context() as patch:
        patch.setattr(cluster.store, "request", fail)
        with pytest.raises(StoreError):
            cluster.poller.refresh()
    cluster.refresh()

    assert len(cluster.store.family(job.job_id)) == 2


@pytest.mark.parametrize(
    "edit",
    [
        "json_set(request, '$.resources.time_limit', 'xx')",
        "json_set(request, '$.resources.memory', 'much')",
        "json_set(request, '$.scheduling.node_count', 'two')",
        "json_set(request, '$.retry.max_attempts', 'three')",
        "'no JSON'",
    ],
)
def test_a_request_that_somebody_has_edited_hinders_no_other_job(cluster, edit, caplog):
    edited, other = cluster.submit(retry=RetryPolicy(max_attempts=3)), cluster.submit()
    cluster.refresh()
    with cluster.store._connection.writing() as sqlite:
        sqlite.execute(f"UPDATE requests SET request = {edit} WHERE job_id = ?", (edited.job_id,))
    for job in (edited, other):
        cluster.start(job)
        cluster.end(job, 3)
        cluster.say(job, JobState.FAILED, exit_code=3)

    cluster.refresh()

    assert (cluster.state(other), cluster.state(edited)) == (JobState.FAILED, JobState.FAILED)
    assert f"job {edited.job_id} is not tried again" in caplog.text


@pytest.fixture
def submitor(cluster, monkeypatch):
    monkeypatch.setattr("molq.engine.load_backend", lambda scheduler: cluster.backend)
    return Submitor("c", "memory", store=cluster.store)


def test_a_job_that_has_ended_by_now_can_be_tried_again_at_once(cluster, submitor):
    job = cluster.submit()
    cluster.start(job)
    cluster.say(job, JobState.FAILED, exit_code=3)
    believed = cluster.state(job)

    submitor.retry(job.job_id)

    assert believed is JobState.SUBMITTED
    assert [record.state for record in cluster.store.family(job.job_id)] == [JobState.FAILED, JobState.SUBMITTED]


@pytest.mark.parametrize(("parts", "name"), [({"command": "exit 0"}, "payload"), ({"env": {"A": "1"}}, "environment")])
def test_a_job_whose_folder_was_cleaned_up_is_not_tried_again(cluster, submitor, parts, name):
    job = cluster.submit(**parts)
    cluster.say(job, JobState.SUCCEEDED, exit_code=0)
    cluster.refresh()
    submitor.cleanup(retention_policy=RetentionPolicy(keep_job_dirs_for_days=0, keep_terminal_records_for_days=10_000))

    with pytest.raises(ScriptError, match=f"{name}' is gone, since its folder was cleaned up; submit it anew"):
        submitor.retry(job.job_id)

    assert [record.state for record in cluster.store.family(job.job_id)] == [JobState.SUCCEEDED]


def test_who_found_another_at_it_looks_again_although_nothing_has_changed(cluster):
    job = cluster.submit(retry=THREE)
    cluster.start(job)
    cluster.say(job, JobState.FAILED, cause="node_fail")
    cluster.refresh()
    cluster.clock.turn(10)
    upkeep = Upkeep(poller=cluster.poller, submitter=cluster.submitter)
    with cluster.another_process().poller.turn():
        upkeep.run()
    assert cluster.latest(job).waits_in_molq

    upkeep.run()

    assert cluster.latest(job).state is JobState.SUBMITTED


class OvertakenStore(JobStore):
    """A store in which another process is faster once jobs have been read."""

    overtake = staticmethod(lambda: None)

    def tracked_jobs(self, job_ids):
        jobs = super().tracked_jobs(job_ids)
        overtake, self.overtake = self.overtake, lambda: None
        overtake()
        return jobs


def test_what_another_process_has_submitted_meanwhile_is_not_asked_about_again(cluster):
    job = cluster.submit(retry=THREE)
    cluster.start(job)
    cluster.say(job, JobState.FAILED, cause="node_fail")
    cluster.refresh()
    cluster.clock.turn(10)
    asked, other = cluster.scheduler.polls, cluster.another_process()
    store = OvertakenStore(cluster.store.path)
    store.overtake = other.keep_up

    attrs.evolve(cluster, store=store).keep_up()

    assert cluster.latest(job).state is JobState.SUBMITTED
    assert len(cluster.scheduler.ids) == 2
    assert cluster.scheduler.polls == asked + 1
    store.close()


def test_who_waits_does_what_is_due_but_rests_after_what_took_long(cluster, monkeypatch):
    clock = cluster.clock
    monkeypatch.setattr("molq.upkeep.time", SimpleNamespace(monotonic=clock))
    first, second = cluster.submit(retry=THREE), cluster.submit(retry=THREE)
    fail(cluster, first)
    clock.turn(0.5)
    fail(cluster, second)
    clock.turn(9.5)
    cluster.scheduler.on_submit = lambda _: clock.turn(0.1)
    upkeep = Upkeep(poller=cluster.poller, submitter=cluster.submitter)
    upkeep.run_now_and_then()
    assert cluster.latest(first).state is JobState.SUBMITTED

    clock.turn(0.9)
    upkeep.run_now_and_then()
    assert cluster.latest(second).waits_in_molq
    clock.turn(0.2)
    upkeep.run_now_and_then()

    assert cluster.latest(second).state is JobState.SUBMITTED
