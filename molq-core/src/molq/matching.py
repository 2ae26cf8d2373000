"""Tell which report of a scheduler's answer is about which job: schedulers reuse ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from molq.backend import JobReport, PollAnswer
from molq.tracking import TrackedJob


@attrs.frozen(kw_only=True)
class Matched:
    """What an answer says of each job that was asked about. Who is in none of these is absent.

    Attributes:
        reports: the reports, by the ids of the jobs that they are about.
        strangers: the jobs under whose scheduler ids the scheduler has other jobs by now.
        unanswered: the jobs about which it could not tell anything.
    """

    reports: Mapping[str, JobReport]
    strangers: frozenset[str]
    unanswered: frozenset[str]


def match(jobs: Sequence[TrackedJob], answer: PollAnswer) -> Matched:
    """Return what an answer says of ``jobs``, which stand in the order in which they were submitted."""
    reports_by_id = {report.scheduler_job_id: report for report in answer.reports}
    newest = {job.scheduler_job_id: job for job in jobs}
    reports, strangers = {}, set()
    for job in jobs:
        report = reports_by_id.get(job.scheduler_job_id or "")
        if report is None:
            continue
        # If an id was reused, a report without a tag can only be about the newest job that got it.
        is_newers = report.tag is None and newest[job.scheduler_job_id] is not job
        if is_newers or report.tag not in (None, job.job_id):
            strangers.add(job.job_id)
        else:
            reports[job.job_id] = report
    unanswered = frozenset(job.job_id for job in jobs if job.scheduler_job_id in answer.unanswered)
    return Matched(reports=reports, strangers=frozenset(strangers), unanswered=unanswered)


def match_nothing(jobs: Sequence[TrackedJob]) -> Matched:
    """Return what no answer says of ``jobs``."""
    return Matched(reports={}, strangers=frozenset(), unanswered=frozenset(job.job_id for job in jobs))
