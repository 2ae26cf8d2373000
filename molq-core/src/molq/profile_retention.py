"""Find out which clusters profiles are for, and how long the finished jobs of each are to leave traces."""

from __future__ import annotations

import os
from collections.abc import Mapping

from molq.plain_problems import PlainValueError
from molq.plain_values import read_class
from molq.policies import RetentionPolicy
from molq.profile_file import ProfileFile


def clusters_of_profiles(path: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names of the clusters that profiles are for, whatever else is wrong with those.

    Args:
        path: the file of profiles; by default ``config.toml`` in ``MOLQ_HOME`` (``~/.molq``).

    Raises:
        ConfigError: the file cannot be read.
    """
    tables = ProfileFile.read(path).tables
    names = [_cluster_of(name, table) for name, table in tables.items() if isinstance(table, Mapping)]
    return [name for name in names if isinstance(name, str)]


def retention_of(cluster_name: str, path: str | os.PathLike[str] | None = None) -> RetentionPolicy:
    """Return the policy for a cluster: of all profiles that are for it, what keeps most; molq's default without any.

    What else is wrong in the file, or which backend is missing, does not matter.

    Args:
        cluster_name: the cluster.
        path: the file of profiles; by default ``config.toml`` in ``MOLQ_HOME`` (``~/.molq``).

    Raises:
        ConfigError: the file cannot be read, or a retention in it is wrong: nothing should be deleted by a guess.
    """
    file = ProfileFile.read(path)
    policies = []
    for name, table in file.tables.items():
        if not isinstance(table, Mapping) or _cluster_of(name, table) != cluster_name:
            continue
        try:
            policies.append(read_class(table.get("retention", {}), RetentionPolicy))
        except PlainValueError as error:
            problems = [problem.under("retention").under(name).under("profiles") for problem in error.problems]
            raise file.error(problems) from error
    if not policies:
        return RetentionPolicy()
    return RetentionPolicy(
        keep_job_dirs_for_days=max(policy.keep_job_dirs_for_days for policy in policies),
        keep_terminal_records_for_days=max(policy.keep_terminal_records_for_days for policy in policies),
        keep_failed_job_dirs=any(policy.keep_failed_job_dirs for policy in policies),
    )


def _cluster_of(name: str, table: Mapping[str, object]) -> object:
    return table.get("cluster_name", name)
