"""Answer one poll: squeue for all jobs, then accounting for those that it has forgotten."""

from __future__ import annotations

from collections.abc import Mapping

from molq.backend import Commands, JobReport, PollAnswer, SubmittedJob
from molq_slurm import job_files
from molq_slurm.accounting import Accounts, Source, ask_accounts
from molq_slurm.array_reports import ArrayView, report_array, view_array
from molq_slurm.options import SlurmSchedulerOptions
from molq_slurm.programs import is_job_id, tag_in
from molq_slurm.queue_listing import QueueListing, QueueRow, ask_queue
from molq_slurm.reports import is_stale, is_thin, report_from_accounts, report_from_queue


def poll_jobs(
    jobs: tuple[SubmittedJob, ...], options: SlurmSchedulerOptions, commands: Commands, now: float
) -> PollAnswer:
    """Return what Slurm says of jobs, by one command, or two when jobs have left the queue.

    Raises:
        SchedulerError: squeue could not be asked.
    """
    known = {job.scheduler_job_id: job for job in jobs if is_job_id(job.scheduler_job_id)}
    strange = frozenset(job.scheduler_job_id for job in jobs) - known.keys()
    if not known:
        return PollAnswer(reports=(), unanswered=strange)
    listing = ask_queue(known, options, commands)
    arrays = {job_id: view_array(job, listing.rows.get(job_id, ())) for job_id, job in known.items() if job.is_array}
    singles = {job_id: job for job_id, job in known.items() if not job.is_array}
    to_account = [job_id for job_id, job in singles.items() if _needs_accounting(job, listing.rows.get(job_id))]
    to_account += [job_id for job_id, view in arrays.items() if view.needs_accounting]
    accounts = ask_accounts(to_account, options, commands) if to_account else Accounts(Source.ANSWERED)
    answers = [*_answer_singles(singles, listing, accounts, now), *_answer_arrays(arrays, accounts, now)]
    reports = tuple(answer for answer in answers if isinstance(answer, JobReport))
    reported = {report.scheduler_job_id for report in reports}
    unanswered = {answer for answer in answers if isinstance(answer, str)} | (listing.garbled & known.keys())
    return PollAnswer(reports=reports, unanswered=frozenset(unanswered - reported) | strange)


def _needs_accounting(job: SubmittedJob, rows: tuple[QueueRow, ...] | None) -> bool:
    if rows:
        # Only accounting knows who cancelled a job.
        return rows[0].state == "CANCELLED" and rows[0].reason != "DependencyNeverSatisfied"
    return job_files.exit_code(job.job_dir) != 0


def _answer_singles(
    jobs: Mapping[str, SubmittedJob], listing: QueueListing, accounts: Accounts, now: float
) -> list[JobReport | str]:
    answers: list[JobReport | str] = []
    for job_id, job in jobs.items():
        rows, accounted = listing.rows.get(job_id), accounts.rows.get(job_id)
        if rows:
            by = accounted[0].cancelled_by if accounted else None
            answers.append(report_from_queue(rows[0], tag_in(rows[0].free_text, job), by))
        elif accounted:
            row = accounted[0]
            tag = tag_in(row.submit_line, job) if row.submit_line else None
            if is_thin(row, now):
                answers.append(job_id)
            elif not is_stale(row, now):
                answers.append(report_from_accounts(row, tag))
        elif accounts.source is Source.FAILED:
            answers.append(job_id)
    return answers


def _answer_arrays(arrays: Mapping[str, ArrayView], accounts: Accounts, now: float) -> list[JobReport | str]:
    answers: list[JobReport | str] = []
    for job_id, view in arrays.items():
        answer = report_array(view, accounts if view.needs_accounting else None, now)
        if isinstance(answer, JobReport):
            answers.append(answer)
        elif answer is Source.FAILED:
            answers.append(job_id)
    return answers
