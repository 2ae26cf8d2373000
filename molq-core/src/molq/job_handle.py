"""A handle on one submitted job."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molq.job_state import JobState
    from molq.records import JobRecord
    from molq.submitor import Submitor


class JobHandle:
    """Follows one job, whatever its attempts; returned by ``Submitor.submit``.

    Attributes:
        job_id: molq's id of the job's first attempt, by which the whole family is known.
        cluster_name: the cluster it was submitted to.
        scheduler: the scheduler's name.
    """

    def __init__(self, submitor: Submitor, job_id: str) -> None:
        self._submitor = submitor
        self.job_id = job_id
        self.cluster_name = submitor.cluster_name
        self.scheduler = submitor.scheduler

    def __repr__(self) -> str:
        return f"<JobHandle {self.job_id} on {self.cluster_name} ({self.scheduler})>"

    @property
    def scheduler_job_id(self) -> str | None:
        """The scheduler's id of the latest attempt; None until it is known."""
        return self._submitor.get_latest(self.job_id).scheduler_job_id

    def status(self) -> JobState:
        """Return the latest attempt's state as the store has it.

        The scheduler is not asked; ``refresh`` and ``wait`` do that.
        """
        return self._submitor.get_latest(self.job_id).state

    def refresh(self) -> JobHandle:
        """Ask the scheduler about the cluster's jobs, and return this handle.

        Raises:
            SchedulerError: it could not be asked; the state stays what it was.
        """
        self._submitor.refresh()
        return self

    def wait(self, timeout: float | None = None) -> JobRecord:
        """Return the latest attempt's record when the job is over, however it ended.

        Args:
            timeout: seconds to wait at most; without end by default.

        Raises:
            MolqTimeoutError: it is still active. It goes on.
        """
        return self._submitor.watch([self.job_id], timeout=timeout)[0]

    def __await__(self) -> Generator[Any, None, JobRecord]:
        """Return the latest attempt's record when the job is over: ``record = await handle``."""
        return self._ended().__await__()

    async def _ended(self) -> JobRecord:
        async for record in self._submitor.as_completed_async([self.job_id]):
            return record
        raise AssertionError("a job that is waited for ends, or an error is raised")

    def cancel(self) -> None:
        """Ask the scheduler to end the job; see ``Submitor.cancel``."""
        self._submitor.cancel(self.job_id)
