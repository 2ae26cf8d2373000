"""An array is one job: its elements are known one by one, by what the scheduler lists and by what they wrote."""

from __future__ import annotations

import pytest

from molq.attempts import plan_by_hand
from molq.backend import CancelReceipt, ElementReport, SchedulerError
from molq.element_cancellation import cancel_elements
from molq.errors import ConfigError
from molq.job_state import JobState
from molq.policies import RetryBackoff, RetryPolicy

Q, R, S, F, C = JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED
TWO = RetryPolicy(max_attempts=2, backoff=RetryBackoff("fixed", 10.0))


def listed(cluster, job, states, **facts):
    cluster.scheduler.list_elements(job.scheduler_job_id, states, **facts)
    cluster.refresh()


def test_elements_are_recorded_one_by_one(cluster):
    job = cluster.submit(array_spec="0-3")

    listed(cluster, job, {0: S, 1: R, 2: Q, 3: Q})

    assert cluster.elements(job) == {0: S, 1: R, 2: Q, 3: Q}
    assert cluster.state(job) is R


def test_what_was_known_of_elements_stays_while_the_scheduler_is_not_asked_or_does_not_answer(cluster):
    job = cluster.submit(array_spec="0-3")
    listed(cluster, job, {0: S, 1: R, 2: Q, 3: Q})

    cluster.look()
    assert cluster.elements(job) == {0: S, 1: R, 2: Q, 3: Q}
    cluster.scheduler.leave_unanswered(job.scheduler_job_id)
    cluster.refresh()

    assert cluster.elements(job) == {0: S, 1: R, 2: Q, 3: Q}


def test_a_look_at_an_array_of_which_nothing_is_new_writes_nothing(cluster):
    job = cluster.submit(array_spec="0-3")
    listed(cluster, job, {0: S, 1: R, 2: Q, 3: Q})
    revision = cluster.store.tracked_job(job.job_id).revision

    cluster.look()

    assert cluster.store.tracked_job(job.job_id).revision == revision


def test_an_array_of_which_one_element_failed_has_failed_and_says_which(cluster):
    job = cluster.submit(array_spec="0-3")

    listed(cluster, job, {0: S, 1: F, 2: S, 3: F}, exit_code=4, cause="exit")

    record = cluster.record(job)
    assert (record.state, record.exit_code, record.cause) == (F, 4, "exit")
    assert record.failure_reason == "2 of 4 elements failed: 1,3"
    assert cluster.steps(job)[-1] == "FAILED"


def test_a_success_does_not_hide_an_exit_file_that_says_otherwise(cluster):
    job = cluster.submit(array_spec="0-1")
    cluster.end(job, 0, element=0)
    cluster.end(job, 137, element=1)

    listed(cluster, job, {0: S, 1: S})

    (first, second) = cluster.store.elements([job.job_id])[job.job_id]
    assert (first.state, first.exit_code) == (S, 0)
    assert (second.state, second.exit_code, second.signal, second.cause) == (F, 137, 9, "signal")
    assert cluster.state(job) is F


def test_an_exit_file_that_says_success_is_believed_whatever_is_listed(cluster):
    job = cluster.submit(array_spec="0-1")
    cluster.end(job, 0, element=0)
    cluster.end(job, 0, element=1)

    listed(cluster, job, {0: F, 1: C})

    assert cluster.state(job) is S


def test_an_array_whose_elements_all_wrote_success_is_over_without_a_question(cluster):
    job = cluster.submit(array_spec="0-2")
    for index in range(3):
        cluster.end(job, 0, element=index)

    cluster.look()

    assert cluster.state(job) is S
    assert cluster.scheduler.polls == 0
    assert cluster.elements(job) == {0: S, 1: S, 2: S}


def test_an_element_that_wrote_a_failure_is_judged_by_the_scheduler_first(cluster):
    job = cluster.submit(array_spec="0-1")
    cluster.end(job, 0, element=0)
    cluster.end(job, 1, element=1)

    in_a_hurry = cluster.look()

    assert in_a_hurry
    assert not cluster.state(job).is_terminal


