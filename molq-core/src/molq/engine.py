"""Wire the engine for one cluster: store, backend, submission, polling, waiting and events."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from molq.attempts import plan_by_hand
from molq.backend import Finding, SchedulerError, SchedulerOptions
from molq.cancellation import cancel
from molq.commands import SystemCommands
from molq.dependencies import PENDING, check_is_on, relation_of
from molq.discovery import load_backend
from molq.element_cancellation import cancel_elements
from molq.errors import ConfigError, OptionsTypeError, StoreError, SubmitError
from molq.events import EventBus, EventTail
from molq.job_spec import DependencyRef, JobSpec
from molq.job_state import JobState
from molq.polling import Poller
from molq.records import JobRecord
from molq.site_report import site_report
from molq.snapshots import restore_options
from molq.store import JobStore
from molq.submission import Submitter
from molq.submission_plan import Target
from molq.tracking import TrackedJob
from molq.upkeep import Upkeep
from molq.waiting import Waiter

if TYPE_CHECKING:
    from molq.cleanup import Cleaned
    from molq.policies import RetentionPolicy

_log = logging.getLogger("molq")

_SHARE_OF_INTERVAL = 0.9
"""Of several daemons that ask at the same interval, only the first does: the others find that it was asked just now."""


_CLEANUP_SECONDS = 3600.0


class Engine:
    """Everything that acts on one cluster's jobs.

    Args:
        cluster_name: the user's name for the cluster.
        scheduler: the scheduler's name.
        options: options of the scheduler's own class; its defaults if None.
        store: the database of jobs; by default one of its own.
        jobs_dir: where job folders are made.
        profile_name: the profile that is in use, if any.
        bus: where events are emitted.

    Raises:
        ConfigError: the options are of another class, or the backend is missing or faulty.
    """

    def __init__(
        self,
        cluster_name: str,
        scheduler: str,
        *,
        options: SchedulerOptions | None,
        store: JobStore | None,
        jobs_dir: str | os.PathLike[str] | None,
        profile_name: str | None,
        bus: EventBus,
    ) -> None:
        backend = load_backend(scheduler)
        checked = _checked_options(scheduler, backend.description.options_class, options)
        self.store = store or JobStore()
        self._owns_store = store is None
        self._events = EventTail(self.store, cluster_name, scheduler, bus)
        self._submitter = Submitter(
            store=self.store,
            target=Target(backend=backend, options=checked, cluster_name=cluster_name, jobs_dir=jobs_dir),
            profile_name=profile_name,
            environment=os.environ,
            clock=time.time,
        )
        self.poller = Poller(
            store=self.store,
            backend=backend,
            options=checked,
            commands=SystemCommands(backend.description, os.environ),
            cluster_name=cluster_name,
            clock=time.time,
            sleep=time.sleep,
        )
        self._cleaned_at = -math.inf
        self._upkeep = Upkeep(poller=self.poller, submitter=self._submitter)

    def submit(self, spec: JobSpec) -> str:
        """Submit a job, and return its id."""
        if spec.scheduling.dependencies:
            self._look_at(spec.scheduling.dependencies)
        job = self._submitter.submit(spec)
        try:
            if job.state is JobState.CREATED and not job.waits_in_molq:
                # The scheduler gave no clear answer; it may have the job all the same.
                self.poller.poll_quietly()
            self._events.catch_up()
        except StoreError as error:
            # An error here would say that the job was not submitted.
            _log.warning("job %s is submitted, but what else is new cannot be told: %s", job.job_id, error)
        return job.job_id

    def preview(self, spec: JobSpec) -> str:
        """Return the script that a submission would send."""
        return self._submitter.preview(spec)

    def wait(self, job_ids: Sequence[str], timeout: float | None) -> None:
        """Return when the jobs are over, with all of their attempts."""
        self.waiter().wait(job_ids, timeout)

    def waiter(self) -> Waiter:
        """Return what waits for jobs."""
        return Waiter(poller=self.poller, on_step=self._keep_up_now_and_then)

    def keep_up(self) -> None:
        """Do what follows from what was learned, by any process, and tell of it."""
        self._upkeep.run()
        self._events.catch_up()

    def _keep_up_now_and_then(self) -> None:
        self._upkeep.run_now_and_then()
        self._events.catch_up()

    def round(self, interval: float, retention: RetentionPolicy | None) -> None:
        """Do once what a daemon does: look at the files, ask the scheduler unless that was just done, and keep up.

        Args:
            interval: the scheduler is not asked if any process has asked it in about this many seconds.
            retention: if given, what to clean up by, once in an hour.
        """
        store, poller = self.store, self.poller
        jobs = store.open_jobs(poller.cluster_name, poller.scheduler, poller.clock())
        in_a_hurry = poller.look(jobs)
        rest = _SHARE_OF_INTERVAL * interval
        if in_a_hurry and poller.poll_is_due(in_a_hurry=True):
            poller.poll_quietly()
        elif jobs and not poller.was_asked_within(rest):
            poller.poll_quietly(unless_within=rest)  # another daemon may have been faster
        self.keep_up()
        if retention is not None and time.monotonic() - self._cleaned_at >= _CLEANUP_SECONDS:
            self._cleaned_at = time.monotonic()
            self.clean_up(retention, dry_run=False)

    def cancel_elements(self, job_id: str, indices: Sequence[int]) -> None:
        """Ask the scheduler to end some elements of an array."""
        cancel_elements(self.poller, job_id, indices)
        self.keep_up()

    def retry(self, job_id: str) -> None:
        """Try a job again that is over.

        Raises:
            ConfigError, ScriptError: what it ran cannot be read any more, or is gone.
            SubmitError: it is not over, by what can be learned now.
        """
        last = self.store.latest_attempt(job_id)
        if not last.state.is_terminal:
            self._learn_more_of(last.job_id)
        is_planned = plan_by_hand(self.store, job_id, self.poller.clock())
        # What else is due is judged by what the scheduler says now.
        self.poller.poll_quietly()
        self.keep_up()
        now = self.store.latest_attempt(job_id)
        if not is_planned or now.attempt == last.attempt:
            raise SubmitError(
                f"job {job_id} is {now.state.value}, and only a job that is over can be tried again; "
                "wait for its end, or cancel it first",
                scheduler=self.poller.scheduler,
                job_id=last.job_id,
            )

    def _learn_more_of(self, job_id: str) -> None:
        """Learn whether a job that is believed to be active has ended meanwhile."""
        self.poller.look([self.store.tracked_job(job_id)])
        if not self.store.tracked_job(job_id).state.is_terminal:
            self.poller.poll_quietly()

    def cancel(self, job_id: str) -> None:
        """Ask the scheduler to end a job."""
        cancel(self.poller, job_id)
        self.keep_up()

    def refresh(self) -> None:
        """Ask the scheduler about all active jobs."""
        self.poller.refresh()
        self.keep_up()

    def clean_up(self, policy: RetentionPolicy, *, dry_run: bool) -> Cleaned:
        """Delete the folders and records of the cluster's jobs that ended long ago."""
        from molq.cleanup import clean_up

        poller = self.poller
        return clean_up(
            self.store,
            policy,
            poller.clock(),
            cluster_name=poller.cluster_name,
            scheduler=poller.scheduler,
            dry_run=dry_run,
        )

    def probe_site(self) -> tuple[Finding, ...]:
        """Find out whether molq can work here."""
        poller = self.poller
        return site_report(self.store, poller.backend, poller.options, poller.commands)

    def close(self) -> None:
        """Close the database, if it is the engine's own."""
        if self._owns_store:
            self.store.close()

    def _look_at(self, refs: Sequence[DependencyRef]) -> None:
        """Learn how upstream jobs are, so that molq judges their edges, not a scheduler that may have forgotten.

        Raises:
            ConfigError: one is on another cluster.
            SubmitError: the scheduler does not know a job that is still to be waited for, or could not be asked.
        """
        families = self.store.families([ref.job_id for ref in refs])
        for family in families.values():
            check_is_on(family.latest, self.poller.cluster_name, self.poller.scheduler)
        self.poller.look(family.latest for family in families.values())
        awaited = self._awaited(refs)
        if not awaited:
            return
        scheduler = self.poller.scheduler
        try:
            unknown = {job.job_id for job in self.poller.unknown_among(awaited)}
        except SchedulerError as error:
            shown = ", ".join(job.job_id for job in awaited)
            raise SubmitError(
                f"nothing was submitted, since the scheduler could not be asked about {shown}: {error}",
                scheduler=scheduler,
            ) from error
        for job in self._awaited(refs):
            if job.job_id in unknown:
                raise SubmitError(
                    f"nothing can wait for job {job.job_id} now: the scheduler does not show it any more, and how "
                    "it ended is not known yet; try again in a minute",
                    scheduler=scheduler,
                )

    def _awaited(self, refs: Sequence[DependencyRef]) -> list[TrackedJob]:
        """Return the attempts in the scheduler whose edges are pending."""
        families = self.store.families([ref.job_id for ref in refs])
        pending = [
            families[ref.job_id].latest
            for ref in refs
            if ref.job_id in families and relation_of(ref.condition, families[ref.job_id]) == PENDING
        ]
        return [job for job in {job.job_id: job for job in pending}.values() if job.scheduler_job_id is not None]


def recorded_options(record: JobRecord, store: JobStore) -> SchedulerOptions:
    """Return the options that a job was submitted with.

    Raises:
        ConfigError: its backend is not installed any more, or does not understand them.
    """
    options_class = load_backend(record.scheduler).description.options_class
    return restore_options(store.request(record.job_id), options_class)


def check_cluster(record: JobRecord, cluster_name: str, scheduler: str) -> None:
    """Refuse a job of another cluster.

    Raises:
        ConfigError: it is one.
    """
    if (record.cluster_name, record.scheduler) != (cluster_name, scheduler):
        raise ConfigError(
            f"job {record.job_id} is on {record.cluster_name!r} ({record.scheduler}), "
            f"and this Submitor is for {cluster_name!r} ({scheduler}); "
            f"use Submitor({record.cluster_name!r}, {record.scheduler!r})"
        )


def _checked_options(
    scheduler: str, wanted: type[SchedulerOptions], given: SchedulerOptions | None
) -> SchedulerOptions:
    if given is None:
        return wanted()
    if not isinstance(given, wanted):
        raise OptionsTypeError(
            f"scheduler {scheduler!r} takes scheduler_options of the class {wanted.__name__}, "
            f"not {type(given).__name__}"
        )
    return given
