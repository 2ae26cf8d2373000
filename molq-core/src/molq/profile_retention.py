"""Find out how long a cluster's finished jobs are to leave traces, by the profiles that are for it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from molq.plain_problems import PlainValueError
from molq.plain_values import read_class
from molq.policies import RetentionPolicy
from molq.profile_file import ProfileFile


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
        if not isinstance(table, Mapping) or table.get("cluster_name", name) != cluster_name:
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