def test_the_scheduler_still_says_why_an_element_failed_whose_exit_file_was_seen_first(cluster):
    job = cluster.submit(array_spec="0-2")
    listed(cluster, job, {0: R, 1: R, 2: R})
    cluster.end(job, 137, element=0)
    cluster.end(job, 143, element=1)
    cluster.look()

    cluster.scheduler.list_elements(job.scheduler_job_id, {0: F, 1: C, 2: S}, cause="out_of_memory")
    cluster.refresh()

    (first, second, _) = cluster.store.elements([job.job_id])[job.job_id]
    assert (first.state, first.cause, first.exit_code) == (F, "out_of_memory", 137)
    assert second.state is C


def test_elements_that_the_scheduler_forgets_one_by_one_keep_their_ends(cluster):
    job = cluster.submit(array_spec="0-2")
    listed(cluster, job, {0: F, 1: R, 2: Q})
    listed(cluster, job, {1: R, 2: R})
    listed(cluster, job, {2: S})
    cluster.end(job, 0, element=1)
    cluster.refresh()

    assert cluster.elements(job) == {0: F, 1: S, 2: S}
    assert cluster.record(job).failure_reason == "1 of 3 elements failed: 0"


def test_an_array_that_the_scheduler_has_forgotten_is_settled_by_its_exit_files(cluster):
    job = cluster.submit(array_spec="0-1")
    cluster.end(job, 0, element=0)
    cluster.end(job, 2, element=1)
    cluster.forget(job)

    cluster.refresh()

    assert cluster.record(job).failure_reason == "1 of 2 elements failed: 1"


def test_what_cannot_be_asked_changes_no_array(cluster):
    job = cluster.submit(array_spec="0-1")
    listed(cluster, job, {0: R, 1: R})
    cluster.scheduler.leave_unanswered(job.scheduler_job_id)
    for _ in range(5):
        cluster.clock.turn(100)
        cluster.refresh()

    assert cluster.state(job) is R


def test_elements_of_which_nothing_is_known_any_more_are_lost_after_patience(cluster):
    job = cluster.submit(array_spec="0-2")
    listed(cluster, job, {0: S, 1: R, 2: R})
    cluster.forget(job)
    cluster.refresh()
    assert not cluster.state(job).is_terminal

    for _ in range(3):
        cluster.clock.turn(40)
        cluster.refresh()

    record = cluster.record(job)
    assert record.state is JobState.LOST
    assert record.failure_reason.startswith(
        "2 of 3 elements are lost: 1-2; the scheduler does not know the elements 1-2"
    )
    assert cluster.elements(job)[0] is S


def test_a_cancelled_array_that_is_gone_is_cancelled(cluster):
    job = cluster.submit(array_spec="0-2")
    listed(cluster, job, {0: S, 1: R, 2: Q})
    cluster.scheduler.cancels_slowly = True
    cluster.cancel(job.job_id)
    cluster.forget(job)

    cluster.refresh()

    assert cluster.state(job) is C
    assert cluster.elements(job) == {0: S, 1: C, 2: C}


def test_an_array_waits_while_none_has_started_and_runs_from_its_first_start_on(cluster):
    job = cluster.submit(array_spec="0-1%1")
    listed(cluster, job, {0: Q, 1: Q})
    assert cluster.state(job) is Q

    listed(cluster, job, {0: S, 1: Q})

    assert cluster.state(job) is R


def test_only_what_changed_is_written(cluster):
    job = cluster.submit(array_spec="0-1")
    listed(cluster, job, {0: R, 1: Q})
    before = cluster.store.tracked_job(job.job_id).revision

    listed(cluster, job, {0: R, 1: Q})

    assert cluster.store.tracked_job(job.job_id).revision == before


