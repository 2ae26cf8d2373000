"""Cancelling, pointing elsewhere, finding again, and looking at a site."""

from __future__ import annotations

import time

import attrs
import pytest

from molq.backend import JobState, SchedulerError, SubmittedJob
from molq_pbs import hooks
from molq_pbs.cancel import cancel_elements, cancel_jobs
from molq_pbs.dependencies import compile_dependencies, read_dependencies
from molq_pbs.poll import poll_jobs
from molq_pbs.search import find_jobs
from molq_pbs.update import update_dependencies


@pytest.fixture
def submit(fake_pbs, tmp_path, commands):
    def put(tag, *flags, array_spec=None):
        argv = [fake_pbs.options.qsub_path, *flags, "-v", f"MOLQ_TAG={tag}", "--", "true"]
        reply = commands.run(argv)
        assert reply.exit_code == 0, reply
        return SubmittedJob(
            job_id=tag,
            scheduler_job_id=reply.stdout.strip(),
            job_dir=tmp_path,
            submitted_at=time.time(),
            is_array=array_spec is not None,
            array_spec=array_spec,
        )

    return put


@pytest.fixture
def state(fake_pbs, commands):
    def ask(job):
        (report,) = poll_jobs((job,), fake_pbs.options, commands).reports
        return report.state

    return ask


def test_each_job_has_a_qdel_of_its_own(fake_pbs, submit, commands):
    jobs = [submit(f"tag-{n}") for n in range(3)]

    receipts = cancel_jobs(tuple(jobs), fake_pbs.options, commands)

    assert all(receipt.accepted for receipt in receipts)
    assert [words[1:] for words in fake_pbs.commands_run if words[0] == "qdel"] == [("1.vm",), ("2.vm",), ("3.vm",)]


@pytest.mark.parametrize(
    ("fault", "words"),
    [("deny_cancel", "does not let this user"), ("node_down", "may run again")],
)
def test_a_cancel_that_did_not_work_is_told_by_its_words(fake_pbs, submit, commands, state, fault, words):
    job = submit("tag-1")
    fake_pbs.start(job.scheduler_job_id)
    getattr(fake_pbs, fault)()

    (receipt,) = cancel_jobs((job,), fake_pbs.options, commands)

    assert not receipt.accepted
    assert words in receipt.reason
    assert state(job) is JobState.RUNNING


def test_a_job_that_is_just_ending_is_not_cancelled(fake_pbs, submit, commands):
    job = submit("tag-1")
    fake_pbs.exit_slowly(job.scheduler_job_id)

    (receipt,) = cancel_jobs((job,), fake_pbs.options, commands)

    assert (receipt.accepted, receipt.reason) == (False, "the job is already ending")


def test_words_that_nobody_knows_are_an_error(fake_pbs, submit, commands):
    job = submit("tag-1")
    fake_pbs.say("qdel", "", "qdel: what now?\n", 0)

    with pytest.raises(SchedulerError, match="what now"):
        cancel_jobs((job,), fake_pbs.options, commands)


def test_a_cancel_never_crashes_the_server(fake_pbs, submit, commands):
    job = submit("tag-1", "-h")
    unknown = attrs.evolve(job, job_id="tag-2", scheduler_job_id="99.vm")

    receipts = cancel_jobs((job, unknown), fake_pbs.options, commands)

    assert [receipt.accepted for receipt in receipts] == [True, False]
    assert commands.run([fake_pbs.options.qstat_path]).exit_code == 0


def test_elements_that_run_wait_or_are_over(fake_pbs, submit, commands):
    job = submit("tag-a", "-J", "1-4", array_spec="1-4")
    fake_pbs.start("1[1].vm")
    fake_pbs.finish("1[2].vm")

    receipts = cancel_elements(job, (1, 2, 3), fake_pbs.options, commands)

    assert {receipt.index: receipt.accepted for receipt in receipts} == {1: True, 2: False, 3: True}
    assert [words[1] for words in fake_pbs.commands_run if words[0] == "qdel"] == ["1[1].vm", "1[3].vm"]


def test_an_element_of_a_job_that_is_no_array_is_no_id(fake_pbs, submit, commands):
    with pytest.raises(SchedulerError, match="no id of an array"):
        cancel_elements(submit("tag-1"), (1,), fake_pbs.options, commands)


def test_jobs_of_one_condition_share_its_word():
    from molq.backend import UpstreamJob

    compiled = compile_dependencies(
        (
            UpstreamJob(scheduler_job_id="1.s", condition="after_success"),
            UpstreamJob(scheduler_job_id="2.s", condition="after"),
            UpstreamJob(scheduler_job_id="3[].s", condition="after_success"),
        )
    )

    assert compiled.expression == "afterok:1.s:3[].s,afterany:2.s"
    assert compiled.edges == ("afterok:1.s", "afterany:2.s", "afterok:3[].s")


def test_what_a_job_waits_for_is_read_from_what_qstat_shows():
    shown = "afterok:1.s@s:2.s@s,afterany:3[].s@s,beforeok:9.s@s"

    assert read_dependencies(shown) == {("afterok", "1"), ("afterok", "2"), ("afterany", "3[]")}


def depends_on(fake_pbs, submit, kind, upstream, tag="child"):
    return submit(tag, "-W", f"depend={kind}:{upstream.scheduler_job_id}")


def test_a_job_is_pointed_elsewhere_only_if_nothing_else_holds_it(fake_pbs, submit, commands):
    first, second = submit("a"), submit("b")
    child = depends_on(fake_pbs, submit, "afterok", first)

    changed = update_dependencies(child, f"afterany:{second.scheduler_job_id}", fake_pbs.options, commands)

    # qalter would leave afterok in place.
    assert changed is False
    assert "qalter" not in {words[0] for words in fake_pbs.commands_run}


