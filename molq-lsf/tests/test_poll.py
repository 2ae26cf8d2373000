"""What one poll makes of bjobs, bhist and the job's own files; and what is asked beside polls."""

from __future__ import annotations

import os
import time

import attrs
import pytest

from molq.backend import JobState, SchedulerError, SubmittedJob
from molq.commands import SystemCommands
from molq_lsf import LSFSchedulerOptions, hooks
from molq_lsf.poll import poll_jobs
from molq_lsf.testing import FakeLSF, FakeSpectrumLSF


@pytest.fixture
def commands():
    return SystemCommands(hooks.molq_describe_backend(), os.environ)


@pytest.fixture(params=[FakeLSF, FakeSpectrumLSF])
def lsf(request, tmp_path):
    """A fake LSF of either kind, whose kind the options name."""
    return request.param(tmp_path, LSFSchedulerOptions(dialect=request.param.dialect))


@pytest.fixture
def submit(tmp_path, commands):
    """Put a job straight into the fake queue, as a submission would."""

    def put(fake, tag, array=None, *words):
        folder = tmp_path / tag
        folder.mkdir()
        spec = f"[{array}]" if array else ""
        named = [f"molq-{tag}.x{spec}"] if fake.dialect == "openlava" else [f"x{spec}", "-Jd", f"molq:{tag}"]
        reply = commands.run(
            [fake.options.bsub_path, "-J", *named, *words], stdin=f"#!/bin/sh\nexec /bin/sh {folder}/script\n"
        )
        job_id = reply.stdout.partition("<")[2].partition(">")[0]
        return SubmittedJob(
            job_id=tag,
            scheduler_job_id=job_id,
            job_dir=folder,
            submitted_at=time.time(),
            is_array=array is not None,
            array_spec=array,
        )

    return put


def poll(fake, commands, *jobs, after=0.0):
    return poll_jobs(jobs, fake.options, commands, time.time() + after)


def report(fake, commands, job, after=0.0):
    answer = poll(fake, commands, job, after=after)
    assert len(answer.reports) == 1, answer
    return answer.reports[0]


def names(fake):
    return [words[0] for words in fake.commands_run if words[0] != "bsub"]


def test_active_jobs_need_one_command(lsf, commands, submit):
    jobs = [submit(lsf, f"tag-{n}") for n in range(3)]
    for job in jobs:
        lsf.start(job.scheduler_job_id)

    assert len(poll(lsf, commands, *jobs).reports) == 3
    assert names(lsf) == ["bjobs"]


def test_reasons_that_the_table_does_not_tell_need_one_more(fake_lsf, commands, submit):
    jobs = [submit(fake_lsf, f"tag-{n}") for n in range(3)]
    fake_lsf.start(jobs[0].scheduler_job_id)

    answer = poll(fake_lsf, commands, *jobs)

    assert [bool(one.reason) for one in answer.reports] == [False, True, True]
    assert names(fake_lsf) == ["bjobs", "bjobs", "bjobs"]  # the first asks for the version
    assert fake_lsf.commands_run[-1][1:] == ("-a", "-w", "-p", jobs[1].scheduler_job_id, jobs[2].scheduler_job_id)


def test_jobs_that_are_forgotten_need_one_more(lsf, commands, submit):
    jobs = [submit(lsf, f"tag-{n}") for n in range(4)]
    lsf.start(jobs[0].scheduler_job_id)
    for number, job in enumerate(jobs[1:], start=1):
        lsf.finish(job.scheduler_job_id, number)
        lsf.forget(job.scheduler_job_id)

    answer = poll(lsf, commands, *jobs)

    assert [r.exit_code for r in answer.reports] == [None, 1, 2, 3]
    assert names(lsf) == ["bjobs", "bhist"]


def test_exit_codes_that_openlava_does_not_list_need_one_more_which_reads_one_file(fake_lsf, commands, submit):
    jobs = [submit(fake_lsf, f"tag-{n}") for n in range(3)]
    for number, job in enumerate(jobs):
        fake_lsf.finish(job.scheduler_job_id, number)

    answer = poll(fake_lsf, commands, *jobs)

    assert [r.exit_code for r in answer.reports] == [0, 1, 2]
    assert names(fake_lsf) == ["bjobs", "bjobs", "bhist"]  # the first asks for the version
    assert "-n" not in fake_lsf.commands_run[-1]