@pytest.mark.parametrize("limit", ["", "%2"])
def test_a_retry_runs_only_the_elements_that_did_not_succeed(cluster, limit):
    job = cluster.submit(array_spec=f"0-9{limit}", retry=TWO)
    listed(cluster, job, {index: F if index in (2, 3, 7) else S for index in range(10)})
    cluster.clock.turn(10)
    cluster.keep_up()

    second = cluster.latest(job)
    assert second.array_spec == f"2-3,7{limit}"
    assert cluster.scheduler.request(second.scheduler_job_id).scheduling.array_spec == f"2-3,7{limit}"
    listed(cluster, second, {2: S, 3: S, 7: S})
    assert cluster.state(second) is S


def test_a_thousand_elements_that_are_alike_are_one_row(cluster):
    job = cluster.submit(array_spec="0-999")
    listed(cluster, job, {index: S if index < 500 else Q for index in range(1000)})

    rows = cluster.store._connection.ask("SELECT indices, state FROM elements")

    assert sorted(rows) == [("0-499", "succeeded"), ("500-999", "queued")]


def test_a_row_whose_indices_were_edited_does_not_spoil_the_poll(cluster):
    job, other = cluster.submit(array_spec="0-1"), cluster.submit()
    with cluster.store._connection.writing() as sqlite:
        sqlite.execute("UPDATE jobs SET array_spec = 'x' WHERE job_id = ?", (job.job_id,))
    cluster.scheduler.list_elements(job.scheduler_job_id, {0: R})
    cluster.say(other, S)

    cluster.refresh()

    assert (cluster.state(job), cluster.state(other)) == (R, S)


def test_elements_that_are_not_run_again_go_on_to_count(cluster):
    policy = RetryPolicy(2, retry_on_exit_codes=(75,), backoff=RetryBackoff("fixed", 10.0))
    job = cluster.submit(array_spec="0-3", retry=policy)
    for index, code in enumerate((0, 75, 1)):
        cluster.end(job, code, element=index)
    listed(cluster, job, {0: S, 1: F, 2: F, 3: C})
    cluster.clock.turn(10)
    cluster.keep_up()
    second = cluster.latest(job)
    assert second.array_spec == "1"

    listed(cluster, second, {1: S})

    assert cluster.elements(second) == {0: S, 1: S, 2: F, 3: C}
    assert cluster.record(second).failure_reason == "1 of 4 elements failed: 2"
    assert len(cluster.store.family(job.job_id)) == 2


def test_an_array_is_not_tried_again_if_no_element_ended_as_the_policy_says(cluster):
    policy = RetryPolicy(2, retry_on_exit_codes=(75,))
    job = cluster.submit(array_spec="0-1", retry=policy)

    listed(cluster, job, {0: F, 1: S}, exit_code=1)

    assert len(cluster.store.family(job.job_id)) == 1


def test_by_hand_all_elements_that_did_not_succeed_are_run_again(cluster):
    job = cluster.submit(array_spec="0-3")
    listed(cluster, job, {0: S, 1: F, 2: C, 3: S})

    plan_by_hand(cluster.store, job.job_id, cluster.clock())

    assert cluster.latest(job).array_spec == "1-2"


def cancelling(cluster, accepted):
    """Let the scheduler accept to cancel these elements, which it then lists no more."""

    def cancel_elements(job, indices):
        return tuple(
            CancelReceipt(scheduler_job_id=job.scheduler_job_id, accepted=i in accepted, reason="no", index=i)
            for i in indices
        )

    cluster.backend = cluster.scheduler.backend(molq_cancel_elements=cancel_elements)


def test_an_element_that_is_gone_after_its_cancel_was_accepted_is_cancelled(cluster):
    cancelling(cluster, {2})
    job = cluster.submit(array_spec="0-2")
    listed(cluster, job, {0: R, 1: R, 2: Q})
    cluster.scheduler.list_elements(job.scheduler_job_id, {0: R, 1: R})

    cancel_elements(cluster.poller, job.job_id, [2])

    assert cluster.elements(job) == {0: R, 1: R, 2: C}
    listed(cluster, job, {0: S, 1: S})
    assert cluster.record(job).failure_reason == "1 of 3 elements were cancelled: 2"


