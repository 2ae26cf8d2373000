"""Decide which ended jobs may lose their folder or their record, and carry that out. No scheduler is needed for it."""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import attrs

from molq.folder_removal import DoomedFolder, FolderKeptError, doomed_folders, is_surely_gone
from molq.job_state import JobState
from molq.policies import RetentionPolicy
from molq.retained import RetainedAttempt, RetainedFamily
from molq.store import JobStore
from molq.store.questions import LOST_SECONDS
from molq.store.retention import Departure

_log = logging.getLogger("molq")

_DAY_SECONDS = 86_400.0
_MOST_DAYS = 1_000_000


@attrs.frozen(kw_only=True)
class Verdict:
    """What may go of one family.

    Attributes:
        folders: the attempts whose folders may be deleted, the latest first: a retry that starts just now needs the
            first one's.
        with_records: whether the records may go after them.
    """

    folders: tuple[RetainedAttempt, ...]
    with_records: bool


@attrs.define(kw_only=True)
class Cleaned:
    """What a cleanup did, or would do.

    Attributes:
        job_dirs: the folders that were deleted.
        records: the ids of the jobs whose records were deleted.
        kept: why folders stay that should have been deleted.
        freed_bytes: the space that was freed on disks.
    """

    job_dirs: list[str] = attrs.field(factory=list)
    records: list[str] = attrs.field(factory=list)
    kept: list[str] = attrs.field(factory=list)
    freed_bytes: int = 0

    def count_in(self, other: Cleaned) -> None:
        """Add what another cleanup did."""
        self.job_dirs += other.job_dirs
        self.records += other.records
        self.kept += other.kept
        self.freed_bytes += other.freed_bytes


class _Fate(enum.Enum):
    """What became of an attempt's folder."""

    AWAY = "it is not there any more"
    STAYS = "it should go, and is still there"
    NOT_OURS = "what is there must be left alone for good"


class _NotNowError(Exception):
    """A folder may not go any more, or another cleanup is deleting it."""


def judge(family: RetainedFamily, policy: RetentionPolicy, now: float) -> Verdict | None:
    """Return what may go of a family by now; None if nothing may.

    Nothing goes while an attempt is active, another job depends on one, or a lost one may turn up again. A record stays
    as long as a folder: without it, nobody would find the folder again.
    """
    ended_at = family.ended_at
    if ended_at is None or family.is_awaited:
        return None
    age = now - ended_at
    if any(member.state is JobState.LOST for member in family.members) and age < LOST_SECONDS:
        return None
    are_folders_due = age >= _seconds(policy.keep_job_dirs_for_days) or not family.has_folders
    with_records = are_folders_due and age >= _seconds(policy.keep_terminal_records_for_days)
    is_kept = policy.keep_failed_job_dirs and family.latest.state is not JobState.SUCCEEDED
    with_folders = with_records or (are_folders_due and not is_kept)
    folders = tuple(m for m in reversed(family.members) if with_folders and m.cleaned_at is None)
    return Verdict(folders=folders, with_records=with_records) if folders or with_records else None


def clean_up(
    store: JobStore,
    policy: RetentionPolicy,
    now: float,
    *,
    cluster_name: str | None = None,
    scheduler: str | None = None,
    dry_run: bool = False,
) -> Cleaned:
    """Delete the folders and records of jobs that ended long ago.

    It may be killed at any moment, and several may run at once: the next one does what is left. What it leaves alone
    is logged.

    Args:
        store: the database.
        policy: for how long what is kept.
        now: seconds since the epoch.
        cluster_name: the cluster; None for all.
        scheduler: its scheduler; None for all.
        dry_run: whether to tell only what would be done.

    Raises:
        StoreError: the database cannot be read or written.
    """
    cleanup = Cleanup(store=store, policy=policy, now=now, dry_run=dry_run)
    for name in store.retention.clusters() if cluster_name is None else [cluster_name]:
        for families in _candidates(store, policy, now, name, scheduler):
            cleanup.clean(families)
    return cleanup.cleaned


