"""What is known of a job at one moment: what the scheduler said, and what the job's folder tells."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path

import attrs

from molq.array_elements import ElementReport
from molq.array_evidence import ArrayEvidence, gather
from molq.backend import JobReport
from molq.job_files import ExitFile, JobFiles, StartFile, UnreadableFilesError, may_have_ended
from molq.job_state import JobState
from molq.tracking import TrackedJob


class Answer(enum.Enum):
    """What the scheduler said of a job."""

    NOT_ASKED = "not asked"
    UNANSWERED = "unanswered"
    ABSENT = "absent"
    REPORTED = "reported"


@attrs.frozen(kw_only=True)
class Evidence:
    """What is known of a job at one moment.

    Attributes:
        answer: what the scheduler said.
        report: its report, if it gave one.
        exit: how the command ended, from the job's folder.
        start: that the script started, from the job's folder.
        is_taken: whether the scheduler has a stranger's job under this job's id; the answer is ABSENT then.
        array: what is known of the elements, if the job is an array.
        is_readable: whether the job's folder could be read, so that its files are all that there are.
    """

    answer: Answer
    report: JobReport | None = None
    exit: ExitFile | None = None
    start: StartFile | None = None
    is_taken: bool = False
    array: ArrayEvidence | None = None
    is_readable: bool = True


def says_nothing_new(job: TrackedJob, report: JobReport) -> bool:
    """Tell, for the many jobs of which nothing changed, that no file need be read."""
    return (
        not job.is_array
        and report.state is job.state
        and not job.state.is_terminal
        and report.native_state == job.native_state
        and report.reason == job.reason
        and report.restarts <= job.restarts
        and job.missing_since is None
        and (job.state is JobState.QUEUED or job.started_at is not None)
        and not (_may_have_run(job) and may_have_ended(job.job_dir))
    )


def _may_have_run(job: TrackedJob) -> bool:
    return job.state is JobState.RUNNING or job.started_at is not None or job.restarts > 0


def evidence_on_disk(
    job: TrackedJob, answer: Answer, report: JobReport | None = None, elements: Sequence[ElementReport] = ()
) -> Evidence:
    """Return what the scheduler said and what the job's folder tells.

    Args:
        job: the job.
        answer: what the scheduler said.
        report: its report, if it gave one.
        elements: what the store has of an array's elements.
    """
    files = JobFiles(Path(job.job_dir))
    if job.is_array:
        return _evidence_on_array(job, files, answer, report, elements)
    try:
        # The start file first: a new run deletes the exit file of the last before it writes its own start file.
        start = files.read_start()
        return Evidence(answer=answer, report=report, exit=files.read_exit(), start=start)
    except UnreadableFilesError:
        return Evidence(answer=answer, report=report, is_readable=False)


def _evidence_on_array(
    job: TrackedJob, files: JobFiles, answer: Answer, report: JobReport | None, elements: Sequence[ElementReport]
) -> Evidence:
    is_answered = answer in (Answer.ABSENT, Answer.REPORTED)
    try:
        array = gather(job, files, report, elements, is_answered=is_answered)
        return Evidence(answer=answer, report=report, array=array)
    except UnreadableFilesError:
        # Of elements that the scheduler does not list, the files might tell.
        array = gather(job, None, report, elements, is_answered=False)
        return Evidence(answer=answer, report=report, array=array, is_readable=False)


def is_surely_over(job: TrackedJob) -> bool:
    """Tell whether the job's script will never run its command again, whatever the scheduler does."""
    if job.is_array:
        return False
    try:
        exit_file = JobFiles(Path(job.job_dir)).read_exit()
    except UnreadableFilesError:
        return False
    return exit_file is not None and exit_file.is_final
