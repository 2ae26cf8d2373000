"""Which ended jobs the store still holds, and how they leave it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import attrs

from molq.retained import RetainedAttempt, RetainedFamily
from molq.store import rows
from molq.store.connection import Connection
from molq.store.questions import ACTIVE, LOST_SECONDS

FAMILIES_AT_A_TIME = 500
"""How many jobs are read, and later written in one transaction."""

_FIELDS = tuple(field.name for field in attrs.fields(RetainedAttempt))
_COLUMNS = ", ".join(_FIELDS)
_ROOT = _FIELDS.index("root_job_id")

# The same expression as in the index jobs_to_clean.
_IS_UNCLEANED = "(cleaned_at IS NULL)"

_MEMBERS = f"""
SELECT {_COLUMNS} FROM jobs
WHERE job_id IN (SELECT value FROM json_each(?1)) AND root_job_id = job_id
UNION ALL
SELECT {_COLUMNS} FROM jobs INDEXED BY jobs_by_family
WHERE root_job_id IN (SELECT value FROM json_each(?1)) AND attempt > 1
ORDER BY root_job_id, attempt
"""

# A dependant may go on in later attempts, and one that was lost of late may turn up again.
_IS_LIVE = (
    "({0}.state IN ('created', 'submitted', 'queued', 'running') "
    "OR {0}.state = 'lost' AND ({0}.finished_at IS NULL OR {0}.finished_at > ?2))"
)
_AWAITED = f"""
SELECT DISTINCT edge.dependency_job_id FROM dependencies edge INDEXED BY dependencies_by_upstream
CROSS JOIN jobs dependant ON dependant.job_id = edge.job_id
WHERE edge.dependency_job_id IN (SELECT value FROM json_each(?1))
AND ({_IS_LIVE.format("dependant")} OR EXISTS (
    SELECT 1 FROM jobs later INDEXED BY jobs_by_family
    WHERE later.root_job_id = dependant.root_job_id AND later.attempt > 1 AND {_IS_LIVE.format("later")}
))
"""


@attrs.frozen(kw_only=True)
class Departure:
    """What is to be written of one family.

    Attributes:
        family: the family as it was read.
        gone: the attempts whose folders are not there any more.
        with_records: whether its rows go too.
    """

    family: RetainedFamily
    gone: Collection[str] = ()
    with_records: bool = False


class Retention:
    """The questions and facts about jobs that are over for long.

    Args:
        connection: the database.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def clusters(self) -> list[str]:
        """Return the names of all clusters that have jobs."""
        # One step in the index for each name, not for each job.
        found = self._connection.ask(
            "WITH RECURSIVE names (name) AS (SELECT min(cluster_name) FROM jobs UNION ALL "
            "SELECT (SELECT min(cluster_name) FROM jobs WHERE cluster_name > names.name) FROM names "
            "WHERE names.name IS NOT NULL) SELECT name FROM names WHERE name IS NOT NULL"
        )
        return [rows.as_text(name) for (name,) in found]

    def ended_families(
        self, cluster_name: str, scheduler: str | None, *, cleaned: bool, until: float, now: float
    ) -> Iterator[list[RetainedFamily]]:
        """Yield the families of which an attempt ended by ``until``, some hundred at a time, the oldest first.

        A family comes once for each such attempt. One with a row that cannot be read is logged and left out.

        Args:
            cluster_name: the cluster.
            scheduler: its scheduler; None for all that have this name.
            cleaned: whether that attempt's folder is known to be gone.
            until: seconds since the epoch.
            now: likewise; decides whether a lost job may still turn up.
        """
        last: tuple[float, int] = (float("-inf"), 0)
        while True:
            found = self._connection.ask(
                "SELECT finished_at, number, root_job_id FROM jobs INDEXED BY jobs_to_clean "
                f"WHERE cluster_name = ? AND {_IS_UNCLEANED} = ? AND finished_at IS NOT NULL AND finished_at <= ? "
                "AND (finished_at, number) > (?, ?) AND scheduler = coalesce(?, scheduler) "
                "ORDER BY finished_at, number LIMIT ?",
                (rows.as_column(cluster_name), not cleaned, until, *last, scheduler, FAMILIES_AT_A_TIME),
            )
            if not found:
                return
            last = found[-1][:2]
            roots = dict.fromkeys(root for _, _, root in found if isinstance(root, str))
            yield self._families(roots, now)

    def folders_in_use(self) -> set[str]:
        """Return the folders in which active jobs of any cluster work or write, and all folders above those."""
        found = self._connection.ask(
            f"SELECT cwd, stdout_path, stderr_path FROM jobs INDEXED BY jobs_open WHERE {ACTIVE}"
        )
        in_use: set[str] = set()
        for path in {rows.as_text(path) for row in found for path in row if isinstance(path, str | bytes)}:
            folder = path
            while folder and folder not in in_use:
                in_use.add(folder)
                folder = folder.rpartition("/")[0]
        return in_use

    @contextmanager
    def unchanged(self, family: RetainedFamily, now: float) -> Iterator[bool]:
        """Keep everybody from writing for a moment, and tell whether the family is still as it was read."""
        with self._connection.writing():
            yield self._families([family.root_job_id], now) == [family]

    def let_go(self, departures: Sequence[Departure], now: float) -> list[str]:
        """Write which folders are gone and delete records, in one transaction; return the ids of those deleted.

        A family's records stay if anything about it has changed since it was read.
        """
        if not departures:
            return []
        leaving = [departure.family for departure in departures if departure.with_records]
        with self._connection.writing() as sqlite:
            unchanged = {family.root_job_id: family for family in self._families([f.root_job_id for f in leaving], now)}
            deleted = [m.job_id for f in leaving if unchanged.get(f.root_job_id) == f for m in f.members]
            gone = {job_id for departure in departures for job_id in departure.gone}.difference(deleted)
            sqlite.executemany("DELETE FROM jobs WHERE job_id = ?", [(job_id,) for job_id in deleted])
            sqlite.executemany(
                "UPDATE jobs SET cleaned_at = ?, revision = revision + 1 "
                "WHERE job_id = ? AND cleaned_at IS NULL AND finished_at IS NOT NULL",
                [(now, job_id) for job_id in sorted(gone)],
            )
        return deleted

    def _families(self, roots: Iterable[str], now: float) -> list[RetainedFamily]:
        """Return families in the order of ``roots``, without those that are not there or cannot be read."""
        wanted = list(roots)
        found: dict[str, list[RetainedAttempt | None]] = {root: [] for root in wanted}
        for row in self._connection.ask(_MEMBERS, (json.dumps(wanted),)):
            fields = rows.readable_fields(RetainedAttempt, _FIELDS, row)
            found[row[_ROOT]].append(None if fields is None else RetainedAttempt(**fields))
        complete = {
            root: tuple(member for member in members if member is not None)
            for root, members in found.items()
            if members and None not in members
        }
        ids = [member.job_id for members in complete.values() for member in members]
        awaited = {job_id for (job_id,) in self._connection.ask(_AWAITED, (json.dumps(ids), now - LOST_SECONDS))}
        return [
            RetainedFamily(
                members=complete[root], is_awaited=any(member.job_id in awaited for member in complete[root])
            )
            for root in wanted
            if root in complete
        ]