@attrs.frozen(kw_only=True)
class Cleanup:
    """Deletes what may go, some hundred families at a time.

    Attributes:
        store: the database.
        policy: for how long what is kept.
        now: seconds since the epoch.
        dry_run: whether to tell only what would be done.
        cleaned: what was done so far.
    """

    store: JobStore
    policy: RetentionPolicy
    now: float
    dry_run: bool = False
    cleaned: Cleaned = attrs.field(factory=Cleaned, init=False)
    _seen: set[str] = attrs.field(factory=set, init=False)

    def clean(self, families: Iterable[RetainedFamily]) -> None:
        """Delete what may go of some families, as they were read from the store just now."""
        judged = [(family, judge(family, self.policy, self.now)) for family in self._new(families)]
        verdicts = [(family, verdict) for family, verdict in judged if verdict is not None]
        in_use = self.store.retention.folders_in_use() if verdicts else set()
        departures = []
        for family, verdict in verdicts:
            if any(member.job_dir in in_use for member in verdict.folders):
                continue
            fates = {member: self._remove_folder(family, member) for member in verdict.folders}
            departures.append(
                Departure(
                    family=family,
                    gone=[m.job_id for m, fate in fates.items() if _is_gone(m, fate)],
                    with_records=verdict.with_records and _Fate.STAYS not in fates.values(),
                )
            )
        if self.dry_run:
            self.cleaned.records += [m.job_id for d in departures if d.with_records for m in d.family.members]
        else:
            self.cleaned.records += self.store.retention.let_go(departures, self.now)

    def _new(self, families: Iterable[RetainedFamily]) -> Iterator[RetainedFamily]:
        """Leave out those that came before, for another of their attempts."""
        for family in families:
            if len(family.members) > 1:
                if family.root_job_id in self._seen:
                    continue
                self._seen.add(family.root_job_id)
            yield family

    def _remove_folder(self, family: RetainedFamily, member: RetainedAttempt) -> _Fate:
        try:
            with ExitStack() as descriptors:
                folders = doomed_folders(member.job_dir, member.job_id, descriptors)
                if not folders:
                    return _Fate.AWAY
                if self.dry_run:
                    self.cleaned.job_dirs.append(member.job_dir)
                    return _Fate.AWAY
                freed = [self._delete(family, folder) for folder in folders]
        except _NotNowError:
            return _Fate.STAYS
        except FolderKeptError as error:
            _log.warning("%s", error)
            if not error.is_ours:
                return _Fate.NOT_OURS
            self.cleaned.kept.append(str(error))
            return _Fate.STAYS
        if any(bytes_ is not None for bytes_ in freed):
            self.cleaned.job_dirs.append(member.job_dir)
            self.cleaned.freed_bytes += sum(bytes_ or 0 for bytes_ in freed)
        return _Fate.AWAY

    def _delete(self, family: RetainedFamily, folder: DoomedFolder) -> int | None:
        """Delete a folder unless anything about its family has changed; return what that freed, as the folder does."""
        with self.store.retention.unchanged(family, self.now) as may_go:
            # Within the transaction: a retry that is recorded later finds no folder, and never half of one.
            if not may_go or not folder.put_aside():
                raise _NotNowError
        return folder.delete()


def _is_gone(member: RetainedAttempt, fate: _Fate) -> bool:
    return fate is _Fate.AWAY and is_surely_gone(member.job_dir, member.cwd)


def _candidates(
    store: JobStore, policy: RetentionPolicy, now: float, cluster_name: str, scheduler: str | None
) -> Iterator[list[RetainedFamily]]:
    """Yield the families that ended long enough ago, as far as that shows in the index of ends."""
    ages = {False: policy.keep_job_dirs_for_days, True: policy.keep_terminal_records_for_days}
    for cleaned, days in ages.items():
        until = now - _seconds(days)
        yield from store.retention.ended_families(cluster_name, scheduler, cleaned=cleaned, until=until, now=now)


def _seconds(days: int) -> float:
    return min(days, _MOST_DAYS) * _DAY_SECONDS
