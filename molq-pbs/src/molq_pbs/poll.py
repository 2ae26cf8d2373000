"""Answer one poll: qstat for all jobs, then the server's logs for those that it does not know any more."""

from __future__ import annotations

from molq.backend import Commands, JobReport, PollAnswer, SubmittedJob
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.programs import is_job_id
from molq_pbs.queue_listing import Listing, ask_queue
from molq_pbs.reports import report_array, report_job
from molq_pbs.server_logs import ask_logs


def poll_jobs(jobs: tuple[SubmittedJob, ...], options: PBSSchedulerOptions, commands: Commands) -> PollAnswer:
    """Return what PBS says of jobs, by one command, or a few when jobs have left the queue.

    Raises:
        SchedulerError: qstat could not be asked.
    """
    known = {job.scheduler_job_id: job for job in jobs if is_job_id(job.scheduler_job_id)}
    strange = frozenset(job.scheduler_job_id for job in jobs) - known.keys()
    if not known:
        return PollAnswer(reports=(), unanswered=strange)
    listing = ask_queue(known, options, commands, with_elements=any(job.is_array for job in known.values()))
    reports = [report for job in known.values() if (report := _report(job, listing))]
    reports += ask_logs([known[job_id] for job_id in known if job_id in listing.unknown], options, commands)
    reported = {report.scheduler_job_id for report in reports}
    return PollAnswer(reports=tuple(reports), unanswered=(listing.unanswered | strange) - reported)


def _report(job: SubmittedJob, listing: Listing) -> JobReport | None:
    record = listing.records.get(job.scheduler_job_id)
    if "[]" in job.scheduler_job_id:
        return report_array(job, record, listing.elements.get(job.scheduler_job_id, ()))
    return None if record is None else report_job(job, record)
