"""Look up a job's direct neighbours in the graph of dependencies."""

from __future__ import annotations

from molq.dependencies import preview
from molq.records import DependencyPreview
from molq.store import JobStore


def dependency_preview(store: JobStore, job_id: str) -> DependencyPreview:
    """Return a job's direct neighbours, each by its latest attempt, and how it stands with each edge.

    The edges are those of all its attempts together. An edge whose other end was cleaned up is left out.

    Raises:
        JobNotFoundError: there is no such job.
    """
    job = store.job(job_id)
    above, below = store.dependencies(job.root_job_id), store.dependents(job.root_job_id)
    ends = {*(edge.dependency_job_id for edge in above), *(edge.job_id for edge in below), job_id}
    families = store.families(ends)
    records = {end: store.job(family.latest.job_id) for end, family in families.items()}
    return preview(
        job,
        [
            (edge, records[edge.dependency_job_id], families[edge.dependency_job_id])
            for edge in above
            if edge.dependency_job_id in families
        ],
        [(edge, records[edge.job_id], families[job_id]) for edge in below if edge.job_id in families],
    )
