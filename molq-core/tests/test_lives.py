"""Whatever happens to many jobs at once, in whatever order: each comes to the end that a person would expect of it."""

from __future__ import annotations

from contextlib import suppress

import attrs
import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from molq.backend import SchedulerError
from molq.cancellation import cancel
from molq.errors import SubmitError
from molq.job_spec import DependencyRef
from molq.job_state import JobState
from molq.policies import RetryBackoff, RetryPolicy
from molq.upkeep import Upkeep

_BACK_OFF = 10.0
_MOST_JOBS = 6
_CONDITIONS = st.sampled_from(["after_success", "after_failure", "after"])
_GOOD = {JobState.SUCCEEDED}
_BAD = {JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT, JobState.LOST}
_SATISFIED_BY = {"after_success": _GOOD, "after_failure": _BAD, "after": _GOOD | _BAD}


class _KilledError(BaseException):
    """The process is gone; nothing of it may run on."""


@attrs.define
class _Job:
    """What a person knows of one job.

    Attributes:
        attempts: how many attempts it may have.
        after: the job that it waits for, and the condition.
        is_asked_to_end: whether somebody has cancelled it.
        is_cancelled: whether the scheduler has heard of that, or need not.
        ran: the attempts that ran, each with the exit code that it ended with; None while it runs.
    """

    attempts: int
    after: tuple[str, str] | None = None
    is_asked_to_end: bool = False
    is_cancelled: bool = False
    ran: dict[str, int | None] = attrs.field(factory=dict)