def test_an_array_of_which_an_element_was_cancelled_while_it_waited_does_not_run_by_that(cluster):
    cancelling(cluster, {1})
    job = cluster.submit(array_spec="0-2")
    listed(cluster, job, {0: Q, 1: Q, 2: Q})
    cluster.scheduler.list_elements(job.scheduler_job_id, {0: Q, 2: Q})

    cancel_elements(cluster.poller, job.job_id, [1])

    assert (cluster.elements(job), cluster.state(job)) == ({0: Q, 1: C, 2: Q}, Q)


def test_an_attempt_does_not_run_by_what_an_earlier_one_has_run(cluster):
    job = cluster.submit(array_spec="0-1", retry=TWO)
    listed(cluster, job, {0: S, 1: F}, exit_code=4)
    cluster.clock.turn(11)
    cluster.keep_up()
    second = cluster.latest(job)

    listed(cluster, second, {1: Q})

    record = cluster.record(second)
    assert (record.state, record.native_state, cluster.steps(second)[-1]) == (Q, "QUEUED", "QUEUED")
    assert cluster.elements(second) == {0: S, 1: Q}


def test_a_retry_does_not_wait_for_an_element_of_which_only_molq_knows_that_it_was_cancelled(cluster, caplog):
    cancelling(cluster, {2})
    job = cluster.submit(array_spec="0-2", retry=TWO)
    listed(cluster, job, {0: R, 1: R, 2: Q})
    cluster.scheduler.list_elements(job.scheduler_job_id, {0: R, 1: R})
    cancel_elements(cluster.poller, job.job_id, [2])

    # The array may not be over, for all that this scheduler knows.
    known = tuple(ElementReport(index=i, native_state=state.name, state=state) for i, state in ((0, S), (1, F)))
    cluster.say(job, None, elements=known)
    cluster.refresh()
    cluster.clock.turn(11)
    cluster.keep_up()

    assert cluster.latest(job).state is JobState.SUBMITTED
    assert "is a state that molq does not know" not in caplog.text


def test_a_word_for_an_element_that_nobody_knows_is_told_once(cluster, caplog):
    job = cluster.submit(array_spec="0-1")
    odd = ElementReport(index=1, native_state="ODD", state=None)
    cluster.say(job, None, elements=(ElementReport(index=0, native_state="R", state=R), odd))

    poller = cluster.poller
    poller.refresh()
    poller.refresh()

    assert caplog.text.count("'ODD' is a state that molq does not know") == 1


def test_an_element_whose_cancel_was_accepted_goes_on_until_it_is_over(cluster):
    cancelling(cluster, {1})
    job = cluster.submit(array_spec="0-1")
    listed(cluster, job, {0: R, 1: R})

    cancel_elements(cluster.poller, job.job_id, [1])
    assert cluster.elements(job) == {0: R, 1: R}
    cluster.end(job, 0, element=1)
    listed(cluster, job, {0: S})

    assert cluster.state(job) is S


def test_a_cancelled_element_that_is_gone_and_wrote_that_a_signal_ended_it_is_not_tried_again(cluster):
    cancelling(cluster, {1})
    job = cluster.submit(array_spec="0-1", retry=TWO)
    listed(cluster, job, {0: R, 1: R})
    cancel_elements(cluster.poller, job.job_id, [1])

    cluster.end(job, 143, element=1)
    listed(cluster, job, {0: S})

    assert cluster.elements(job) == {0: S, 1: C}
    assert cluster.latest(job).attempt == 1


def test_a_cancelled_array_that_is_gone_and_wrote_that_a_signal_ended_it_is_cancelled(cluster):
    job = cluster.submit(array_spec="0-1")
    listed(cluster, job, {0: R, 1: R})
    cluster.scheduler.cancels_slowly = True
    cluster.cancel(job.job_id)

    cluster.end(job, 143, element=0)
    cluster.end(job, 143, element=1)
    cluster.forget(job)
    cluster.refresh()

    assert cluster.record(job).failure_reason == "2 of 2 elements were cancelled: 0-1"


