"""The database of jobs. Nothing outside this package knows SQL."""

from molq.store.job_store import JobStore, molq_home
from molq.store.leases import ClusterHealth, Lease

__all__ = ["ClusterHealth", "JobStore", "Lease", "molq_home"]
