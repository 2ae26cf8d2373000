"""Find the jobs that a command is about, and the Submitors that know about them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from molq.cli.output import show_warnings, span
from molq.errors import CommandError, ConfigError, MolqError
from molq.profile_retention import clusters_of_profiles
from molq.records import JobRecord
from molq.store import JobStore
from molq.submitor import Submitor

_log = logging.getLogger("molq")
show_warnings()


def find_jobs(store: JobStore, prefixes: Iterable[str]) -> list[JobRecord]:
    """Return the jobs whose ids start with ``prefixes``.

    Raises:
        JobNotFoundError: one fits no job, or several.
        CommandError: one names an element of an array.
    """
    return [store.job(store.resolve(_checked(prefix))) for prefix in dict.fromkeys(prefixes)]


def _checked(prefix: str) -> str:
    whole, dot, _ = prefix.partition(".")
    if dot:
        raise CommandError(
            f"only molq logs and molq cancel take an element of an array, such as {prefix!r}; "
            f"molq inspect {whole} shows all elements"
        )
    return prefix


def split_element(text: str) -> tuple[str, int | None]:
    """Return the job's id and the element's index in ``ID.3``; without an element, None.

    Raises:
        CommandError: what follows the dot is no index.
    """
    prefix, dot, index = text.partition(".")
    if not dot:
        return prefix, None
    if not index.isascii() or not index.isdigit() or len(index) > 9:
        raise CommandError(f"{text!r} names no element of an array; write ID.INDEX, such as 1f3a9c02.3")
    return prefix, int(index)


def check_cluster_is_known(store: JobStore, name: str) -> None:
    """Refuse the name of a cluster that has no jobs and no profile.

    Raises:
        ConfigError: it is one, or the profiles cannot be read.
    """
    have = store.cluster_names()
    if name in have:
        return
    known = sorted({*have, *clusters_of_profiles()})
    if name not in known:
        there_are = f"there are {', '.join(known)}" if known else "there is none yet"
        raise ConfigError(f"no job was submitted to a cluster {name!r}, and no profile is for it; {there_are}")


def by_cluster(records: Iterable[JobRecord]) -> dict[tuple[str, str], list[JobRecord]]:
    """Return jobs by their cluster and scheduler."""
    groups: dict[tuple[str, str], list[JobRecord]] = {}
    for record in records:
        groups.setdefault((record.cluster_name, record.scheduler), []).append(record)
    return groups


def submitors(store: JobStore, records: Iterable[JobRecord]) -> list[tuple[Submitor, list[JobRecord]]]:
    """Return a Submitor for each cluster that has some of the jobs, with those jobs."""
    return [(Submitor.for_job(group[-1].job_id, store), group) for group in by_cluster(records).values()]


def refresh(store: JobStore, records: Iterable[JobRecord]) -> None:
    """Ask the schedulers of the active ones among ``records``. Who cannot be asked is named, and hinders nobody."""
    active = [record for record in records if not record.state.is_terminal]
    for (cluster_name, scheduler), group in by_cluster(active).items():
        try:
            Submitor.for_job(group[-1].job_id, store).refresh()
        except MolqError as error:
            health = store.leases.health(cluster_name, scheduler)
            _warn_of_old_states(cluster_name, health.answered_at, str(error))


def warn_of_old_states(store: JobStore, records: Iterable[JobRecord]) -> None:
    """Name the clusters of the active ones among ``records`` whose schedulers did not answer when last asked."""
    for cluster_name, scheduler in by_cluster(record for record in records if not record.state.is_terminal):
        health = store.leases.health(cluster_name, scheduler)
        if health.failing_since is not None:
            _warn_of_old_states(cluster_name, health.answered_at, health.failure or "the scheduler did not answer")


def _warn_of_old_states(cluster_name: str, answered_at: float | None, why: str) -> None:
    since = "" if answered_at is None else f" (stale for {span(time.time() - answered_at)})"
    _log.warning("%s: states may be old%s: %s", cluster_name, since, why)
