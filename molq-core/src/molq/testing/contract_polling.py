"""Require of a backend that it says of jobs what is so, and nothing that it does not know."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from molq.backend import JobScheduling, JobState, PollAnswer, SchedulerError
from molq.loaded_backend import Backend
from molq.testing.contract_kit import Cluster, ContractKit, Submitted

GARBAGE = (
    "",
    "\n",
    "no such thing\n",
    "<html>502 Bad Gateway</html>\n",
    "{}\n",
    "COMPLETED\nDONE\nF\n",
    "1 2 3 4 5 6 7 8 9\n" * 50,
    "\x00\x01\ufffd\n",
    "{id}\n",
    "{id} COMPLETED\n",
    "{id}|COMPLETED|0:0",
)
"""What a broken program may print; ``{id}`` stands for the job's id."""

ENDS = {
    "signal": (JobState.FAILED, "signal"),
    "time_out": (JobState.TIMED_OUT, "timeout"),
    "out_of_memory": (JobState.FAILED, "out_of_memory"),
    "node_fail": (JobState.FAILED, "node_fail"),
    "preempt": (JobState.FAILED, "preempted"),
    "cancel": (JobState.CANCELLED, "cancelled"),
}
"""What may happen to a running job -> the state and the cause that follow."""


class PollingRules(ContractKit):
    """What a poll says."""

    def test_a_job_is_reported_in_each_stage_of_its_life(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "hold", "start", "finish")
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "hold", job.id)

        waiting = self.report(backend, cluster, job)
        self.drive(cluster, "start", job.id)
        running = self.report(backend, cluster, job)
        self.drive(cluster, "finish", job.id, 0)
        ended = self.report(backend, cluster, job)

        assert [report.state for report in (waiting, running, ended)] == [
            JobState.QUEUED,
            JobState.RUNNING,
            JobState.SUCCEEDED,
        ]
        assert waiting.reason
        assert all(report.tag == job.job.job_id for report in (waiting, running, ended))

    def test_an_exit_code_is_reported(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        job = self.submit(backend, cluster, jobs_dir, command=["sh", "-c", "exit 3"])

        cluster.run(job.id)

        report = self.wait_for(backend, cluster, job, JobState.FAILED)
        assert (report.exit_code, report.signal) == (3, None)

    def test_unknown_jobs_are_absent_and_known_ones_are_not_hurt_by_them(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        job = self.submit(backend, cluster, jobs_dir)
        unknown = [_renamed(job, str(90_000_000 + n)) for n in range(2)]

        for asked in ([unknown[0]], unknown, [unknown[0], job, unknown[1]]):
            answer = self.poll(backend, cluster, *asked)

            assert [report.scheduler_job_id for report in answer.reports] == [job.id] * (job in asked)
            assert not answer.unanswered

    def test_an_id_that_is_none_never_reaches_a_program(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        job = self.submit(backend, cluster, jobs_dir)

        answer = self.poll(backend, cluster, job, _renamed(job, "--help"), _renamed(job, "1 2"))

        assert [report.scheduler_job_id for report in answer.reports] == [job.id]
        assert "--help" not in repr(getattr(cluster, "commands_run", ()))

    def test_a_word_that_nobody_knows_is_passed_on_without_a_state(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "set_state")
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "set_state", job.id, "MEDITATING")

        report = self.report(backend, cluster, job)

        assert (report.native_state, report.state) == ("MEDITATING", None)

    def test_a_job_in_a_state_that_nobody_knows_does_not_hurt_the_others(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "set_state")
        jobs = [self.submit(backend, cluster, jobs_dir) for _ in range(3)]
        self.drive(cluster, "set_state", jobs[1].id, "MEDITATING")

        answer = self.poll(backend, cluster, *jobs)

        assert {r.scheduler_job_id for r in answer.reports if r.state is not None} == {jobs[0].id, jobs[2].id}
        assert jobs[1].id in {report.scheduler_job_id for report in answer.reports} | answer.unanswered

    def test_each_word_of_the_scheduler_means_what_it_should(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "set_state")
        if not self.words:
            pytest.skip(f"{type(self).__name__} names no words")
        job = self.submit(backend, cluster, jobs_dir)
        said = {}

        for word in self.words:
            self.drive(cluster, "set_state", job.id, word)
            said[word] = self.report(backend, cluster, job).state

        assert said == self.words

    def test_ten_thousand_jobs_are_asked_for_by_a_few_commands(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        job = self.submit(backend, cluster, jobs_dir)
        crowd = [_renamed(job, str(1_000_000 + n)) for n in range(10_000)]
        before = self.counted(cluster)

        answer = self.poll(backend, cluster, job, *crowd)

        assert [report.scheduler_job_id for report in answer.reports] == [job.id]
        assert self.counted(cluster) - before <= 4

    def test_a_stranger_with_a_reused_id_is_not_taken_for_the_job(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "reuse_id")
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "reuse_id", job.id)

        reports = self.poll(backend, cluster, job).reports

        assert all(report.tag not in (None, job.job.job_id) for report in reports)

    @pytest.mark.parametrize("garbage", GARBAGE)
    @pytest.mark.parametrize("exit_code", [0, 1])
    def test_no_job_ends_by_garbage(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path, garbage: str, exit_code: int
    ) -> None:
        self.requires(cluster, "garble")
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "garble", garbage.replace("{id}", job.id), exit_code=exit_code)

        try:
            answer = self.poll(backend, cluster, job)
        except SchedulerError:
            return

        self.no_end_is_claimed(answer)
        if exit_code:
            assert answer.reports or answer.unanswered, "a program that failed knows not that the job is gone"

    def test_an_empty_answer_ends_no_job(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        self.requires(cluster, "garble")
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "garble", "", exit_code=0)

        self.no_end_is_claimed(self.poll(backend, cluster, job))

    def test_an_array_is_one_job_with_elements(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        self.requires(cluster, "hold", "finish")
        self.needs(backend, "array_spec")
        job = self.submit(backend, cluster, jobs_dir, scheduling=JobScheduling(array_spec="1-3"))
        self.drive(cluster, "hold", job.id)
        waiting = self.report(backend, cluster, job)
        self.drive(cluster, "finish", f"{job.id}_1", 0)
        self.drive(cluster, "finish", f"{job.id}_2", 7)
        partly = self.report(backend, cluster, job)
        self.drive(cluster, "finish", f"{job.id}_3", 0)
        ended = self.report(backend, cluster, job)

        assert (waiting.state, partly.state, ended.state) == (JobState.QUEUED, JobState.RUNNING, JobState.FAILED)
        assert [(element.index, element.exit_code) for element in ended.elements] == [(1, 0), (2, 7), (3, 0)]
        assert "2" in (ended.reason or "")


class OutageRules(ContractKit):
    """What a poll must not say when it could not ask."""

    @pytest.mark.parametrize("fault", ["go_down", "hang"])
    def test_an_outage_is_an_error_and_over_when_it_is_over(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path, fault: str
    ) -> None:
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, fault)
        try:
            with pytest.raises(SchedulerError):
                self.poll(backend, cluster, job)
        finally:
            self.drive(cluster, "come_back")

        assert self.poll(backend, cluster, job).reports

    def test_a_forgotten_job_is_open_while_accounting_is_down(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "finish", "forget")
        job = self._forgotten(backend, cluster, jobs_dir)
        self.drive(cluster, "accounting_down")

        answer = self.poll(backend, cluster, job)

        assert answer == PollAnswer(reports=(), unanswered=frozenset({job.id}))

    def test_a_forgotten_job_is_absent_where_there_is_no_accounting(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "finish", "forget")
        job = self._forgotten(backend, cluster, jobs_dir)
        self.drive(cluster, "accounting_off")

        answer = self.poll(backend, cluster, job)

        assert answer == PollAnswer(reports=())

    @pytest.mark.parametrize("knows", ["nothing", "stub", "state"])
    def test_accounting_that_lags_does_not_tell_wrongly(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path, knows: str
    ) -> None:
        self.requires(cluster, "finish", "forget")
        job = self._forgotten(backend, cluster, jobs_dir)
        self.drive(cluster, "accounting_lag", knows)
        early = self.poll(backend, cluster, job)
        self.drive(cluster, "accounting_on")
        late = self.report(backend, cluster, job)

        assert all(report.exit_code == 3 for report in early.reports)
        assert (late.state, late.exit_code) == (JobState.FAILED, 3)

    def _forgotten(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> Submitted:
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "finish", job.id, 3)
        self.drive(cluster, "forget", job.id)
        return job


class EndingRules(ContractKit):
    """How a job ended."""

    @pytest.mark.parametrize("happening", ENDS)
    @pytest.mark.parametrize("is_forgotten", [False, True])
    def test_what_ended_a_job_is_named(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path, happening: str, is_forgotten: bool
    ) -> None:
        self.requires(cluster, "start", happening)
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "start", job.id)
        self.drive(cluster, happening, job.id, *([9] if happening == "signal" else []))
        if is_forgotten:
            self.drive(cluster, "forget", job.id)

        report = self.report(backend, cluster, job)

        assert (report.state, report.cause) == ENDS[happening]
        assert report.exit_code != 0
        assert report.signal == (9 if happening == "signal" else None)

    def test_a_requeued_job_waits_again_and_is_counted(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "start", "requeue")
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "start", job.id)
        self.drive(cluster, "requeue", job.id)

        report = self.report(backend, cluster, job)

        assert (report.state, report.restarts) == (JobState.QUEUED, 1)


def _renamed(job: Submitted, scheduler_job_id: str) -> Submitted:
    return attrs.evolve(job, job=attrs.evolve(job.job, scheduler_job_id=scheduler_job_id))
