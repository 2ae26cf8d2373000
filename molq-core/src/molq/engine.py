"""Wire the engine for one cluster: store, backend, submission, polling, waiting and events."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from molq.backend import Finding, SchedulerError, SchedulerOptions
from molq.cancellation import cancel
from molq.commands import SystemCommands
from molq.dependencies import PENDING, dependency_relation_state
from molq.discovery import load_backend
from molq.errors import ConfigError, OptionsTypeError, SubmitError
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
from molq.waiting import Waiter

if TYPE_CHECKING:
    from molq.cleanup import Cleaned
    from molq.policies import RetentionPolicy


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
        self._events = EventTail(self.store, cluster_name, bus)
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

    def submit(self, spec: JobSpec) -> str:
        """Submit a job, and return its id."""
        if spec.scheduling.dependencies:
            self._look_at(spec.scheduling.dependencies)
        job = self._submitter.submit(spec)
        if job.state is JobState.CREATED:
            # The scheduler gave no clear answer; it may have the job all the same.
            self.poller.poll_quietly()
        self._events.catch_up()
        return job.job_id

    def preview(self, spec: JobSpec) -> str:
        """Return the script that a submission would send."""
        return self._submitter.preview(spec)

    def wait(self, job_ids: Sequence[str], timeout: float | None) -> None:
        """Return when the jobs are over."""
        Waiter(poller=self.poller, on_step=self._events.catch_up).wait(job_ids, timeout)

    def cancel(self, job_id: str) -> None:
        """Ask the scheduler to end a job."""
        cancel(self.poller, job_id)
        self._events.catch_up()

    def refresh(self) -> None:
        """Ask the scheduler about all active jobs."""
        self.poller.refresh()
        self._events.catch_up()

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
            SubmitError: the scheduler does not know a job that is still to be waited for, or could not be asked.
        """
        upstreams = {ref.job_id: ref for ref in refs}
        self.poller.look(self.store.tracked_jobs(upstreams))
        awaited = [job for job in self.store.tracked_jobs(upstreams) if _is_awaited(job, refs)]
        if not awaited:
            return
        scheduler = self.poller.scheduler
        try:
            unknown = [job for job in self.poller.unknown_among(awaited) if _is_awaited(job, refs)]
        except SchedulerError as error:
            shown = ", ".join(job.job_id for job in awaited)
            raise SubmitError(
                f"nothing was submitted, since the scheduler could not be asked about {shown}: {error}",
                scheduler=scheduler,
            ) from error
        if unknown:
            raise SubmitError(
                f"nothing can wait for job {unknown[0].job_id} now: the scheduler does not show it any more, and how "
                "it ended is not known yet; try again in a minute",
                scheduler=scheduler,
            )


def _is_awaited(job: TrackedJob, refs: Iterable[DependencyRef]) -> bool:
    return job.scheduler_job_id is not None and any(
        ref.job_id == job.job_id and dependency_relation_state(ref.condition, job.state, job.started_at) == PENDING
        for ref in refs
    )


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
