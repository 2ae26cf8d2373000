"""Do what follows from what was learned: look after dependants, and submit what has waited in molq."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import attrs

from molq.attempts import write_changes
from molq.backend import JobReport, SchedulerError
from molq.dependants import Refusals, look_after_dependants
from molq.errors import BackendError
from molq.evidence import Answer, Evidence, evidence_on_disk, is_surely_over
from molq.late_submission import go_on_waiting, postpone, submit_waiting
from molq.polling import Poller
from molq.reconciliation import decide
from molq.submission import Submitter
from molq.tracking import TrackedJob

_log = logging.getLogger("molq")

_REST_SHARE = 10.0
"""How many times as long as it took to do what is due one rests at least."""

_LONGEST_REST = 2.0

_LONGEST_SLEEP = 30.0
"""Seconds after which it is looked again, although nothing is known to be due: another process may have died, and what
could not be told to the scheduler is told again."""


@attrs.define(kw_only=True)
class Upkeep:
    """Keeps one cluster's waiting jobs going. Cheap to run again and again while there is nothing to do.

    Attributes:
        poller: asks the scheduler.
        submitter: submits jobs.
    """

    poller: Poller
    submitter: Submitter
    _seen: int | None = attrs.field(default=None, init=False)
    _wake_at: float = attrs.field(default=0.0, init=False)
    _refusals: Refusals = attrs.field(factory=Refusals, init=False)
    _rest_until: float = attrs.field(default=0.0, init=False)

    def run_now_and_then(self) -> None:
        """Do what is due, unless that has just taken long: for those who wait, and come here all the time."""
        began = time.monotonic()
        if began < self._rest_until:
            return
        self.run()
        took = time.monotonic() - began
        self._rest_until = began + took + min(_REST_SHARE * took, _LONGEST_REST)

    def run(self) -> None:
        """Do what is due.

        Raises:
            StoreError: something could not be recorded.
        """
        store, now = self.poller.store, self.poller.clock()
        newest = store.newest_transition()
        if newest == self._seen and now < self._wake_at <= now + _LONGEST_SLEEP:
            return
        looked_after = look_after_dependants(self.poller, self._refusals)
        if looked_after.are_cancelled:
            self.poller.poll_quietly()
        due = store.waiting_in_molq(self.poller.cluster_name, self.poller.scheduler, now)
        # Of thousands that are held, no file need be read.
        go_on_waiting(store, [job for job in due if job.job_id in looked_after.held], looked_after.held, now)
        ready = [job for job in due if job.job_id not in looked_after.held]
        is_another_at_it = looked_after.is_another_at_it
        doubtful = self._doubtful(ready)
        if doubtful:
            with self.poller.turn() as is_ours:
                is_another_at_it = is_another_at_it or not is_ours
                ready = self._without_those_that_go_on(ready, doubtful, may_ask=is_ours)
        are_settled = [submit_waiting(self.submitter, job) for job in ready]
        is_another_at_it = is_another_at_it or not all(are_settled)
        self._seen = None if is_another_at_it else newest
        later = store.next_due_after(self.poller.cluster_name, self.poller.scheduler, now)
        self._wake_at = min(now + _LONGEST_SLEEP, now + _LONGEST_SLEEP if later is None else later)

    def _doubtful(self, due: Sequence[TrackedJob]) -> list[TrackedJob]:
        """Return the last attempts of those that are due which may not be over: the scheduler may start them again."""
        last = self.poller.store.tracked_jobs(_previous(due))
        return [job for job in last if job.scheduler_job_id is not None and not is_surely_over(job)]

    def _without_those_that_go_on(
        self, due: Sequence[TrackedJob], doubtful: Sequence[TrackedJob], *, may_ask: bool
    ) -> list[TrackedJob]:
        """Leave out attempts whose last one is not surely over, by what the scheduler says if it may be asked."""
        ids = {job.job_id for job in doubtful}
        if not may_ask:
            return [job for job in due if job.previous_attempt_job_id not in ids]
        # Whoever had the turn before may have submitted them.
        due = [job for job in self.poller.store.tracked_jobs(job.job_id for job in due) if job.waits_in_molq]
        doubtful = [job for job in doubtful if job.job_id in _previous(due)]
        try:
            blamed = self._not_over_among(doubtful) if doubtful else {}
        except (SchedulerError, BackendError) as error:
            _log.warning("it could not be asked whether earlier attempts are surely over: %s", error)
            blamed = dict.fromkeys(ids, f"waits until the scheduler says whether the last attempt is over: {error}")
        ready = []
        for job in due:
            reason = blamed.get(job.previous_attempt_job_id or "")
            if reason is None:
                ready.append(job)
            else:
                postpone(self.submitter, job, reason)
        return ready

    def _not_over_among(self, jobs: Sequence[TrackedJob]) -> dict[str, str]:
        """Return why some jobs are not surely over: the scheduler has them as active, or could not tell."""
        poller = self.poller
        matched = poller.ask_about(jobs)
        blamed = dict.fromkeys(
            matched.unanswered, "waits until the scheduler can tell whether the last attempt is over"
        )
        for job in jobs:
            report = matched.reports.get(job.job_id)
            if report is None:
                continue
            elements = poller.store.elements([job.job_id]).get(job.job_id, ()) if job.is_array else ()
            evidence = evidence_on_disk(job, Answer.REPORTED, report, elements)
            if _says_active(report, evidence):
                blamed[job.job_id] = "the scheduler says that the last attempt goes on"
                self._revive(job, evidence)
        return blamed

    def _revive(self, job: TrackedJob, evidence: Evidence) -> None:
        """Believe again in a job that was thought to be over; that withdraws the attempt that waits to follow it."""
        now = self.poller.clock()
        change = decide(job, evidence, now)
        if change is not None:
            write_changes(self.poller.store, [change], now)


def _previous(jobs: Sequence[TrackedJob]) -> set[str]:
    return {job.previous_attempt_job_id for job in jobs if job.previous_attempt_job_id is not None}


def _says_active(report: JobReport, evidence: Evidence) -> bool:
    """Tell whether a job goes on by a report; of an array, by what else is known of elements that this leaves out."""
    if evidence.array is not None and report.elements:
        return bool(evidence.array.missing) or not all(element.is_over for element in evidence.array.elements)
    return report.state is None or not report.state.is_terminal
