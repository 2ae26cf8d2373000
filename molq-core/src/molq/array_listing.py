"""List the elements of an array, each as the attempt that ran it last knows it."""

from __future__ import annotations

from molq.array_indices import expand_indices
from molq.errors import ConfigError
from molq.job_state import JobState
from molq.records import JobElement, JobRecord
from molq.store import JobStore

_BEFORE_START = (JobState.CREATED, JobState.SUBMITTED, JobState.QUEUED)


def list_elements(store: JobStore, job_id: str) -> list[JobElement]:
    """Return the elements of an array, by the index.

    Args:
        store: where jobs are recorded.
        job_id: any attempt of the array.

    Raises:
        JobNotFoundError: there is no such job.
        ConfigError: it is no array.
    """
    family = store.family(job_id)
    specs = {job.job_id: job.array_spec for job in store.tracked_jobs([record.job_id for record in family])}
    known = store.elements(specs)
    listed: dict[int, JobElement] = {}
    for record in family:
        spec = specs.get(record.job_id)
        if spec is None:
            raise ConfigError(f"job {job_id} is no array, so it has no elements")
        reports = {report.index: report for report in known.get(record.job_id, ())}
        for index in expand_indices(spec):
            report = reports.get(index)
            listed[index] = JobElement(
                job_id=record.job_id,
                index=index,
                state=_unlisted(record) if report is None else report.state,
                exit_code=None if report is None else report.exit_code,
                signal=None if report is None else report.signal,
                cause=None if report is None else report.cause,
                native_state=None if report is None else report.native_state or None,
                stdout_path=f"{record.stdout_path}.{index}",
                stderr_path=f"{record.stderr_path}.{index}",
            )
    return [listed[index] for index in sorted(listed)]


def _unlisted(record: JobRecord) -> JobState | None:
    """Return the state of an element of which nothing was reported."""
    if record.state in _BEFORE_START or record.state is JobState.CANCELLED:
        return record.state
    return None
