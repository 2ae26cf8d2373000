"""What can be asked of the store about attempts, elements and what waits for others. Nothing here writes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

from molq.array_elements import ElementReport
from molq.array_indices import are_indices, expand_indices
from molq.job_state import JobState
from molq.records import JobDependency, JobRecord
from molq.store import rows
from molq.store.questions import OPEN, WAITS_IN_MOLQ, Questions
from molq.tracking import Family, TrackedJob

_LATEST = """
coalesce(
    (SELECT later.job_id FROM jobs later WHERE later.root_job_id = {job}.root_job_id AND later.attempt > 1
     ORDER BY later.attempt DESC LIMIT 1),
    {job}.root_job_id
)
"""


class FamilyQuestions(Questions):
    """The questions that see all attempts of a job as one."""

    def family(self, job_id: str) -> list[JobRecord]:
        """Return all attempts of a job, the first one first.

        Args:
            job_id: any of the attempts.

        Raises:
            JobNotFoundError: there is no such job.
        """
        root = rows.as_column(self.job(job_id).root_job_id)
        found = self._connection.ask(
            f"SELECT {rows.RECORD_COLUMNS} FROM jobs WHERE job_id = ? "
            f"UNION ALL SELECT * FROM (SELECT {rows.RECORD_COLUMNS} FROM jobs "
            "WHERE root_job_id = ? AND attempt > 1 ORDER BY attempt)",
            (root, root),
        )
        return list(rows.records(found))

    def latest_attempts(self, job_ids: Iterable[str]) -> dict[str, str]:
        """Return the latest attempt's id for each of some jobs, without those that are not there."""
        found = self._connection.ask(
            f"SELECT job_id, CASE WHEN max_attempts = 1 AND retry_group_id IS NULL THEN job_id "
            f"ELSE {_LATEST.format(job='jobs')} END FROM jobs WHERE job_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(job_ids)),),
        )
        return dict(found)

    def latest_attempt(self, job_id: str) -> JobRecord:
        """Return the latest attempt of a job.

        Raises:
            JobNotFoundError: there is no such job.
        """
        return self.job(self.latest_attempts([job_id]).get(job_id, job_id))

    def families(self, job_ids: Iterable[str]) -> dict[str, Family]:
        """Return the families of some jobs, by the ids given, without those that are not there."""
        latest = self.latest_attempts(job_ids)
        tracked = {job.job_id: job for job in self.tracked_jobs(set(latest.values()))}
        roots = sorted({job.root_job_id for job in tracked.values() if job.attempt > 1})
        starts: dict[str, float] = dict(
            self._connection.ask(
                "SELECT root.value, (SELECT min(started_at) FROM jobs WHERE job_id = root.value "
                "OR (root_job_id = root.value AND attempt > 1)) FROM json_each(?) root",
                (json.dumps(roots),),
            )
        )
        retried_arrays = [job.job_id for job in tracked.values() if job.is_array and job.attempt > 1]
        elements = self.elements(retried_arrays) if retried_arrays else {}
        return {
            job_id: Family(
                latest=tracked[attempt],
                started_at=starts.get(tracked[attempt].root_job_id, tracked[attempt].started_at),
                carries_failures=_carries_failures(tracked[attempt], elements.get(attempt, ())),
            )
            for job_id, attempt in latest.items()
            if attempt in tracked
        }

    def waiting_in_molq(self, cluster_name: str, scheduler: str, now: float) -> list[TrackedJob]:
        """Return the jobs of a cluster that nobody has begun to submit and whose time has come, oldest first."""
        found = self._connection.ask(
            f"SELECT {rows.TRACKED_COLUMNS} FROM jobs INDEXED BY jobs_waiting_in_molq "
            f"WHERE {WAITS_IN_MOLQ} AND cluster_name = ? AND scheduler = ? AND not_before <= ? "
            "ORDER BY not_before, number",
            (cluster_name, scheduler, now),
        )
        return list(rows.tracked_jobs(found))

    def next_due_after(self, cluster_name: str, scheduler: str, now: float) -> float | None:
        """Return when the next of the jobs that wait in molq is due, of those that are not yet; None without any."""
        found = self._connection.ask(
            "SELECT min(not_before) FROM jobs INDEXED BY jobs_waiting_in_molq "
            f"WHERE {WAITS_IN_MOLQ} AND cluster_name = ? AND scheduler = ? AND not_before > ?",
            (cluster_name, scheduler, now),
        )
        due: float | None = found[0][0]
        return due

    def elements(self, job_ids: Iterable[str]) -> dict[str, tuple[ElementReport, ...]]:
        """Return the elements of some arrays, as far as they are known, by the index."""
        found = self._connection.ask(
            f"SELECT job_id, {rows.ELEMENT_COLUMNS} FROM elements "
            "WHERE job_id IN (SELECT value FROM json_each(?)) ORDER BY job_id",
            (json.dumps(list(job_ids)),),
        )
        return {
            job_id: tuple(sorted(rows.elements(group), key=lambda element: element.index))
            for job_id, group in itertools.groupby(found, key=lambda row: row[0])
        }

    def waiting_edges(self, cluster_name: str, scheduler: str) -> list[JobDependency]:
        """Return the edges of the jobs that wait, whether in the scheduler or in molq, and are not to be cancelled."""
        found = self._connection.ask(
            "SELECT edge.job_id, dependency_job_id, dependency_type, scheduler_dependency "
            "FROM jobs waiting INDEXED BY jobs_open "
            "CROSS JOIN dependencies edge ON edge.job_id = waiting.job_id "
            f"WHERE waiting.{OPEN} AND waiting.state IN ('created', 'submitted', 'queued') "
            "AND waiting.cluster_name = ? AND waiting.scheduler = ? AND waiting.cancel_requested_at IS NULL "
            "ORDER BY waiting.number",
            (cluster_name, scheduler),
        )
        return list(rows.dependencies(found))


def _carries_failures(job: TrackedJob, elements: Iterable[ElementReport]) -> bool:
    failures = {element.index for element in elements if element.state is not JobState.SUCCEEDED}
    return bool(failures) and are_indices(job.array_spec) and not failures <= set(expand_indices(job.array_spec or ""))
