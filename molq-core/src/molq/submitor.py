"""The entry point: submit jobs to one cluster and follow them."""

from __future__ import annotations

import builtins
import os
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from molq.errors import ConfigError
from molq.job_queries import JobQueries

if TYPE_CHECKING:
    from molq.async_waiting import AsyncWaiter
    from molq.backend import Finding, SchedulerOptions
    from molq.config import MolqProfile
    from molq.events import EventBus, EventType, Handler
    from molq.job_handle import JobHandle
    from molq.job_spec import JobExecution, JobResources, JobScheduling, JobSpec, Script, SubmitorDefaults
    from molq.policies import RetentionPolicy, RetryPolicy
    from molq.records import JobRecord
    from molq.store import JobStore


class Submitor(JobQueries):
    """Submits jobs to one cluster and follows them. A context manager, which closes itself at the end.

    Args:
        cluster_name: the user's name for the cluster; jobs are listed and followed under it.
        scheduler: the scheduler's name, such as ``"local"`` (the default) or ``"slurm"``.
        defaults: what every submission starts from.
        scheduler_options: options of the scheduler's own class; its defaults if None.
        store: the database of jobs; by default that in ``MOLQ_HOME``.
        jobs_dir: where the jobs' own folders are made; by default ``.molq/jobs`` in each job's working directory.
        default_retry_policy: when jobs are tried again; by default never.
        retention_policy: how long finished jobs leave traces once ``cleanup`` is called; by default a
            ``RetentionPolicy()``.
        profile_name: the profile that these settings come from, kept with each job.
        event_bus: where events are emitted; by default one of its own.

    Raises:
        ConfigError: a setting is wrong, or the scheduler's backend is missing or faulty.
        StoreError: the database cannot be used.
    """

    def __init__(
        self,
        cluster_name: str,
        scheduler: str = "local",
        *,
        defaults: SubmitorDefaults | None = None,
        scheduler_options: SchedulerOptions | None = None,
        store: JobStore | None = None,
        jobs_dir: str | Path | None = None,
        default_retry_policy: RetryPolicy | None = None,
        retention_policy: RetentionPolicy | None = None,
        profile_name: str | None = None,
        event_bus: EventBus | None = None,
    ) -> None:
        if not isinstance(cluster_name, str) or not cluster_name.strip() or not cluster_name.isprintable():
            raise ConfigError(f"cluster_name must be a printable name that is not empty, not {cluster_name!r}")
        # Imported here, so that a program that only names Submitor starts fast.
        from molq.engine import Engine
        from molq.events import EventBus
        from molq.field_rules import check_argument
        from molq.job_spec import SubmitorDefaults
        from molq.policies import RetentionPolicy, RetryPolicy
        from molq.store import JobStore

        check_argument("scheduler", scheduler, str, wanted="the name of a scheduler, such as 'slurm'")
        check_argument("defaults", defaults, SubmitorDefaults)
        check_argument("store", store, JobStore, wanted="a JobStore, such as JobStore('jobs.db')")
        check_argument("jobs_dir", jobs_dir, str, os.PathLike, wanted="the path of a folder")
        if jobs_dir is not None and not os.fspath(jobs_dir).strip():
            raise ConfigError("jobs_dir is empty; give a folder, such as '.molq/jobs', or leave it out")
        check_argument("default_retry_policy", default_retry_policy, RetryPolicy)
        check_argument("retention_policy", retention_policy, RetentionPolicy)
        check_argument("profile_name", profile_name, str, wanted="the name of a profile")
        check_argument("event_bus", event_bus, EventBus)
        self._defaults = defaults or SubmitorDefaults()
        self._retry = default_retry_policy
        self._retention_policy = retention_policy
        self._bus = event_bus or EventBus()
        self._engine = Engine(
            cluster_name,
            scheduler,
            options=scheduler_options,
            store=store,
            jobs_dir=jobs_dir,
            profile_name=profile_name,
            bus=self._bus,
        )
        super().__init__(cluster_name, scheduler, self._engine.store)
        self._async_waiters: weakref.WeakKeyDictionary[object, AsyncWaiter] = weakref.WeakKeyDictionary()

    @classmethod
    def from_profile(
        cls,
        profile_name: str | MolqProfile,
        config_path: str | Path | None = None,
        *,
        cluster_name: str | None = None,
        defaults: SubmitorDefaults | None = None,
        scheduler_options: SchedulerOptions | None = None,
        store: JobStore | None = None,
        jobs_dir: str | Path | None = None,
        default_retry_policy: RetryPolicy | None = None,
        retention_policy: RetentionPolicy | None = None,
        event_bus: EventBus | None = None,
    ) -> Self:
        """Return a Submitor with the settings of a profile. Each setting that is given here wins.

        Args:
            profile_name: the profile's name, or a profile that was loaded before.
            config_path: the file of profiles; by default ``config.toml`` in ``MOLQ_HOME`` (``~/.molq``).
            cluster_name: as for ``Submitor``, instead of the profile's; likewise the others.
            defaults: what wins over the profile's own defaults, field by field.
            scheduler_options: the options to use instead of the profile's, as a whole.
            store: the database; by default that in ``MOLQ_HOME``.
            jobs_dir: where job folders are made.
            default_retry_policy: when jobs are tried again.
            retention_policy: how long finished jobs leave traces.
            event_bus: where events are emitted; by default one of its own.

        Raises:
            ConfigError: there is no such profile, something in it is wrong, or its backend is not installed.
            StoreError: the database cannot be used.
        """
        from molq.config import MolqProfile, load_profile
        from molq.field_rules import check_argument
        from molq.job_spec import SubmitorDefaults, merge_defaults

        check_argument("profile_name", profile_name, str, MolqProfile, wanted="the name of a profile, or a MolqProfile")
        check_argument("defaults", defaults, SubmitorDefaults)
        profile = load_profile(profile_name, config_path) if isinstance(profile_name, str) else profile_name
        return cls(
            profile.cluster_name if cluster_name is None else cluster_name,
            profile.scheduler,
            defaults=merge_defaults(profile.defaults, defaults),
            scheduler_options=scheduler_options or profile.scheduler_options,
            store=store,
            jobs_dir=profile.jobs_dir if jobs_dir is None else jobs_dir,
            default_retry_policy=default_retry_policy or profile.retry,
            retention_policy=retention_policy or profile.retention,
            profile_name=profile.name,
            event_bus=event_bus,
        )

    @classmethod
    def for_job(cls, job_id: str, store: JobStore | None = None) -> Submitor:
        """Return a Submitor for the cluster of a job, with the options that the job was submitted with.

        Args:
            job_id: the job.
            store: the database; by default that in ``MOLQ_HOME``, which the Submitor then closes itself.

        Raises:
            JobNotFoundError: there is no such job.
            ConfigError: its backend is not installed any more, or does not understand the recorded options.
        """
        from molq.engine import recorded_options
        from molq.store import JobStore

        opened = JobStore() if store is None else store
        try:
            record = opened.job(job_id)
            options = recorded_options(record, opened)
        finally:
            if store is None:
                opened.close()
        # Without a store it opens its own, as every Submitor does, and so closes it.
        return cls(record.cluster_name, record.scheduler, scheduler_options=options, store=store)

    def submit(
        self,
        *,
        argv: Sequence[str] | None = None,
        command: str | None = None,
        script: Script | None = None,
        resources: JobResources | None = None,
        scheduling: JobScheduling | None = None,
        execution: JobExecution | None = None,
        metadata: Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        after_started: Sequence[str] | None = None,
        after: Sequence[str] | None = None,
        after_failure: Sequence[str] | None = None,
        after_success: Sequence[str] | None = None,
    ) -> JobHandle:
        """Submit a job.

        Exactly one of ``argv``, ``command`` and ``script`` says what runs. If the scheduler did not answer clearly,
        the job may have been submitted: the handle is returned with the state CREATED, and molq adopts the job as
        soon as it turns up. Do not submit it again.

        Args:
            argv: a program and its arguments; no shell reads them.
            command: shell code, run by bash.
            script: a script with its own interpreter line.
            resources: what the job needs; fields left at None come from the defaults.
            scheduling: where and when it may run; likewise.
            execution: how and where the command runs; likewise.
            metadata: texts of the user's own, kept with the job and given back unchanged.
            retry: when the job is tried again; by default the Submitor's policy.
            after_started: jobs, by molq's ids, that must have started first.
            after: jobs that must have ended first, in whatever way.
            after_failure: jobs that must have failed, been cancelled, timed out or been lost first.
            after_success: jobs that must have succeeded first.

        Raises:
            CommandError: what should run is specified wrongly.
            ScriptError: the script or the job's folder cannot be prepared.
            ConfigError: the request cannot be expressed on this scheduler.
            SubmitError: the scheduler refused the job.
            StoreError: the job could not be recorded, and so was not submitted.
        """
        from molq.job_handle import JobHandle

        spec = self._spec(
            argv=argv,
            command=command,
            script=script,
            resources=resources,
            scheduling=scheduling,
            execution=execution,
            metadata=metadata,
            retry=retry,
            after_started=after_started,
            after=after,
            after_failure=after_failure,
            after_success=after_success,
        )
        return JobHandle(self, self._engine.submit(spec))

    def preview(self, **request: Any) -> str:
        """Return the script that ``submit`` would send, which takes the same arguments; its job id is all zeros.

        Nothing is written or submitted.

        Raises:
            MolqError: as ``submit``.
        """
        return self._engine.preview(self._spec(**request))

    def watch(self, job_ids: Sequence[str] | None = None, timeout: float | None = None) -> builtins.list[JobRecord]:
        """Return the records of jobs when all of them are over, in the order of ``job_ids``.

        A job that is tried again is over when its latest attempt is and no other is due; that one's record is returned.

        Args:
            job_ids: the jobs; by default all that are active in the cluster now.
            timeout: seconds to wait at most; without end by default.

        Raises:
            ConfigError: ``timeout`` is no number of seconds, or a job is on another cluster.
            JobNotFoundError: there is no such job.
            MolqTimeoutError: some are still active, which it names. They go on.
        """
        wanted = self._wanted(job_ids, timeout)
        self._engine.wait(wanted, timeout)
        return [self._store.latest_attempt(job_id) for job_id in wanted]

    def as_completed(self, job_ids: Sequence[str] | None = None, timeout: float | None = None) -> Iterator[JobRecord]:
        """Yield the latest attempt's record of each job when the job is over, in the order in which they end.

        Args:
            job_ids: the jobs; by default all that are active in the cluster now.
            timeout: seconds to wait at most; without end by default.

        Raises:
            ConfigError: ``timeout`` is no number of seconds, or a job is on another cluster.
            JobNotFoundError: there is no such job.
            MolqTimeoutError: some are still active, which it names. They go on.
        """
        for job_id in self._engine.waiter().as_they_end(self._wanted(job_ids, timeout), timeout):
            yield self._store.latest_attempt(job_id)

    async def as_completed_async(
        self, job_ids: Sequence[str] | None = None, timeout: float | None = None
    ) -> AsyncIterator[JobRecord]:
        """Do the same within asyncio: ``async for record in submitor.as_completed_async()``.

        One task and one worker thread look after all jobs that are awaited; handlers of events are called in the
        worker thread. A handle can be awaited too: ``record = await handle``.

        Raises:
            ConfigError, JobNotFoundError, MolqTimeoutError: as ``as_completed``.
        """
        async for job_id in self._async_waiter().as_they_end(self._wanted(job_ids, timeout), timeout):
            yield self._store.latest_attempt(job_id)

    def retry(self, job_id: str) -> JobHandle:
        """Try a job again that is over, however it ended, as a further attempt of its family.

        It runs the bytes of the first attempt's script. Of an array, only the elements that did not succeed run again.

        Raises:
            JobNotFoundError: there is no such job.
            SubmitError: it is not over.
        """
        from molq.job_handle import JobHandle

        self._check_cluster(job_id)
        self._engine.retry(job_id)
        return JobHandle(self, self._store.job(job_id).root_job_id)

    def cancel(self, job_id: str, elements: Sequence[int] | None = None) -> None:
        """Ask the scheduler to end a job's latest attempt. Its state follows from what the scheduler then says.

        A job that is over stays what it is. There is no further attempt after this.

        Args:
            job_id: the job.
            elements: the indices of the elements of an array that are to end; by default the whole job.

        Raises:
            JobNotFoundError: there is no such job.
            ConfigError: the job is no array, has no such element, or the scheduler cannot cancel single elements.
            SchedulerError: the scheduler refused or could not be asked; the job stays what it was.
        """
        self._check_cluster(job_id)
        if elements is None:
            self._engine.cancel(job_id)
        else:
            self._engine.cancel_elements(job_id, elements)

    def refresh(self) -> None:
        """Ask the scheduler about all active jobs of the cluster, in one batch.

        Raises:
            SchedulerError: it could not be asked. No job changes by that; the failure is recorded with the cluster.
        """
        self._engine.refresh()

    def daemon(self, once: bool = False, interval: float = 5.0, run_cleanup: bool = True) -> None:
        """Look after the cluster's jobs until SIGTERM or SIGINT, which end it within seconds.

        It is a convenience: whoever refreshes, watches or waits does the same work. Of several daemons one asks the
        scheduler, and the others look at files.

        Args:
            once: whether to return after one round.
            interval: seconds between two rounds.
            run_cleanup: whether to clean up too, by the Submitor's retention policy, once in an hour.
        """
        from molq.daemon import run_rounds

        if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < float("inf"):
            raise ConfigError(f"interval must be a number of seconds of more than 0, not {interval!r}")
        run_rounds(lambda: self.look_after(interval, run_cleanup=run_cleanup), once=once, interval=interval)

    def look_after(self, interval: float = 5.0, *, run_cleanup: bool = True) -> None:
        """Do one round of what ``daemon`` does.

        Args:
            interval: the scheduler is not asked if any process has asked it in about this many seconds.
            run_cleanup: whether to clean up too, if this Submitor has not done so in the last hour.
        """
        from molq.policies import RetentionPolicy

        self._engine.round(interval, (self._retention_policy or RetentionPolicy()) if run_cleanup else None)

    def cleanup(
        self, dry_run: bool = False, retention_policy: RetentionPolicy | None = None
    ) -> dict[str, builtins.list[str]]:
        """Delete the folders, and later the records, of jobs of the cluster that ended long ago.

        A job goes with all its attempts, and only if none is active, no active job depends on it, and, if it is
        lost, after the week in which it may turn up again. Of its folder, only what is in it is deleted; a folder
        that is not recognised as the job's own is left alone, which is logged.

        Args:
            dry_run: do nothing, and tell what would be done.
            retention_policy: how long what is kept; by default the Submitor's.

        Returns:
            ``"job_dirs"``: the folders that were deleted; ``"records"``: the ids of the jobs whose records were.

        Raises:
            ConfigError: ``retention_policy`` is none.
            StoreError: the database cannot be read or written.
        """
        from molq.field_rules import check_argument
        from molq.policies import RetentionPolicy

        check_argument("retention_policy", retention_policy, RetentionPolicy)
        policy = retention_policy or self._retention_policy or RetentionPolicy()
        cleaned = self._engine.clean_up(policy, dry_run=dry_run)
        return {"job_dirs": cleaned.job_dirs, "records": cleaned.records}

    def probe_site(self) -> tuple[Finding, ...]:
        """Find out whether molq can work with the scheduler here; what could not be found out is a finding too."""
        return self._engine.probe_site()

    def on(self, event: EventType | str, handler: Handler) -> None:
        """Call ``handler`` with an ``EventPayload`` when ``event`` happens to a job of the cluster.

        Handlers are called within ``submit``, ``refresh``, ``watch`` and ``cancel`` of this Submitor.
        """
        self._bus.on(event, handler)

    def off(self, event: EventType | str, handler: Handler) -> None:
        """Call ``handler`` no more."""
        self._bus.off(event, handler)

    def close(self) -> None:
        """Close the database, unless it was passed in. Jobs are not touched. Closing twice is harmless."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spec(self, *, retry: RetryPolicy | None = None, **request: Any) -> JobSpec:
        from molq.conditions import DEPENDENCY_CONDITIONS
        from molq.requests import build_spec

        upstreams = {condition: request.pop(condition, None) for condition in DEPENDENCY_CONDITIONS}
        return build_spec(self._defaults, upstreams=upstreams, retry=retry or self._retry, **request)

    def _wanted(self, job_ids: Sequence[str] | None, timeout: float | None) -> builtins.list[str]:
        """Return the jobs that are to be waited for, once all is checked.

        Raises:
            ConfigError: the jobs or the seconds are of another kind, or a job is on another cluster.
            JobNotFoundError: there is no such job.
        """
        from molq.field_rules import check_seconds, checked_ids

        check_seconds("timeout", timeout)
        if job_ids is None:
            return [record.root_job_id for record in self.list()]
        wanted = checked_ids("job_ids", job_ids)
        for job_id in wanted:
            self._check_cluster(job_id)
        return [*wanted]

    def _async_waiter(self) -> AsyncWaiter:
        # Slow to import, and only needed here.
        import asyncio

        from molq.async_waiting import AsyncWaiter

        loop = asyncio.get_running_loop()
        if loop not in self._async_waiters:
            self._async_waiters[loop] = AsyncWaiter(self._engine.waiter())
        return self._async_waiters[loop]

    def _check_cluster(self, job_id: str) -> None:
        from molq.engine import check_cluster

        check_cluster(self._store.job(job_id), self.cluster_name, self.scheduler)