def test_an_end_that_has_just_been_moved_to_an_old_file_is_found_there(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1")
    fake_lsf.finish(job.scheduler_job_id, 4)
    fake_lsf.switch_log()

    assert report(fake_lsf, commands, job).exit_code == 4


def test_a_job_whose_exit_file_says_success_is_not_looked_up_in_the_history(lsf, commands, submit):
    job = submit(lsf, "tag-1")
    lsf.finish(job.scheduler_job_id)
    lsf.forget(job.scheduler_job_id)

    answer = poll(lsf, commands, job)

    assert (answer.reports, answer.unanswered) == ((), frozenset())
    assert names(lsf) == ["bjobs"]


def test_a_cancel_is_told_from_an_exit_code_of_the_jobs_own(fake_lsf, commands, submit):
    killed, own = submit(fake_lsf, "tag-1"), submit(fake_lsf, "tag-2")
    fake_lsf.start(killed.scheduler_job_id)
    fake_lsf.cancel(killed.scheduler_job_id)
    fake_lsf.finish(own.scheduler_job_id, 130)

    assert report(fake_lsf, commands, killed).state is JobState.CANCELLED
    assert report(fake_lsf, commands, killed).reason == "was cancelled by openlava"
    assert (report(fake_lsf, commands, own).state, report(fake_lsf, commands, own).signal) == (JobState.FAILED, 2)


def test_while_the_history_is_away_no_cause_is_made_up(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1")
    fake_lsf.finish(job.scheduler_job_id, 130)
    fake_lsf.accounting_down()

    answer = poll(fake_lsf, commands, job)

    assert (answer.reports, answer.unanswered) == ((), {job.scheduler_job_id})


def test_a_job_at_its_own_run_limit_timed_out(lsf, commands, submit):
    job = submit(lsf, "tag-1", None, "-W", "5")
    lsf.time_out(job.scheduler_job_id)

    assert (report(lsf, commands, job).state, report(lsf, commands, job).exit_code) == (JobState.TIMED_OUT, 140)


def test_a_job_at_its_queues_run_limit_timed_out_by_the_clients_measure(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1", None, "-q", "short")
    fake_lsf.time_out(job.scheduler_job_id)

    assert report(fake_lsf, commands, job).state is JobState.TIMED_OUT
    assert "bqueues" in names(fake_lsf)


def test_the_signal_of_a_run_limit_without_a_limit_is_a_signal(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1")
    fake_lsf.finish(job.scheduler_job_id, 140)

    one = report(fake_lsf, commands, job)

    assert (one.state, one.signal) == (JobState.FAILED, 12)


def test_a_job_that_was_interrupted_at_its_memory_limit_ran_out_of_memory(lsf, commands, submit):
    job = submit(lsf, "tag-1", None, "-M", "51200")
    lsf.exceed_memory(job.scheduler_job_id)

    one = report(lsf, commands, job)

    assert (one.state, one.cause) == (JobState.FAILED, "out_of_memory")


def test_an_end_without_an_exit_code_is_an_end(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1")
    fake_lsf.lose_status(job.scheduler_job_id)

    one = report(fake_lsf, commands, job)

    assert (one.state, one.exit_code, one.signal) == (JobState.FAILED, None, None)


def test_a_success_is_not_claimed_for_a_script_that_never_came_to_its_end(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1")
    (job.job_dir / "start").write_text("1 2 host 0\n")
    fake_lsf.start(job.scheduler_job_id)
    fake_lsf.kill_outer_shell(job.scheduler_job_id)

    early = poll(fake_lsf, commands, job)
    late = report(fake_lsf, commands, job, after=200)

    assert (early.reports, early.unanswered) == ((), {job.scheduler_job_id})
    assert (late.state, late.cause) == (JobState.FAILED, "signal")


def test_a_success_is_not_claimed_for_a_script_that_never_started(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1")
    fake_lsf.kill_outer_shell(job.scheduler_job_id)

    early = poll(fake_lsf, commands, job)
    late = report(fake_lsf, commands, job, after=200)
    fake_lsf.forget(job.scheduler_job_id)
    forgotten = report(fake_lsf, commands, job, after=200)

    assert (early.reports, early.unanswered) == ((), {job.scheduler_job_id})
    assert (late.state, late.cause) == (forgotten.state, forgotten.cause) == (JobState.FAILED, "launch")


def test_a_job_whose_shell_died_by_the_cancel_was_cancelled_though_openlava_calls_it_done(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1")
    fake_lsf.start(job.scheduler_job_id)
    fake_lsf.cancel_at_launch(job.scheduler_job_id)

    early = poll(fake_lsf, commands, job)
    late = report(fake_lsf, commands, job, after=200)

    assert (early.reports, early.unanswered) == ((), {job.scheduler_job_id})
    assert (late.state, late.cause) == (JobState.CANCELLED, "cancelled")


def test_ibms_lsf_tells_such_a_death_itself(fake_spectrum, commands, submit):
    job = submit(fake_spectrum, "tag-1")
    (job.job_dir / "start").write_text("1 2 host 0\n")
    fake_spectrum.kill_outer_shell(job.scheduler_job_id)

    assert (report(fake_spectrum, commands, job).state, report(fake_spectrum, commands, job).signal) == (
        JobState.FAILED,
        9,
    )


def test_a_new_job_that_the_daemon_does_not_show_yet_is_open(lsf, commands, submit):
    job = submit(lsf, "tag-1")
    lsf.hide(job.scheduler_job_id)

    hidden = poll(lsf, commands, job)
    lsf.show(job.scheduler_job_id)

    assert (hidden.reports, hidden.unanswered) == ((), {job.scheduler_job_id})
    assert report(lsf, commands, job).state is JobState.QUEUED


def test_what_the_history_holds_for_active_since_days_is_absent(lsf, commands, submit):
    job = submit(lsf, "tag-1")
    lsf.hide(job.scheduler_job_id)

    answer = poll(lsf, commands, job, after=200_000)

    assert (answer.reports, answer.unanswered) == ((), frozenset())


def test_a_job_in_an_old_event_file_is_found(lsf, commands, submit):
    job = submit(lsf, "tag-1")
    lsf.finish(job.scheduler_job_id, 6)
    lsf.forget(job.scheduler_job_id)
    lsf.switch_log()

    one = report(lsf, commands, job)

    assert (one.state, one.exit_code, one.tag) == (JobState.FAILED, 6, "tag-1")


def test_a_stranger_in_the_history_is_not_taken_for_the_job(lsf, commands, submit):
    job = submit(lsf, "tag-1")
    lsf.reuse_id(job.scheduler_job_id)
    lsf.finish(job.scheduler_job_id)

    listed = report(lsf, commands, job)

    assert listed.tag == ""


def test_a_wait_before_the_answer_is_not_the_answer(lsf, commands, submit):
    job = submit(lsf, "tag-1")
    lsf.be_busy()

    assert report(lsf, commands, job).state is JobState.QUEUED


def test_a_release_without_json_is_polled_by_its_table(fake_spectrum, commands, submit):
    job = submit(fake_spectrum, "tag-1")
    fake_spectrum.finish(job.scheduler_job_id, 3)
    fake_spectrum.be_old()

    one = report(fake_spectrum, commands, job)

    assert (one.state, one.exit_code, one.tag) == (JobState.FAILED, 3, None)


def test_jobs_that_are_left_out_where_reasons_are_told_are_no_less_there(fake_lsf, commands, submit):
    jobs = [submit(fake_lsf, f"tag-{n}") for n in range(3)]
    fake_lsf.start(jobs[0].scheduler_job_id)
    fake_lsf.start(jobs[1].scheduler_job_id)
    fake_lsf.finish(jobs[1].scheduler_job_id, 3)
    fake_lsf.take_pending_for_a_filter()

    answer = poll(fake_lsf, commands, *jobs)

    assert [one.state for one in answer.reports] == [JobState.RUNNING, JobState.FAILED, JobState.QUEUED]
    assert answer.reports[2].reason
    assert not answer.unanswered


def test_an_array_whose_elements_differ(lsf, commands, submit):
    job = submit(lsf, "tag-a", "1-3")
    lsf.start(f"{job.scheduler_job_id}_1")
    partly = report(lsf, commands, job)
    lsf.finish(f"{job.scheduler_job_id}_1", 0)
    lsf.finish(f"{job.scheduler_job_id}_2", 4)
    lsf.cancel(f"{job.scheduler_job_id}_3")
    whole = report(lsf, commands, job)
    lsf.forget(job.scheduler_job_id)
    forgotten = report(lsf, commands, job)

    assert (partly.state, len(partly.elements)) == (JobState.RUNNING, 3)
    for one in (whole, forgotten):
        assert [e.state for e in one.elements] == [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]
        assert (one.state, one.reason) == (JobState.FAILED, "1 of 3 elements failed: 2")


def test_elements_that_lsf_lists_no_more_are_left_out(lsf, commands, submit):
    job = submit(lsf, "tag-a", "1-3")
    lsf.finish(f"{job.scheduler_job_id}_1", 4)
    lsf.forget(f"{job.scheduler_job_id}_1")

    one = report(lsf, commands, job)

    assert [element.index for element in one.elements] == [2, 3]


def test_elements_that_lsf_lists_no_more_are_looked_up_when_the_others_are_over(lsf, commands, submit):
    job = submit(lsf, "tag-a", "1-3")
    lsf.finish(f"{job.scheduler_job_id}_1", 4)
    lsf.forget(f"{job.scheduler_job_id}_1")
    (job.job_dir / "exit.1").unlink()
    for index in (2, 3):
        lsf.finish(f"{job.scheduler_job_id}_{index}")

    one = report(lsf, commands, job)

    assert [element.exit_code for element in one.elements] == [4, 0, 0]
    assert (one.state, one.reason) == (JobState.FAILED, "1 of 3 elements failed: 1")


def test_an_element_that_was_killed_with_its_shell_keeps_the_array_open_until_that_is_sure(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-a", "1-2")
    (job.job_dir / "start.1").write_text("1 2 host 0\n")
    fake_lsf.kill_outer_shell(f"{job.scheduler_job_id}_1")
    fake_lsf.finish(f"{job.scheduler_job_id}_2")

    assert poll(fake_lsf, commands, job).unanswered == {job.scheduler_job_id}
    assert report(fake_lsf, commands, job, after=200).state is JobState.FAILED


def test_elements_are_cancelled_alone(lsf, commands, submit):
    job = submit(lsf, "tag-a", "1-5")
    lsf.finish(f"{job.scheduler_job_id}_2")
    before = len(lsf.commands_run)

    receipts = hooks.molq_cancel_elements(job, (1, 2, 3, 4, 9), lsf.options, commands)

    assert {receipt.index: receipt.accepted for receipt in receipts} == {1: True, 2: False, 3: True, 4: True, 9: False}
    assert len(lsf.commands_run) - before == 2
    states = {element.index: element.state for element in report(lsf, commands, job).elements}
    assert states == {
        1: JobState.CANCELLED,
        2: JobState.SUCCEEDED,
        3: JobState.CANCELLED,
        4: JobState.CANCELLED,
        5: JobState.QUEUED,
    }


def test_elements_of_a_stranger_are_left_alone(lsf, commands, submit):
    job = submit(lsf, "tag-a", "1")
    lsf.reuse_id(job.scheduler_job_id)

    (receipt,) = hooks.molq_cancel_elements(job, (1,), lsf.options, commands)

    assert not receipt.accepted
    assert lsf.jobs()[0]["state"] == "RUN"


def test_a_cancel_of_a_job_out_of_reach_is_taken(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1")
    fake_lsf.start(job.scheduler_job_id)
    fake_lsf.lose_host(job.scheduler_job_id)

    (receipt,) = hooks.molq_cancel_jobs((job,), fake_lsf.options, commands)

    assert receipt.accepted
    assert report(fake_lsf, commands, job).state is JobState.RUNNING


def test_a_new_job_that_the_daemon_does_not_show_yet_is_cancelled_by_its_id(lsf, commands, submit):
    job = submit(lsf, "tag-1")
    lsf.say("bjobs", "", f"Job <{job.scheduler_job_id}> is not found\n", 255)

    (fresh,) = hooks.molq_cancel_jobs((job,), lsf.options, commands)
    old = attrs.evolve(job, submitted_at=time.time() - 3600)
    (late,) = hooks.molq_cancel_jobs((old,), lsf.options, commands)

    assert (fresh.accepted, late.accepted) == (True, False)


def test_nothing_is_cancelled_of_which_bjobs_says_nothing(lsf, commands, submit):
    job = submit(lsf, "tag-1")
    lsf.say("bjobs")

    with pytest.raises(SchedulerError, match="said nothing"):
        hooks.molq_cancel_jobs((job,), lsf.options, commands)


def test_a_waiting_job_can_be_told_to_wait_for_nothing(lsf, commands, submit):
    upstream = submit(lsf, "tag-1")
    job = submit(lsf, "tag-2", None, "-w", f"done({upstream.scheduler_job_id})")
    before = report(lsf, commands, job).reason

    assert hooks.molq_update_dependencies(job, "", lsf.options, commands) is True
    assert before == "Job dependency condition not satisfied: 1 host" or lsf.dialect == "spectrum"
    assert report(lsf, commands, job).reason == report(lsf, commands, upstream).reason


@pytest.mark.parametrize("happening", ["start", "finish", "reuse_id"])
def test_a_job_that_does_not_wait_is_not_changed(lsf, commands, submit, happening):
    job = submit(lsf, "tag-1")
    getattr(lsf, happening)(job.scheduler_job_id)

    assert hooks.molq_update_dependencies(job, "done(1)", lsf.options, commands) is False


def test_a_condition_on_a_job_that_is_unknown_changes_nothing(lsf, commands, submit):
    job = submit(lsf, "tag-1")

    assert hooks.molq_update_dependencies(job, "done(999)", lsf.options, commands) is False


def test_arrays_are_found_by_their_tags(lsf, commands, submit):
    job, other = submit(lsf, "tag-a", "1-3"), submit(lsf, "tag-b", "2-4")
    lsf.finish(other.scheduler_job_id)
    lsf.forget(other.scheduler_job_id)

    found = hooks.molq_find_jobs(("tag-a", "tag-b", "tag-c"), lsf.options, commands)

    assert [(one.tag, one.scheduler_job_id) for one in found] == [
        ("tag-a", job.scheduler_job_id),
        ("tag-b", other.scheduler_job_id),
    ]


def test_a_program_that_answers_never_is_an_error_in_time(fake_lsf, commands, submit):
    from molq.backend import Duration

    job = submit(fake_lsf, "tag-1")
    fake_lsf.hang()
    options = attrs.evolve(fake_lsf.options, command_timeout=Duration(1))

    with pytest.raises(SchedulerError, match="did not answer"):
        poll_jobs((job,), options, commands, time.time())


def test_doctor_names_what_is_wrong_with_a_site(lsf, commands, tmp_path):
    conf = tmp_path / "etc"
    conf.mkdir()
    (conf / "lsf.conf").write_text('LSF_UNIT_FOR_LIMITS = "MB"\n')
    at_site = SystemCommands(hooks.molq_describe_backend(), {**os.environ, "LSF_ENVDIR": str(conf)})

    good = {finding.name: finding for finding in hooks.molq_probe_site(lsf.options, commands)}
    wrong = {f.name: f for f in hooks.molq_probe_site(attrs.evolve(lsf.options, memory_unit="GB"), at_site)}
    right = {f.name: f for f in hooks.molq_probe_site(attrs.evolve(lsf.options, memory_unit="MB"), at_site)}
    lsf.accounting_down()
    without = {finding.name: finding for finding in hooks.molq_probe_site(lsf.options, commands)}
    lsf.go_down()
    down = {finding.name: finding for finding in hooks.molq_probe_site(lsf.options, commands)}
    lsf.remove()
    gone = {finding.name: finding for finding in hooks.molq_probe_site(lsf.options, commands)}

    assert not any(finding.is_problem for finding in good.values())
    assert good["dialect"].value.startswith(lsf.dialect)
    assert (wrong["memory unit"].is_problem, right["memory unit"].is_problem) == (True, False)
    assert without["history"].is_problem
    assert down["batch daemon"].is_problem
    assert gone["bsub"].is_problem


def test_a_dialect_that_is_set_wrongly_is_a_finding(fake_lsf, commands):
    options = attrs.evolve(fake_lsf.options, dialect="spectrum")

    findings = {finding.name: finding for finding in hooks.molq_probe_site(options, commands)}

    assert findings["dialect"].is_problem


def test_a_stranger_of_whom_only_the_history_knows_is_not_taken_for_the_job(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1")
    fake_lsf.reuse_id(job.scheduler_job_id)
    fake_lsf.finish(job.scheduler_job_id)
    fake_lsf.forget(job.scheduler_job_id)

    assert report(fake_lsf, commands, job).tag == ""


def test_how_a_stranger_ended_under_the_same_id_is_not_how_the_job_ended(fake_lsf, commands, submit):
    stranger = submit(fake_lsf, "tag-1")
    fake_lsf.finish(stranger.scheduler_job_id, 3)
    told = commands.run([fake_lsf.options.bhist_path, "-l", stranger.scheduler_job_id]).stdout
    fake_lsf.forget(stranger.scheduler_job_id)
    fake_lsf.number_from(int(stranger.scheduler_job_id))
    job = submit(fake_lsf, "tag-2")
    fake_lsf.signal(job.scheduler_job_id, 9)
    fake_lsf.say("bhist", told)

    early = poll(fake_lsf, commands, job)
    late = report(fake_lsf, commands, job, after=300)

    assert (early.reports, early.unanswered) == ((), {job.scheduler_job_id})
    assert (late.tag, late.state, late.exit_code) == ("tag-2", JobState.FAILED, None)


def test_of_two_jobs_under_one_id_in_the_history_ours_counts(lsf, commands, submit):
    job = submit(lsf, "tag-1")
    lsf.finish(job.scheduler_job_id, 3)
    lsf.forget(job.scheduler_job_id)
    lsf.number_from(int(job.scheduler_job_id))
    later = submit(lsf, "tag-2")
    lsf.finish(f"{job.scheduler_job_id}", 5)
    lsf.forget(job.scheduler_job_id)

    assert (report(lsf, commands, job).tag, report(lsf, commands, job).exit_code) == ("tag-1", 3)
    assert (report(lsf, commands, later).tag, report(lsf, commands, later).exit_code) == ("tag-2", 5)


def test_how_a_job_ended_that_the_history_does_not_have_yet_is_open_for_a_while(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-1")
    fake_lsf.finish(job.scheduler_job_id, 130)
    fake_lsf.accounting_off()

    early = poll(fake_lsf, commands, job)
    late = report(fake_lsf, commands, job, after=300)

    assert (early.reports, early.unanswered) == ((), {job.scheduler_job_id})
    assert (late.state, late.exit_code, late.cause) == (JobState.FAILED, None, None)


def test_a_job_of_which_bkill_says_nothing_is_not_cancelled(lsf, commands, submit):
    lsf.number_from(12)
    jobs = [submit(lsf, f"tag-{n}") for n in range(2)]
    lsf.say("bkill", "Job <13> is being terminated\n")

    receipts = hooks.molq_cancel_jobs(tuple(jobs), lsf.options, commands)

    assert [(one.scheduler_job_id, one.accepted) for one in receipts] == [("12", False), ("13", True)]


def test_an_array_that_somebody_killed_as_a_whole_while_it_waited_was_cancelled(lsf, commands, submit):
    job = submit(lsf, "tag-a", "1-3")
    commands.run([lsf.options.bkill_path, job.scheduler_job_id])

    one = report(lsf, commands, job)

    assert (one.state, one.cause) == (JobState.CANCELLED, "cancelled")


def test_more_elements_are_cancelled_than_fit_into_a_word(lsf, commands, submit):
    job = submit(lsf, "tag-a", "1-599:2")
    indices = tuple(range(1, 301, 2))

    receipts = hooks.molq_cancel_elements(job, indices, lsf.options, commands)
    (receipt,) = hooks.molq_cancel_jobs((job,), lsf.options, commands)

    assert all(one.accepted for one in receipts)
    assert receipt.accepted
    assert all(one["state"] == "EXIT" for one in lsf.jobs())


def test_an_array_of_which_an_element_goes_on_is_not_cancelled(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-a", "1-3")
    fake_lsf.say(
        "bkill",
        f"Job <{job.scheduler_job_id}[1]> is being terminated\n",
        f"Job <{job.scheduler_job_id}[2]>: Job has already finished\nJob <{job.scheduler_job_id}[3]>: Bad day\n",
        255,
    )

    (receipt,) = hooks.molq_cancel_jobs((job,), fake_lsf.options, commands)

    assert (receipt.accepted, receipt.reason) == (False, "Bad day")


def test_an_array_whose_last_elements_end_meanwhile_is_cancelled(fake_lsf, commands, submit):
    job = submit(fake_lsf, "tag-a", "1-2")
    fake_lsf.say(
        "bkill",
        f"Job <{job.scheduler_job_id}[1]> is being terminated\n",
        f"Job <{job.scheduler_job_id}[2]>: Job has already finished\n",
        255,
    )

    (receipt,) = hooks.molq_cancel_jobs((job,), fake_lsf.options, commands)

    assert receipt.accepted


def test_a_bkill_that_could_not_ask_is_an_error(lsf, commands, submit):
    job = submit(lsf, "tag-1")
    lsf.say("bkill", "", "Failed in an LSF library call: Connection reset by peer\n", 255)

    with pytest.raises(SchedulerError, match="Connection reset"):
        hooks.molq_cancel_jobs((job,), lsf.options, commands)