def test_a_refused_cancel_of_an_element_is_an_error(cluster):
    cancelling(cluster, set())
    job = cluster.submit(array_spec="0-1")
    listed(cluster, job, {0: R, 1: R})

    with pytest.raises(SchedulerError, match=r"refused to cancel the elements 1 of job 101 .*: no"):
        cancel_elements(cluster.poller, job.job_id, [1])


@pytest.mark.parametrize(("spec", "sentence"), [("0-1", "has the elements 0-1"), (None, "is no array")])
def test_what_is_no_element_cannot_be_cancelled(cluster, spec, sentence):
    cancelling(cluster, {0})
    job = cluster.submit(array_spec=spec)

    with pytest.raises(ConfigError, match=f"{sentence}, so its element 7 cannot be cancelled"):
        cancel_elements(cluster.poller, job.job_id, [7])


def test_an_element_of_an_earlier_attempt_is_over_and_stays_what_it_is(cluster):
    cancelling(cluster, {1})
    job = cluster.submit(array_spec="0,5,7", retry=TWO)
    listed(cluster, job, {0: S, 5: F, 7: S}, exit_code=4)
    cluster.clock.turn(11)
    cluster.keep_up()

    cancel_elements(cluster.poller, job.job_id, [0])

    assert cluster.elements(cluster.latest(job))[0] is S
    with pytest.raises(ConfigError, match="has the elements 0,5,7, so its element 6 cannot be cancelled"):
        cancel_elements(cluster.poller, job.job_id, [6])
    with pytest.raises(ConfigError, match="so its element '5' cannot be cancelled"):
        cancel_elements(cluster.poller, job.job_id, ["5"])


def test_a_lost_element_that_is_not_tried_again_goes_on_to_count(cluster):
    job = cluster.submit(array_spec="0-2", retry=TWO)
    listed(cluster, job, {0: S, 1: F, 2: R})
    cluster.forget(job)
    for _ in range(4):
        cluster.clock.turn(40)
        cluster.refresh()
    cluster.clock.turn(10)
    cluster.keep_up()
    second = cluster.latest(job)
    assert second.array_spec == "1"

    listed(cluster, second, {1: S})

    assert cluster.elements(second) == {0: S, 1: S, 2: JobState.LOST}
    record = cluster.record(second)
    assert record.state is JobState.LOST
    cluster.clock.turn(40)
    cluster.refresh()
    assert cluster.record(second) == record


def test_the_elements_of_an_attempt_that_was_refused_are_tried_again_and_the_others_are_not(cluster):
    job = cluster.submit(array_spec="0-2", retry=RetryPolicy(3, backoff=RetryBackoff("fixed", 10.0)))
    listed(cluster, job, {0: S, 1: F, 2: C})
    cluster.scheduler.rejects = "no such account"
    cluster.clock.turn(10)
    cluster.keep_up()
    cluster.scheduler.rejects = None
    cluster.clock.turn(10)
    cluster.keep_up()

    third = cluster.latest(job)
    assert (third.attempt, third.state, third.array_spec) == (3, JobState.SUBMITTED, "1")
    assert cluster.elements(third) == {0: S, 2: C}


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_by_hand_no_element_is_forgotten_that_an_attempt_never_came_to_run(cluster, is_cancelled):
    job = cluster.submit(array_spec="0-2", retry=TWO)
    listed(cluster, job, {0: S, 1: F, 2: C})
    if is_cancelled:
        cluster.cancel(job.job_id)
    cluster.scheduler.rejects = "no such account"
    cluster.clock.turn(10)
    cluster.keep_up()
    cluster.scheduler.rejects = None

    assert plan_by_hand(cluster.store, job.job_id, cluster.clock())

    third = cluster.latest(job)
    assert (third.attempt, third.array_spec) == (3, "1-2")
    assert cluster.elements(third) == {0: S}
