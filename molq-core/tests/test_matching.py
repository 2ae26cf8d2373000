"""Which report of an answer is about which job: schedulers reuse ids."""

from __future__ import annotations

import attrs
import pytest

from molq.backend import JobReport, PollAnswer
from molq.job_state import JobState
from molq.matching import match, match_nothing
from molq.tracking import TrackedJob


def a_job(job_id, scheduler_job_id="7"):
    values = {field.name: None for field in attrs.fields(TrackedJob)}
    return TrackedJob(**(values | {"job_id": job_id, "scheduler_job_id": scheduler_job_id}))


def a_report(tag, scheduler_job_id="7"):
    return JobReport(scheduler_job_id=scheduler_job_id, tag=tag, native_state="R", state=JobState.RUNNING)


def answer(*reports, unanswered=()):
    return PollAnswer(reports=reports, unanswered=frozenset(unanswered))


@pytest.mark.parametrize("tag", ["ours", None])
def test_a_report_under_a_jobs_id_is_about_it_unless_it_says_otherwise(tag):
    report = a_report(tag)

    matched = match([a_job("ours")], answer(report))

    assert (matched.reports, matched.strangers) == ({"ours": report}, frozenset())


@pytest.mark.parametrize("tag", ["another's", ""])
def test_a_report_with_another_tag_is_a_strangers(tag):
    matched = match([a_job("ours")], answer(a_report(tag)))

    assert (matched.reports, matched.strangers) == ({}, {"ours"})


def test_a_report_without_a_tag_is_about_the_newest_job_that_got_the_id():
    report = a_report(None)

    matched = match([a_job("older"), a_job("newer")], answer(report))

    assert (matched.reports, matched.strangers) == ({"newer": report}, {"older"})


def test_a_job_about_which_nothing_could_be_told_is_not_absent():
    matched = match([a_job("silent"), a_job("absent", "8")], answer(unanswered=["7"]))

    assert (matched.reports, matched.strangers, matched.unanswered) == ({}, frozenset(), {"silent"})


def test_no_answer_says_of_no_job_that_it_is_absent():
    assert match_nothing([a_job("one"), a_job("other", "8")]).unanswered == {"one", "other"}