class Lives(RuleBasedStateMachine):
    """A scheduler that starts what may start by its own rules, and processes of molq that die anywhere."""

    jobs = Bundle("jobs")

    def __init__(self, cluster) -> None:
        super().__init__()
        self.cluster, self.scheduler, self.clock = cluster, cluster.scheduler, cluster.clock
        self.upkeep = self._new_upkeep()
        self.known: dict[str, _Job] = {}

    def teardown(self) -> None:
        self._settle()
        for job_id, job in self.known.items():
            self._check_end(job_id, job)
        self.cluster.store.close()

    @initialize(
        target=jobs,
        first=st.integers(1, 3),
        others=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 9), _CONDITIONS), min_size=1, max_size=4),
    )
    def submit(self, first: int, others: list[tuple[int, int, str]]):
        """Somebody submits a job, and others that wait for it or for each other."""
        submitted = [self._submit(_Job(first))]
        for attempts, upstream, condition in others:
            submitted.append(self._submit(_Job(attempts, (submitted[upstream % len(submitted)], condition))))
        return multiple(*submitted)

    @rule(target=jobs, attempts=st.integers(1, 2), upstream=jobs, condition=_CONDITIONS)
    def submit_another(self, attempts: int, upstream: str, condition: str):
        """Somebody submits one more job that waits, unless it could never run."""
        if len(self.known) == _MOST_JOBS:
            return multiple()
        try:
            return self._submit(_Job(attempts, (upstream, condition)))
        except SubmitError:
            return multiple()

    @rule(job_id=jobs)
    def cancel(self, job_id: str):
        """Somebody cancels a job."""
        if self.cluster.store.latest_attempt(job_id).state.is_terminal:
            return
        with suppress(SchedulerError):
            cancel(self.cluster.poller, job_id)
            latest = self.cluster.latest(self.cluster.store.tracked_job(job_id))
            self.known[job_id].is_asked_to_end = True
            self.known[job_id].is_cancelled = latest.state.is_terminal or latest.scheduler_job_id is not None
            self.upkeep.run()

    @rule(seconds=st.sampled_from([11.0, 70.0]))
    def time_passes(self, seconds: float):
        """Nothing else happens for a while."""
        self.clock.turn(seconds)

    @rule()
    def look(self):
        """A process looks at the files, and does what is due."""
        self.cluster.look()
        self.upkeep.run()

    @rule()
    def refresh(self):
        """A process asks, and does what is due."""
        with suppress(SchedulerError):
            self.cluster.poller.refresh()
            self.upkeep.run()

    @rule(trouble=st.sampled_from(["none", "none", "is down", "loses replies"]))
    def have_trouble(self, trouble: str):
        """The scheduler can be asked no more, or takes jobs without saying so, or is well again."""
        self.scheduler.is_down = trouble == "is down"
        self.scheduler.loses_replies = trouble == "loses replies"

    @rule(
        turns=st.lists(st.tuples(st.sampled_from([0, 11]), st.booleans(), st.integers(0, 2), st.booleans()), max_size=4)
    )
    def live_on(self, turns: list[tuple[int, bool, int, bool]]):
        """Time passes, processes come by and go away, jobs start, and now and then the command of one of them ends."""
        for seconds, is_good, which, is_seen in turns:
            self._list_what_has_ended()
            self.clock.turn(seconds)
            self.refresh()
            self._be_another_process()
            self._start()
            running = [n for n in self.scheduler.ids if self._reported(n) is JobState.RUNNING]
            going_on = [number for number in running if self._code(number) is None]
            if going_on:
                self._end(going_on[which % len(going_on)], 0 if is_good else 3, is_seen=is_seen)

    @rule(before=st.booleans(), refreshes=st.booleans())
    def die_while_submitting(self, before: bool, refreshes: bool):
        """A process dies right before or right after the scheduler has heard of the job that it submits."""
        if before:
            self.scheduler.on_submit = self._die
        else:
            self.scheduler.on_submit = self._take_and_die
        try:
            with suppress(SchedulerError):
                if refreshes:
                    self.cluster.poller.refresh()
                self._new_upkeep().run()
        except _KilledError:
            pass
        finally:
            self.scheduler.on_submit = lambda _: None
        self._be_another_process()

    @rule(question=st.integers(1, 4))
    def die_while_asking(self, question: int):
        """A process dies at one of its questions to the scheduler."""
        left = [question]

        def count_down() -> None:
            left[0] -= 1
            if left[0] == 0:
                raise _KilledError

        self.scheduler.on_question = count_down
        try:
            with suppress(SchedulerError):
                self.cluster.poller.refresh()
                self._new_upkeep().run()
        except _KilledError:
            pass
        finally:
            self.scheduler.on_question = lambda: None
        self._be_another_process()

    @invariant()
    def nothing_is_said_that_is_not_so(self):
        """What is over in the store is over, and in no attempt beyond what was asked for."""
        for job_id, job in self.known.items():
            family = self.cluster.store.family(job_id)
            assert [record.attempt for record in family] == list(range(1, len(family) + 1))
            assert len(family) <= job.attempts
            for record in family:
                if record.state is JobState.SUCCEEDED:
                    assert job.ran[record.job_id] == 0
                if record.state is JobState.FAILED and record.cause == "submit":
                    assert record.job_id not in job.ran, "it did reach the scheduler"
                elif record.state is JobState.FAILED:
                    assert job.ran.get(record.job_id) not in (None, 0), record.failure_reason
                assert record.state is not JobState.LOST

    def _submit(self, job: _Job) -> str:
        refs = () if job.after is None else (DependencyRef(*job.after),)
        policy = RetryPolicy(job.attempts, backoff=RetryBackoff("fixed", _BACK_OFF))
        tracked = self.cluster.submit(retry=policy, dependencies=refs)
        self.known[tracked.job_id] = job
        return tracked.job_id

    def _start(self):
        """The scheduler starts what it may start, by what it was told and knows."""
        for number in self.scheduler.ids:
            if self._reported(number) is JobState.QUEUED and self._may_start(number):
                attempt = self.scheduler.request(number).job_id
                job = self.known[self._root(attempt)]
                assert attempt not in job.ran, "an attempt runs twice"
                assert None not in job.ran.values(), "two attempts run at once"
                self._assert_condition_holds(job)
                job.ran[attempt] = None
                self.scheduler.write_start(number, at=self.clock())
                self.scheduler.say(number, JobState.RUNNING)

    def _list_what_has_ended(self) -> None:
        for number in self.scheduler.ids:
            if self._reported(number) is JobState.RUNNING and self._code(number) is not None:
                self._say_end(number)

    def _settle(self) -> None:
        """Let everything run to its end, in a world where nothing goes wrong any more."""
        self.scheduler.is_down = self.scheduler.loses_replies = False
        self._be_another_process()
        for _ in range(60):
            self._start()
            for number in self.scheduler.ids:
                if self._reported(number) is JobState.RUNNING:
                    if self._code(number) is None:
                        self._end(number, 0, is_seen=True)
                    self._say_end(number)
            self.refresh()
            self.upkeep.run()
            self.clock.turn(31)
            if not self.cluster.store.jobs():
                return

    def _check_end(self, job_id: str, job: _Job) -> None:
        latest = self.cluster.store.latest_attempt(job_id)
        assert latest.state.is_terminal, (latest.state, latest.reason)
        if latest.state is JobState.SUCCEEDED:
            return
        if latest.state is JobState.FAILED:
            never_came = latest.cause == "submit" and latest.not_before is None
            assert never_came or job.is_asked_to_end or latest.attempt == job.attempts, (
                "it was not tried as often as asked for"
            )
            return
        assert latest.state is JobState.CANCELLED
        if not job.is_asked_to_end:
            assert job.after is not None
            upstream, condition = job.after
            assert self.cluster.store.latest_attempt(upstream).state not in _SATISFIED_BY[condition]

    def _assert_condition_holds(self, job: _Job) -> None:
        assert not job.is_cancelled, "an attempt starts after a cancel has returned"
        if job.after is None:
            return
        upstream, condition = job.after
        outcome = self._truth(upstream)
        assert outcome in _SATISFIED_BY[condition], f"{condition} does not hold: {outcome}"

    def _truth(self, job_id: str) -> JobState | None:
        """Return how a job has ended with all its attempts, as somebody sees it who sees everything; None if not."""
        job = self.known[job_id]
        if 0 in job.ran.values():
            return JobState.SUCCEEDED
        latest = self.cluster.store.latest_attempt(job_id)
        if latest.state is JobState.CANCELLED or latest.cause == "submit":
            return latest.state
        is_last = len(job.ran) == job.attempts or (job.is_asked_to_end and latest.job_id in job.ran)
        has_failed = is_last and None not in job.ran.values()
        if has_failed:
            return JobState.FAILED
        states = [self._reported(n) for n in self.scheduler.ids if self.scheduler.request(n).job_id == latest.job_id]
        return JobState.CANCELLED if JobState.CANCELLED in states else None

    def _may_start(self, number: str) -> bool:
        expression = dict(self.scheduler.updates).get(number, self.scheduler.request(number).dependency)
        for edge in (expression or "").split(",") if expression else ():
            condition, _, upstream = edge.partition(":")
            if self._reported(upstream) not in _SATISFIED_BY[condition]:
                return False
        return True

    def _end(self, number: str, code: int, *, is_seen: bool) -> None:
        attempt = self.scheduler.request(number).job_id
        if self._code(number) is not None:
            return
        self.known[self._root(attempt)].ran[attempt] = code
        self.scheduler.write_exit(number, code, at=self.clock())
        if is_seen:
            self._say_end(number)

    def _say_end(self, number: str) -> None:
        code = self._code(number)
        self.scheduler.say(number, JobState.FAILED if code else JobState.SUCCEEDED, exit_code=code)

    def _code(self, number: str) -> int | None:
        attempt = self.scheduler.request(number).job_id
        return self.known[self._root(attempt)].ran.get(attempt)

    def _root(self, attempt: str) -> str:
        return self.cluster.store.job(attempt).root_job_id

    def _reported(self, number: str) -> JobState | None:
        return self.scheduler._jobs[number].report.state

    def _be_another_process(self) -> None:
        dead, self.cluster = self.cluster, self.cluster.another_process()
        dead.store.close()
        self.upkeep = self._new_upkeep()

    def _new_upkeep(self) -> Upkeep:
        return Upkeep(poller=self.cluster.poller, submitter=self.cluster.submitter)

    def _die(self, _request: object) -> None:
        raise _KilledError

    def _take_and_die(self, request: object) -> None:
        self.scheduler.take(request)
        raise _KilledError


def test_each_of_many_jobs_comes_to_the_end_that_a_person_would_expect(clusters):
    lives = settings(
        max_examples=60,
        stateful_step_count=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: Lives(clusters()), settings=lives)
