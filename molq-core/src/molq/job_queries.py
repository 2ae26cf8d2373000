"""Answer questions about a cluster's jobs from the store alone: no scheduler is asked."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molq.records import DependencyPreview, JobDependency, JobElement, JobRecord, StatusTransition
    from molq.store import JobStore


class JobQueries:
    """The questions that a ``Submitor`` answers as the store has it.

    Args:
        cluster_name: the cluster whose jobs are listed.
        scheduler: its scheduler.
        store: where jobs are recorded.
    """

    def __init__(self, cluster_name: str, scheduler: str, store: JobStore) -> None:
        self.cluster_name = cluster_name
        self.scheduler = scheduler
        self._store = store

    def get(self, job_id: str) -> JobRecord:
        """Return a job's record as the store has it.

        Raises:
            JobNotFoundError: there is no such job.
        """
        return self._store.job(job_id)

    def get_latest(self, job_id: str) -> JobRecord:
        """Return the record of a job's latest attempt as the store has it.

        Raises:
            JobNotFoundError: there is no such job.
        """
        return self._store.latest_attempt(job_id)

    def list(self, include_terminal: bool = False) -> builtins.list[JobRecord]:
        """Return the cluster's active jobs, oldest first; with ``include_terminal`` those that are over too."""
        return self._store.jobs(self.cluster_name, self.scheduler, include_terminal=include_terminal)

    def get_transitions(self, job_id: str) -> builtins.list[StatusTransition]:
        """Return the steps in a job's life, oldest first.

        Raises:
            JobNotFoundError: there is no such job.
        """
        self._store.job(job_id)
        return self._store.transitions(job_id)

    def get_retry_family(self, job_id: str) -> builtins.list[JobRecord]:
        """Return all attempts of a job, the first one first.

        Args:
            job_id: any of the attempts.

        Raises:
            JobNotFoundError: there is no such job.
        """
        return self._store.family(job_id)

    def get_elements(self, job_id: str) -> builtins.list[JobElement]:
        """Return the elements of an array by their index, each as the attempt that ran it last knows it.

        Args:
            job_id: any attempt of the array.

        Raises:
            JobNotFoundError: there is no such job.
            ConfigError: it is no array.
        """
        from molq.array_listing import list_elements

        return list_elements(self._store, job_id)

    def get_dependencies(self, job_id: str) -> builtins.list[JobDependency]:
        """Return the edges to the jobs that a job waits for. All attempts of it have the same.

        Raises:
            JobNotFoundError: there is no such job.
        """
        return self._store.dependencies(self._store.job(job_id).root_job_id)

    def get_dependents(self, job_id: str) -> builtins.list[JobDependency]:
        """Return the edges from the jobs that wait for a job, whichever of its attempts is named.

        Raises:
            JobNotFoundError: there is no such job.
        """
        return self._store.dependents(self._store.job(job_id).root_job_id)

    def get_dependency_preview(self, job_id: str) -> DependencyPreview:
        """Return a job's direct neighbours in the graph of dependencies, and how it stands with each edge.

        A job that is over may outlive the records of those it waited for; such an edge is left out.

        Raises:
            JobNotFoundError: there is no such job.
        """
        from molq.neighbours import dependency_preview

        return dependency_preview(self._store, job_id)
