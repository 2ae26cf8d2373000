"""What can be asked of the store: one method for each question. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from molq.errors import JobNotFoundError, UnreadableRequestError
from molq.job_state import JobState
from molq.records import JobDependency, JobRecord, StatusTransition
from molq.store import rows
from molq.store.connection import Connection
from molq.tracking import TrackedJob

# The same text as in the index jobs_open: SQLite takes a partial index only for a condition that it recognises.
OPEN = "state IN ('created', 'submitted', 'queued', 'running', 'lost')"
ENDED = "state IN ('succeeded', 'failed', 'cancelled', 'timed_out', 'lost')"
ACTIVE = f"{OPEN} AND state != 'lost'"
# The same text as in the index jobs_waiting_in_molq, as above.
WAITS_IN_MOLQ = "state = 'created' AND not_before IS NOT NULL AND claimed_at IS NULL"

LOST_SECONDS = 7 * 86_400.0
"""How long molq looks whether a lost job turns up again."""

_MOST_CANDIDATES = 10


class Questions:
    """The questions to a database of jobs.

    Args:
        connection: the database.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def job(self, job_id: str) -> JobRecord:
        """Return one job.

        Raises:
            JobNotFoundError: there is none with this id.
        """
        found = self._connection.ask(
            f"SELECT {rows.RECORD_COLUMNS} FROM jobs WHERE job_id = ?",
            (rows.as_column(job_id),),
        )
        for record in rows.records(found):
            return record
        raise _no_job(job_id)

    def jobs(
        self,
        cluster_name: str | None = None,
        scheduler: str | None = None,
        *,
        include_terminal: bool = False,
        limit: int | None = None,
    ) -> list[JobRecord]:
        """Return jobs, oldest first: of one cluster or of all, of one scheduler or of all, the newest ``limit``."""
        # Left to itself, SQLite reads all history for the active jobs of all clusters.
        table, conditions = ("jobs", []) if include_terminal else ("jobs INDEXED BY jobs_open", [ACTIVE])
        values: list[object] = []
        if cluster_name is not None:
            conditions.append("cluster_name = ?")
            values.append(rows.as_column(cluster_name))
        if scheduler is not None:
            conditions.append("scheduler = ?")
            values.append(scheduler)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        found = self._connection.ask(
            f"SELECT {rows.RECORD_COLUMNS} FROM {table} {where} ORDER BY number DESC LIMIT ?",
            (*values, -1 if limit is None else limit),
        )
        return list(rows.records(reversed(found)))

    def ended_jobs(self, cluster_name: str | None = None, *, limit: int) -> list[JobRecord]:
        """Return the newest ``limit`` jobs that are over, oldest first, each by its latest attempt.

        Args:
            cluster_name: the cluster; None for all.
            limit: how many at most.
        """
        where, values = ("", []) if cluster_name is None else ("cluster_name = ? AND ", [rows.as_column(cluster_name)])
        found = self._connection.ask(
            f"SELECT {rows.RECORD_COLUMNS} FROM jobs WHERE {where}{ENDED} AND NOT EXISTS (SELECT 1 FROM jobs later "
            "WHERE later.root_job_id = jobs.root_job_id AND later.attempt > 1 AND later.attempt > jobs.attempt) "
            "ORDER BY number DESC LIMIT ?",
            (*values, limit),
        )
        return list(rows.records(reversed(found)))

    def cluster_names(self) -> list[str]:
        """Return the names of all clusters that have jobs, by one look into the index for each."""
        found = self._connection.ask(
            "WITH RECURSIVE names (name) AS (SELECT min(cluster_name) FROM jobs UNION ALL "
            "SELECT (SELECT min(cluster_name) FROM jobs WHERE cluster_name > names.name) FROM names "
            "WHERE names.name IS NOT NULL) SELECT name FROM names WHERE name IS NOT NULL"
        )
        return [rows.as_text(name) for (name,) in found]

    def active_clusters(self) -> dict[tuple[str, str], str]:
        """Return the clusters that have active jobs, by name and scheduler, each with the id of its newest one."""
        found = self._connection.ask(
            # With max(), SQLite takes the other columns from the row that has it.
            f"SELECT cluster_name, scheduler, job_id, max(number) FROM jobs INDEXED BY jobs_open WHERE {ACTIVE} "
            "GROUP BY cluster_name, scheduler"
        )
        return {(rows.as_text(name), scheduler): job_id for name, scheduler, job_id, _ in found}

    def resolve(self, prefix: str) -> str:
        """Return the only job id that starts with ``prefix``.

        Raises:
            JobNotFoundError: no id does, or several do.
        """
        found = self._connection.ask(
            "SELECT job_id FROM jobs WHERE job_id >= ? AND job_id < ? ORDER BY job_id LIMIT ?",
            (rows.as_column(prefix), rows.as_column(prefix + "\U0010ffff"), _MOST_CANDIDATES),
        )
        candidates: list[str] = [job_id for (job_id,) in found]
        if not candidates or not prefix:
            raise _no_job(prefix)
        if len(candidates) > 1 and prefix not in candidates:
            raise JobNotFoundError(
                f"the id {prefix!r} fits several jobs: {', '.join(candidates)}; give more of it",
                job_id=prefix,
                candidates=candidates,
            )
        return candidates[0]

    def tracked_job(self, job_id: str) -> TrackedJob:
        """Return what reconciliation needs of one job.

        Raises:
            JobNotFoundError: there is none with this id.
        """
        for job in self.tracked_jobs([job_id]):
            return job
        raise _no_job(job_id)

    def tracked_jobs(self, job_ids: Iterable[str]) -> list[TrackedJob]:
        """Return what reconciliation needs of some jobs, whatever their state."""
        found = self._connection.ask(
            f"SELECT {rows.TRACKED_COLUMNS} FROM jobs WHERE job_id IN (SELECT value FROM json_each(?)) ORDER BY number",
            (json.dumps(list(job_ids)),),
        )
        return list(rows.tracked_jobs(found))

    def open_jobs(self, cluster_name: str, scheduler: str, now: float) -> list[TrackedJob]:
        """Return a cluster's jobs that evidence may still change: active ones and those lost of late.

        Those that wait in molq are left out, since no evidence can be about them.
        """
        found = self._connection.ask(
            f"SELECT {rows.TRACKED_COLUMNS} FROM jobs INDEXED BY jobs_open "
            f"WHERE {OPEN} AND NOT ({WAITS_IN_MOLQ}) AND cluster_name = ? AND scheduler = ? "
            "AND (state != 'lost' OR finished_at IS NULL OR finished_at > ?) ORDER BY number",
            (cluster_name, scheduler, now - LOST_SECONDS),
        )
        return list(rows.tracked_jobs(found))

    def states(self, job_ids: Iterable[str]) -> dict[str, JobState]:
        """Return the states of some jobs, without those that are not there."""
        return rows.states(
            self._connection.ask(
                "SELECT job_id, state FROM jobs WHERE job_id IN (SELECT value FROM json_each(?))",
                (json.dumps(list(job_ids)),),
            )
        )

    def newest_submission(self, cluster_name: str, scheduler: str) -> float | None:
        """Return when the youngest active job of a cluster was recorded; None if no job is active.

        Jobs that wait in molq do not count: the scheduler knows nothing of them.
        """
        found = self._connection.ask(
            f"SELECT coalesce(claimed_at, created_at) FROM jobs INDEXED BY jobs_open WHERE {ACTIVE} "
            f"AND NOT ({WAITS_IN_MOLQ}) AND cluster_name = ? AND scheduler = ? ORDER BY number DESC LIMIT 1",
            (cluster_name, scheduler),
        )
        return float(found[0][0]) if found else None

    def request(self, job_id: str) -> dict[str, Any]:
        """Return the request that the job was submitted with, as it was recorded.

        Raises:
            JobNotFoundError: there is no such job.
            UnreadableRequestError: somebody has changed it, and it cannot be read any more.
        """
        found = self._connection.ask("SELECT request FROM requests WHERE job_id = ?", (rows.as_column(job_id),))
        if not found:
            raise _no_job(job_id)
        try:
            request = json.loads(found[0][0])
        except (ValueError, TypeError):
            request = None
        if not isinstance(request, dict) or not all(isinstance(part, dict) for part in request.values()):
            raise UnreadableRequestError(
                f"the request of job {job_id!r} in {str(self._connection.path)!r} cannot be read; submit it anew",
                path=self._connection.path,
            )
        return request

    def transitions(self, job_id: str) -> list[StatusTransition]:
        """Return a job's transitions, oldest first."""
        found = self._connection.ask(
            "SELECT job_id, old_state, new_state, timestamp, reason FROM transitions WHERE job_id = ? ORDER BY number",
            (rows.as_column(job_id),),
        )
        return list(rows.transitions(found))

    def transitions_after(self, number: int, cluster_name: str, scheduler: str) -> list[tuple[int, StatusTransition]]:
        """Return a cluster's transitions that were recorded after transition ``number``, each with its number."""
        found = self._connection.ask(
            # CROSS JOIN: start from the few new transitions, not from all jobs of the cluster.
            "SELECT t.number, t.job_id, t.old_state, t.new_state, t.timestamp, t.reason "
            "FROM transitions t CROSS JOIN jobs USING (job_id) "
            "WHERE t.number > ? AND cluster_name = ? AND scheduler = ? ORDER BY t.number",
            (number, rows.as_column(cluster_name), scheduler),
        )
        return list(rows.numbered_transitions(found))

    def newest_transition(self) -> int:
        """Return the number of the newest transition of all."""
        return int(self._connection.ask("SELECT coalesce(max(number), 0) FROM transitions")[0][0])

    def dependencies(self, job_id: str) -> list[JobDependency]:
        """Return the edges to the jobs that a job waits for."""
        return self._edges("job_id", job_id)

    def dependents(self, job_id: str) -> list[JobDependency]:
        """Return the edges from the jobs that wait for a job."""
        return self._edges("dependency_job_id", job_id)

    def data_version(self) -> int:
        """Return a number that changes whenever another connection has written."""
        return self._connection.data_version()

    def _edges(self, column: str, job_id: str) -> list[JobDependency]:
        found = self._connection.ask(
            "SELECT job_id, dependency_job_id, dependency_type, scheduler_dependency "
            f"FROM dependencies WHERE {column} = ? ORDER BY job_id, dependency_job_id",
            (rows.as_column(job_id),),
        )
        return list(rows.dependencies(found))


def _no_job(job_id: str) -> JobNotFoundError:
    return JobNotFoundError(f"there is no job {job_id!r}; see the jobs there are with: molq list --all", job_id=job_id)