def test_a_job_is_never_said_to_wait_that_was_dropped(fake_pbs, submit, commands):
    first = submit("a")
    child = depends_on(fake_pbs, submit, "afterok", first)

    assert update_dependencies(child, "afterok:999.vm", fake_pbs.options, commands) is False


@pytest.mark.parametrize("kinds", [["afterany"], ["afternotok"], ["afterany", "afternotok"]])
def test_a_job_that_waits_in_vain_is_let_go(fake_pbs, submit, commands, kinds):
    failed = submit("failed")
    fake_pbs.finish(failed.scheduler_job_id, 3)
    first = submit("a", "-h")
    child = submit("child", "-W", "depend=" + ",".join(f"{kind}:{first.scheduler_job_id}" for kind in kinds))
    fake_pbs.cancel(first.scheduler_job_id)
    assert fake_pbs.jobs()[-1]["state"] == "H"

    assert update_dependencies(child, "", fake_pbs.options, commands) is True

    assert fake_pbs.jobs()[-1]["state"] == "Q"


@pytest.mark.parametrize("kind", ["afterok", "afternotok"])
def test_a_job_that_would_be_dropped_is_left_alone(fake_pbs, submit, commands, kind):
    first = submit("a", "-h")
    child = depends_on(fake_pbs, submit, kind, first)
    fake_pbs.cancel(first.scheduler_job_id)

    assert update_dependencies(child, "", fake_pbs.options, commands) is False

    assert fake_pbs.jobs()[1]["state"] == "H"


def test_a_job_that_waits_for_good_reason_is_not_let_go(fake_pbs, submit, commands):
    first = submit("a")
    child = depends_on(fake_pbs, submit, "afterany", first)

    assert update_dependencies(child, "", fake_pbs.options, commands) is False

    assert fake_pbs.jobs()[1]["state"] == "H"


def test_what_does_not_wait_needs_no_change(fake_pbs, submit, commands):
    job = submit("a")

    assert update_dependencies(job, "", fake_pbs.options, commands) is True


def test_a_strangers_job_is_never_altered(fake_pbs, submit, commands):
    first, second = submit("a"), submit("b")
    fake_pbs.reuse_id(second.scheduler_job_id)

    assert update_dependencies(second, f"afterok:{first.scheduler_job_id}", fake_pbs.options, commands) is False
    assert "qalter" not in {words[0] for words in fake_pbs.commands_run}


def test_jobs_are_found_in_the_queue_and_in_the_history(fake_pbs, submit, commands):
    tags = [f"2d1516b4-cb6e-48e4-8b89-83633ae3ea5{n}" for n in range(3)]
    jobs = [submit(tag) for tag in tags]
    fake_pbs.finish(jobs[0].scheduler_job_id)

    found = find_jobs((tags[0], tags[2], "other"), 0.0, fake_pbs.options, commands)

    assert [(job.tag, job.scheduler_job_id) for job in found] == [(tags[0], "1.vm"), (tags[2], "3.vm")]
    assert [words[0] for words in fake_pbs.commands_run if words[0] != "qsub"] == ["qselect", "qstat"]


def test_jobs_that_are_older_than_the_search_are_not_looked_at(fake_pbs, submit, commands):
    submit("2d1516b4-cb6e-48e4-8b89-83633ae3ea50")

    found = find_jobs(("2d1516b4-cb6e-48e4-8b89-83633ae3ea50",), time.time() + 60, fake_pbs.options, commands)

    assert found == ()


def test_jobs_are_found_where_there_is_no_history(fake_pbs, submit, commands):
    submit("2d1516b4-cb6e-48e4-8b89-83633ae3ea50")
    fake_pbs.accounting_off()

    found = find_jobs(("2d1516b4-cb6e-48e4-8b89-83633ae3ea50",), 0.0, fake_pbs.options, commands)

    assert [job.scheduler_job_id for job in found] == ["1.vm"]


def test_a_search_in_an_answer_that_is_cut_off_is_an_error(fake_pbs, submit, commands):
    for n in range(2):
        submit(f"2d1516b4-cb6e-48e4-8b89-83633ae3ea5{n}")
    fake_pbs.cut_off("qstat", 200)

    with pytest.raises(SchedulerError, match="did not answer about"):
        find_jobs(("2d1516b4-cb6e-48e4-8b89-83633ae3ea59",), 0.0, fake_pbs.options, commands)


def findings(fake, commands):
    return {finding.name: finding for finding in hooks.molq_probe_site(fake.options, commands)}


def test_doctor_names_what_is_wrong_with_a_site(fake_pbs, commands):
    good = findings(fake_pbs, commands)
    fake_pbs.accounting_off()
    off = findings(fake_pbs, commands)
    fake_pbs.go_down()
    down = findings(fake_pbs, commands)
    fake_pbs.remove()
    gone = findings(fake_pbs, commands)

    assert not any(finding.is_problem for finding in good.values())
    assert "23.06.06" in good["qsub"].value
    assert good["default queue"].value == "workq (queues: workq, long)"
    assert off["job history"].is_problem
    assert down["server"].is_problem
    assert "Connection refused" in down["server"].value
    assert gone["qstat"].is_problem


def test_doctor_tells_a_wrong_dialect(fake_torque, commands):
    right = findings(fake_torque, commands)
    wrong = hooks.molq_probe_site(attrs.evolve(fake_torque.options, dialect="auto"), commands)

    assert not right["dialect"].is_problem
    assert next(f for f in wrong if f.name == "dialect").meaning.startswith("set dialect='torque'")
