"""Require of a backend that it cancels what is ours, compiles dependencies, and finds jobs again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

from molq.backend import DependencyCondition, JobScheduling, JobState, SchedulerError, UpstreamJob
from molq.loaded_backend import Backend
from molq.testing.contract_kit import Cluster, ContractKit, Submitted

CONDITIONS: tuple[DependencyCondition, ...] = get_args(DependencyCondition)


class CancellingRules(ContractKit):
    """Cancelling."""

    @pytest.mark.parametrize("stage", ["waiting", "running"])
    def test_an_active_job_is_cancelled(self, backend: Backend, cluster: Cluster, jobs_dir: Path, stage: str) -> None:
        job = self.submit(backend, cluster, jobs_dir, command=["sleep", "60"])
        if stage == "running":
            self.drive(cluster, "start", job.id)

        (receipt,) = backend.cancel_jobs((job.job,), cluster.options, self.commands(backend))

        assert (receipt.scheduler_job_id, receipt.accepted) == (job.id, True)
        self.wait_for(backend, cluster, job, JobState.CANCELLED)

    def test_a_job_that_is_over_is_not_cancelled_and_stays_what_it_was(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        job = self.submit(backend, cluster, jobs_dir)
        cluster.run(job.id)
        self.wait_for(backend, cluster, job, JobState.SUCCEEDED)

        (receipt,) = backend.cancel_jobs((job.job,), cluster.options, self.commands(backend))

        assert not receipt.accepted
        assert receipt.reason
        assert self.report(backend, cluster, job).state is JobState.SUCCEEDED

    def test_a_job_that_nobody_knows_is_not_cancelled(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        job = self.submit(backend, cluster, jobs_dir, command=["sleep", "60"])
        unknown = attrs.evolve(job.job, scheduler_job_id="90000001")

        receipts = backend.cancel_jobs((unknown, job.job), cluster.options, self.commands(backend))

        assert {receipt.scheduler_job_id: receipt.accepted for receipt in receipts} == {
            "90000001": False,
            job.id: True,
        }

    def test_many_jobs_are_cancelled_by_a_few_commands(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "commands_run")
        jobs = [self.submit(backend, cluster, jobs_dir).job for _ in range(5)]
        before = self.counted(cluster)

        receipts = backend.cancel_jobs(tuple(jobs), cluster.options, self.commands(backend))

        assert all(receipt.accepted for receipt in receipts)
        assert self.counted(cluster) - before <= 3 + (len(jobs) if self.cancels_one_by_one else 0)

    def test_a_stranger_with_a_reused_id_is_never_cancelled(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "reuse_id")
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "reuse_id", job.id)

        (receipt,) = backend.cancel_jobs((job.job,), cluster.options, self.commands(backend))

        assert not receipt.accepted
        assert self.report(backend, cluster, job).state is JobState.RUNNING

    @pytest.mark.parametrize("bad", ["--all", "-u root", "", "1 2", "1;2", "all", "*"])
    def test_what_is_no_id_is_never_given_to_a_program(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path, bad: str
    ) -> None:
        self.requires(cluster, "commands_run")
        job = self.submit(backend, cluster, jobs_dir)
        forged = attrs.evolve(job.job, scheduler_job_id=bad)
        before = self.counted(cluster)

        with pytest.raises(SchedulerError):
            backend.cancel_jobs((forged,), cluster.options, self.commands(backend))

        assert self.counted(cluster) == before

    def test_a_refused_cancel_is_not_accepted(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        self.requires(cluster, "deny_cancel")
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "deny_cancel")

        (receipt,) = backend.cancel_jobs((job.job,), cluster.options, self.commands(backend))

        assert not receipt.accepted
        assert receipt.reason

    def test_a_cancel_during_an_outage_is_an_error(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "go_down")

        with pytest.raises(SchedulerError):
            backend.cancel_jobs((job.job,), cluster.options, self.commands(backend))


class ElementCancellingRules(ContractKit):
    """Cancelling single elements of an array."""

    @pytest.fixture
    def array(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> Submitted:
        """An array of three elements, if the scheduler can cancel them one by one."""
        self.needs(backend, "array_spec")
        if not backend.implements("molq_cancel_elements"):
            pytest.skip(f"{backend.description.label} cannot cancel single elements")
        scheduling = JobScheduling(array_spec="1-3")
        return self.submit(backend, cluster, jobs_dir, command=["sleep", "60"], scheduling=scheduling)

    def test_elements_are_cancelled_and_the_others_go_on(
        self, backend: Backend, cluster: Cluster, array: Submitted
    ) -> None:
        commands = self.commands(backend)

        receipts = backend.cancel_elements(array.job, (1, 3), cluster.options, commands)

        assert {receipt.index: receipt.accepted for receipt in receipts} == {1: True, 3: True}
        states = {e.index: e.state for e in self.report(backend, cluster, array).elements}
        assert states[2] is not JobState.CANCELLED
        backend.cancel_jobs((array.job,), cluster.options, commands)

    def test_an_element_that_is_not_there_is_not_cancelled(
        self, backend: Backend, cluster: Cluster, array: Submitted
    ) -> None:
        commands = self.commands(backend)

        (receipt,) = backend.cancel_elements(array.job, (9,), cluster.options, commands)

        assert not receipt.accepted
        assert receipt.reason
        backend.cancel_jobs((array.job,), cluster.options, commands)

    def test_an_element_of_what_is_no_id_is_never_given_to_a_program(
        self, backend: Backend, cluster: Cluster, array: Submitted
    ) -> None:
        self.requires(cluster, "commands_run")
        before = self.counted(cluster)

        with pytest.raises(SchedulerError):
            backend.cancel_elements(
                attrs.evolve(array.job, scheduler_job_id="--all"), (1,), cluster.options, self.commands(backend)
            )

        assert self.counted(cluster) == before


class DependencyRules(ContractKit):
    """Dependencies."""

    @pytest.fixture
    def compiling(self, backend: Backend) -> Backend:
        """The backend, if its scheduler has dependencies."""
        if not backend.implements("molq_compile_dependencies"):
            pytest.skip(f"{backend.description.label} has no dependencies")
        return backend

    @pytest.mark.parametrize("condition", CONDITIONS)
    def test_a_job_waits_for_its_upstream(
        self, compiling: Backend, cluster: Cluster, jobs_dir: Path, condition: DependencyCondition
    ) -> None:
        self.requires(cluster, "hold")
        upstream = self.submit(compiling, cluster, jobs_dir, command=["sleep", "60"])
        self.drive(cluster, "hold", upstream.id)

        job = self._dependent(compiling, cluster, jobs_dir, upstream, condition)

        report = self.report(compiling, cluster, job)
        assert report.state is JobState.QUEUED
        assert report.reason

    @pytest.mark.parametrize(
        ("happening", "released"),
        [
            (("start",), {"after_started"}),
            (("finish", 0), {"after_started", "after_success", "after"}),
            (("finish", 3), {"after_started", "after_failure", "after"}),
        ],
        ids=["started", "succeeded", "failed"],
    )
    def test_what_happens_to_the_upstream_releases_those_that_wait_for_it_and_no_others(
        self,
        compiling: Backend,
        cluster: Cluster,
        jobs_dir: Path,
        happening: tuple[Any, ...],
        released: set[DependencyCondition],
    ) -> None:
        self.requires(cluster, "start", "finish")
        upstream = self.submit(compiling, cluster, jobs_dir)
        waiting = {one: self._dependent(compiling, cluster, jobs_dir, upstream, one) for one in CONDITIONS}
        before = {one: self.report(compiling, cluster, job).reason for one, job in waiting.items()}
        self.drive(cluster, "start", upstream.id)
        self.drive(cluster, happening[0], upstream.id, *happening[1:])
        freely = self.submit(compiling, cluster, jobs_dir)

        after = {one: self.report(compiling, cluster, job).reason for one, job in waiting.items()}

        usual = {self.report(compiling, cluster, freely).reason, None}
        assert all(reason not in usual for reason in before.values())
        assert {one for one, reason in after.items() if reason in usual} == released

    def test_every_upstream_has_an_edge_within_the_expression(self, compiling: Backend) -> None:
        upstreams = tuple(
            UpstreamJob(scheduler_job_id=str(number), condition=condition)
            for number, condition in enumerate((*CONDITIONS, *CONDITIONS), start=11)
        )

        compiled = compiling.compile_dependencies(upstreams)

        assert len(set(compiled.edges)) == len(upstreams)
        # Upstream jobs with one condition may share the word for it.
        assert all(_words(edge) <= _words(compiled.expression) for edge in compiled.edges)

    def test_each_condition_is_said_differently(self, compiling: Backend) -> None:
        said = {
            compiling.compile_dependencies((UpstreamJob(scheduler_job_id="7", condition=condition),)).expression
            for condition in CONDITIONS
        }

        assert len(said) == len(CONDITIONS)

    @pytest.mark.parametrize("bad", ["", "7,singleton", "7 --hold", "$(id)", "7\n8"])
    def test_what_is_no_id_becomes_no_dependency(self, compiling: Backend, bad: str) -> None:
        with pytest.raises(SchedulerError):
            compiling.compile_dependencies((UpstreamJob(scheduler_job_id=bad, condition="after"),))

    def test_a_waiting_job_can_be_pointed_elsewhere(self, compiling: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        if not compiling.implements("molq_update_dependencies"):
            pytest.skip(f"{compiling.description.label} cannot change dependencies")
        first, second = (self.submit(compiling, cluster, jobs_dir, command=["sleep", "60"]) for _ in range(2))
        edges = [
            compiling.compile_dependencies((UpstreamJob(scheduler_job_id=one.id, condition="after"),)).expression
            for one in (first, second)
        ]
        job = self.submit(compiling, cluster, jobs_dir, dependency=edges[0])

        commands = self.commands(compiling)
        assert compiling.update_dependencies(job.job, edges[1], cluster.options, commands) is True
        compiling.cancel_jobs((first.job, second.job), cluster.options, commands)

    def test_a_waiting_job_can_be_told_to_wait_for_nothing(
        self, compiling: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        if not compiling.implements("molq_update_dependencies"):
            pytest.skip(f"{compiling.description.label} cannot change dependencies")
        upstream = self.submit(compiling, cluster, jobs_dir, command=["sleep", "60"])
        job = self._dependent(compiling, cluster, jobs_dir, upstream, "after_success")
        commands = self.commands(compiling)

        if not compiling.update_dependencies(job.job, "", cluster.options, commands):
            assert self.report(compiling, cluster, job).state is JobState.QUEUED
            pytest.skip(f"{compiling.description.label} cannot make a job wait for nothing")

        cluster.run(job.id)
        self.wait_for(compiling, cluster, job, JobState.SUCCEEDED)
        compiling.cancel_jobs((upstream.job,), cluster.options, commands)

    def test_a_job_that_was_pointed_elsewhere_waits_for_that(
        self, compiling: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        if not compiling.implements("molq_update_dependencies"):
            pytest.skip(f"{compiling.description.label} cannot change dependencies")
        self.requires(cluster, "start", "finish")
        first, second = (self.submit(compiling, cluster, jobs_dir) for _ in range(2))
        left, moved = (self._dependent(compiling, cluster, jobs_dir, first, "after") for _ in range(2))
        compiled = compiling.compile_dependencies((UpstreamJob(scheduler_job_id=second.id, condition="after"),))

        compiling.update_dependencies(moved.job, compiled.expression, cluster.options, self.commands(compiling))

        seen = []
        for upstream in (first, second):
            self.drive(cluster, "finish", upstream.id, 0)
            seen.append([self.report(compiling, cluster, job).reason for job in (left, moved)])
        assert seen[0][0] != seen[0][1], "the job still waits for what it waited for before"
        assert seen[1][0] == seen[1][1], "the job does not wait for what it was pointed to"

    def _dependent(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path, upstream: Submitted, condition: DependencyCondition
    ) -> Submitted:
        job = UpstreamJob(scheduler_job_id=upstream.id, condition=condition)
        return self.submit(
            backend, cluster, jobs_dir, dependency=backend.compile_dependencies((job,)).expression, command=["true"]
        )


class RecoveryRules(ContractKit):
    """Finding jobs again after a crash."""

    def test_jobs_are_found_by_their_tags_and_no_others(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        if not backend.implements("molq_find_jobs"):
            pytest.skip(f"{backend.description.label} cannot be searched")
        jobs = [self.submit(backend, cluster, jobs_dir) for _ in range(3)]
        wanted = (jobs[0].job.job_id, "00000000-0000-4000-8000-000000000000", jobs[2].job.job_id)

        found = backend.find_jobs(wanted, 0.0, cluster.options, self.commands(backend))

        assert {(job.tag, job.scheduler_job_id) for job in found} == {
            (one.job.job_id, one.id) for one in (jobs[0], jobs[2])
        }

    def test_a_forgotten_job_is_still_found(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        self.requires(cluster, "finish", "forget")
        job = self.submit(backend, cluster, jobs_dir)
        self.drive(cluster, "finish", job.id, 0)
        self.drive(cluster, "forget", job.id)

        found = backend.find_jobs((job.job.job_id,), 0.0, cluster.options, self.commands(backend))

        assert [one.scheduler_job_id for one in found] == [job.id]

    @pytest.mark.parametrize("fault", ["go_down", "accounting_down"])
    def test_a_search_that_could_not_ask_is_an_error(self, backend: Backend, cluster: Cluster, fault: str) -> None:
        if not backend.implements("molq_find_jobs"):
            pytest.skip(f"{backend.description.label} cannot be searched")
        self.drive(cluster, fault)

        with pytest.raises(SchedulerError):
            backend.find_jobs(("00000000-0000-4000-8000-000000000000",), 0.0, cluster.options, self.commands(backend))


def _words(expression: str) -> set[str]:
    return set(re.findall(r"[A-Za-z0-9_.]+", expression))
