"""Gather evidence about a cluster's jobs and write down what follows from it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from molq.attempts import write_changes
from molq.backend import Commands, ElementReport, JobReport, SchedulerError, SchedulerOptions, SubmittedJob
from molq.errors import BackendError
from molq.evidence import Answer, evidence_on_disk, says_nothing_new
from molq.job_files import JobFiles, UnreadableFilesError, may_have_ended
from molq.job_state import JobState
from molq.loaded_backend import Backend
from molq.matching import Matched, match, match_nothing
from molq.pacing import next_poll_at
from molq.reconciliation import decide, wants_a_poll
from molq.recovery import Recovery
from molq.store import ClusterHealth, JobStore, Lease
from molq.tracking import Change, TrackedJob

_log = logging.getLogger("molq")

_LEASE_WAIT_SECONDS = 0.02


@attrs.frozen(kw_only=True)
class Poller:
    """Looks at the files of jobs, and asks the scheduler when this process holds the lease.

    Attributes:
        store: where jobs are recorded.
        backend: the scheduler.
        options: the backend's options.
        commands: runs the scheduler's programs.
        cluster_name: the cluster.
        clock: returns seconds since the epoch.
        sleep: waits for some seconds.
    """

    store: JobStore
    backend: Backend
    options: SchedulerOptions
    commands: Commands
    cluster_name: str
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    _warned: set[str] = attrs.field(factory=set, init=False)
    _own_polls: deque[float] = attrs.field(factory=lambda: deque(maxlen=1), init=False)

    @property
    def scheduler(self) -> str:
        """The scheduler's name."""
        return self.backend.scheduler

    def look(self, jobs: Iterable[TrackedJob]) -> bool:
        """Learn what the files of active jobs tell, without asking the scheduler.

        Returns:
            Whether a job has ended in a way that the scheduler should be asked about soon.
        """
        changes, in_a_hurry, now = [], False, self.clock()
        jobs = list(jobs)
        elements = self._elements(jobs)
        for job in jobs:
            if job.state.is_terminal or job.waits_in_molq:
                continue
            if job.scheduler_job_id is None:
                # Its script runs, so a poll can adopt it.
                in_a_hurry = in_a_hurry or _is_claimed(job)
                continue
            if _surely_goes_on(job):
                continue
            evidence = evidence_on_disk(job, Answer.NOT_ASKED, elements=elements.get(job.job_id, ()))
            in_a_hurry = in_a_hurry or wants_a_poll(job, evidence, now)
            change = decide(job, evidence, now)
            if change is not None:
                changes.append(change)
        write_changes(self.store, changes, now)
        return in_a_hurry

    def poll_is_due(self, *, in_a_hurry: bool = False) -> bool:
        """Tell whether the scheduler should be asked again by now."""
        youngest = self.store.newest_submission(self.cluster_name, self.scheduler)
        if youngest is None:
            return False
        health, now = self._health(), self.clock()
        description = self.backend.description
        if health.asked_at is not None and health.asked_at > now + description.longest_poll:
            # This clock was set back, or another machine's is ahead: this process then paces itself.
            return not self._own_polls or not 0 <= now - self._own_polls[-1] < description.longest_poll
        if youngest > now:
            youngest = now - description.shortest_poll
        return now >= next_poll_at(description, health, youngest, in_a_hurry=in_a_hurry)

    def was_asked_within(self, seconds: float) -> bool:
        """Tell whether any process has asked the scheduler in the last ``seconds``."""
        asked_at = self._health().asked_at
        return asked_at is not None and 0 <= self.clock() - asked_at < seconds

    def refresh(self) -> None:
        """Ask the scheduler now, or wait for the answer to a question that another process asks meanwhile.

        Raises:
            SchedulerError: it could not be asked; no job was changed by that, and the failure is recorded.
        """
        answered_at, answers = self._health().answered_at, 0
        while (lease := self._take_lease()) is None:
            self.sleep(_LEASE_WAIT_SECONDS)
            newest = self._health().answered_at
            if newest != answered_at:
                answered_at, answers = newest, answers + 1
            if answers == 2:  # the question behind the first answer may be older than this call
                return
        self._poll(lease)

    def poll_quietly(self, *, unless_within: float = 0.0) -> None:
        """Ask the scheduler unless another process is doing so. A failure is recorded and logged, and not raised.

        Args:
            unless_within: seconds; if any process has asked it so shortly before, that is enough.
        """
        lease = self._take_lease()
        if lease is None:
            return
        if self.was_asked_within(unless_within):
            self.store.leases.give_back(lease, self.clock(), asked=False)
            return
        try:
            self._poll(lease)
        except (SchedulerError, BackendError) as error:
            self._warn_once("poll", f"the scheduler could not be asked: {error}")

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Hold the lease for questions that are no poll; gives False, and holds nothing, while another process asks."""
        lease = self._take_lease()
        try:
            yield lease is not None
        finally:
            if lease is not None:
                self.store.leases.give_back(lease, self.clock(), asked=False)

    def unknown_among(self, jobs: Sequence[TrackedJob]) -> list[TrackedJob]:
        """Ask the scheduler about active jobs now, write down what follows, and return those that it does not show.

        Raises:
            SchedulerError: it could not be asked.
        """
        asked_at = self.clock()
        matched = self.ask_about(jobs)
        self._settle(jobs, matched, asked_at, None)
        known_now = self.store.tracked_jobs([job.job_id for job in jobs])
        return [job for job in known_now if job.job_id not in matched.reports]

    def is_a_strangers(self, job: TrackedJob) -> bool:
        """Ask the scheduler whether it has another job under the id of this one: schedulers reuse ids.

        Raises:
            SchedulerError: it could not be asked.
        """
        return bool(self.ask_about([job]).strangers)

    def ask_about(self, jobs: Sequence[TrackedJob]) -> Matched:
        """Ask the scheduler about jobs that have its ids; nothing is written down.

        Raises:
            SchedulerError: it could not be asked.
        """
        newest = {job.scheduler_job_id: job for job in jobs}
        asked = tuple(as_submitted(job) for job in newest.values())
        return match(jobs, self.backend.poll_jobs(asked, self.options, self.commands))

    def _health(self) -> ClusterHealth:
        return self.store.leases.health(self.cluster_name, self.scheduler)

    def _take_lease(self) -> Lease | None:
        return self.store.leases.take(self.cluster_name, self.scheduler, self.clock())

    def _poll(self, lease: Lease) -> None:
        failure: str | None = None
        asked = False  # and so it stays if this process is interrupted, which tells nothing of the scheduler
        try:
            jobs = self.store.open_jobs(self.cluster_name, self.scheduler, self.clock())
            self._ask(jobs, lease)
            asked = bool(jobs)
            self._warned.discard("poll")
        except (SchedulerError, BackendError) as error:
            failure, asked = str(error), True
            raise
        finally:
            now = self.clock()
            self._own_polls.append(now)
            self.store.leases.give_back(lease, now, failure=failure, asked=asked)

    def _ask(self, jobs: Sequence[TrackedJob], lease: Lease) -> None:
        trouble = self._recover(jobs)
        if any(job.scheduler_job_id is None for job in jobs):
            jobs = self.store.open_jobs(self.cluster_name, self.scheduler, self.clock())
        known = [job for job in jobs if job.scheduler_job_id is not None]
        if known:
            strangers = self._learn_of(known, lease)
            self._carry_out_cancels([job for job in known if job.job_id not in strangers], lease)
        elif trouble is not None:
            raise trouble

    def _recover(self, jobs: Sequence[TrackedJob]) -> SchedulerError | BackendError | None:
        """Adopt jobs that have no id; return what went wrong, which must not keep the others from being asked about."""
        orphans = [job for job in jobs if job.scheduler_job_id is None and not job.state.is_terminal]
        if not orphans:
            return None
        recovery = Recovery(
            store=self.store,
            backend=self.backend,
            options=self.options,
            commands=self.commands,
            clock=self.clock,
            warn_once=self._warn_once,
        )
        try:
            recovery.recover(orphans)
        except (SchedulerError, BackendError) as error:
            self._warn_once("find", f"the scheduler could not be searched for unconfirmed jobs: {error}")
            return error
        self._warned.discard("find")
        return None

    def _learn_of(self, jobs: Sequence[TrackedJob], lease: Lease) -> frozenset[str]:
        """Ask about jobs, write down what follows, and return those whose ids are by now other jobs'."""
        asked_at = self.clock()  # patience counts from the question: this process may be suspended before the answer
        try:
            matched = self.ask_about(jobs)
        except (SchedulerError, BackendError):
            self._settle(jobs, match_nothing(jobs), asked_at, lease)
            raise
        self._settle(jobs, matched, asked_at, lease)
        return matched.strangers

    def _settle(self, jobs: Sequence[TrackedJob], matched: Matched, now: float, lease: Lease | None) -> None:
        """Write down what follows from an answer and the jobs' files."""
        counts_restarts = self.backend.description.restart_count_variable is not None
        changes: list[Change] = []
        elements = self._elements(jobs)
        for job in jobs:
            report = matched.reports.get(job.job_id)
            if report is not None:
                for word in _unknown_words(report):
                    self._warn_once(word, f"{word!r} is a state that molq does not know")
                if report.restarts and not counts_restarts:
                    # The job's script then counts its own starts, and the two counts may differ.
                    report = attrs.evolve(report, restarts=0)
                if says_nothing_new(job, report):
                    continue
                evidence = evidence_on_disk(job, Answer.REPORTED, report, elements.get(job.job_id, ()))
            else:
                answer = Answer.UNANSWERED if job.job_id in matched.unanswered else Answer.ABSENT
                evidence = evidence_on_disk(job, answer, elements=elements.get(job.job_id, ()))
                is_taken = answer is Answer.ABSENT and job.job_id in matched.strangers
                evidence = attrs.evolve(evidence, is_taken=is_taken)
            change = decide(job, evidence, now)
            if change is not None:
                changes.append(change)
        write_changes(self.store, changes, self.clock(), lease)

    def _elements(self, jobs: Iterable[TrackedJob]) -> dict[str, tuple[ElementReport, ...]]:
        arrays = [job.job_id for job in jobs if job.is_array]
        return self.store.elements(arrays) if arrays else {}

    def _carry_out_cancels(self, jobs: Sequence[TrackedJob], lease: Lease) -> None:
        """Cancel what somebody asked to cancel before there was an id, or before their process died."""
        wanted = [job.job_id for job in jobs if _is_to_be_cancelled(job)]
        waiting = [job for job in self.store.tracked_jobs(wanted) if _is_to_be_cancelled(job)]
        if not waiting:
            return
        try:
            receipts = self.backend.cancel_jobs(
                tuple(as_submitted(job) for job in waiting), self.options, self.commands
            )
        except (SchedulerError, BackendError) as error:
            self._warn_once("cancel", f"jobs could not be cancelled, which will be tried again: {error}")
            return
        self._warned.discard("cancel")
        refusals = {receipt.scheduler_job_id: receipt for receipt in receipts if not receipt.accepted}
        for job in waiting:
            if job.scheduler_job_id not in refusals:
                self.store.settle_cancel(job.job_id, self.clock())
        waiting = self.store.tracked_jobs([job.job_id for job in waiting])
        self._learn_of(waiting, lease)
        for job in self.store.tracked_jobs([job.job_id for job in waiting]):
            refusal = refusals.get(job.scheduler_job_id or "")
            if refusal is not None and _is_to_be_cancelled(job):
                self.store.settle_cancel(job.job_id, None)
                self._warn_once(
                    f"refused {job.job_id}", f"the scheduler refused to cancel job {job.job_id}: {refusal.reason}"
                )

    def _warn_once(self, key: str, sentence: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            _log.warning("%s (%s): %s", self.cluster_name, self.scheduler, sentence)


def as_submitted(job: TrackedJob) -> SubmittedJob:
    """Return a job as backends know it."""
    assert job.scheduler_job_id is not None
    return SubmittedJob(
        job_id=job.job_id,
        scheduler_job_id=job.scheduler_job_id,
        job_dir=Path(job.job_dir),
        submitted_at=job.submitted_at if job.submitted_at is not None else job.created_at,
        is_array=job.is_array,
        array_spec=job.array_spec,
    )


def _surely_goes_on(job: TrackedJob) -> bool:
    """Tell, as cheaply as can be, that the files of a running job can tell nothing new."""
    if job.is_array or job.state is not JobState.RUNNING or job.started_at is None:
        return False
    return not may_have_ended(job.job_dir)


def _unknown_words(report: JobReport) -> set[str]:
    """Return the words for states of which nobody knows what they mean. Of an array, its elements have them."""
    said = report.elements or (report,)
    return {one.native_state for one in said if one.state is None and one.native_state}


def _is_claimed(job: TrackedJob) -> bool:
    """Tell whether a job's script is known to have begun to run."""
    with suppress(UnreadableFilesError):
        return JobFiles(Path(job.job_dir)).read_claim() is not None
    return False


def _is_to_be_cancelled(job: TrackedJob) -> bool:
    return job.cancel_requested_at is not None and job.cancel_accepted_at is None and not job.state.is_terminal
