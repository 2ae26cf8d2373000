"""Require of a backend that requests reach the scheduler whole, safely, and at most once."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import attrs
import pytest

from molq.backend import (
    AnyRequest,
    CommandReply,
    Duration,
    JobResources,
    JobScheduling,
    JobState,
    Memory,
    SchedulerError,
    SubmitRejected,
    SubmitUnconfirmed,
)
from molq.errors import SchedulerError as AnySchedulerError
from molq.loaded_backend import Backend
from molq.testing.contract_kit import Cluster, ContractKit

SAMPLES: dict[str, JobResources | JobScheduling] = {
    "cpu_count": JobResources(cpu_count=3),
    "memory": JobResources(memory=Memory.mb(300)),
    "gpu_count": JobResources(gpu_count=2),
    "gpu_type": JobResources(gpu_count=1, gpu_type="a100"),
    "time_limit": JobResources(time_limit=Duration.minutes(17)),
    "queue": JobScheduling(queue="some-queue"),
    "account": JobScheduling(account="some-account"),
    "priority": JobScheduling(priority="7"),
    "node_count": JobScheduling(node_count=2),
    "exclusive_node": JobScheduling(exclusive_node=True),
    "array_spec": JobScheduling(array_spec="1-3"),
    "email": JobScheduling(email="o'neil@example.org"),
    "qos": JobScheduling(qos="some-qos"),
    "reservation": JobScheduling(reservation="some-reservation"),
}
"""A value for each field of ``JobResources`` and ``JobScheduling``."""

_RESOURCES = frozenset(field.name for field in attrs.fields(JobResources))

HOSTILE_NAMES = (
    "two words",
    "a|b,c;d",
    "tab\there",
    "line\n#SBATCH --nosuch\n#PBS -q nosuch\n#BSUB -q nosuch\ntouch canary",
    "quote'\"q",
    "back\\slash\\",
    "percent%j%J",
    "$(touch canary)",
    "`touch canary`",
    "--hold",
    "-dash",
    "#hash",
    "ünïcödé-日本",
    "\x1b[31mred",
    "x" * 3000,
    ".",
)
"""Names that a user may give a job, and that break what takes them for something else."""

UNCLEAR_REPLIES = (
    CommandReply(exit_code=0, stdout="", stderr=""),
    CommandReply(exit_code=0, stdout="welcome to the cluster\n", stderr=""),
    CommandReply(exit_code=1, stdout="", stderr=""),
    CommandReply(exit_code=1, stdout="", stderr="Segmentation fault\n"),
    CommandReply(exit_code=-9, stdout="", stderr=""),
    CommandReply(exit_code=None, stdout="", stderr=""),
    CommandReply(exit_code=0, stdout="0\n", stderr=""),
    CommandReply(exit_code=0, stdout="-1\n", stderr=""),
    CommandReply(exit_code=0, stdout="\x00\ufffd\n", stderr="\ufffd"),
)
"""Replies that neither acknowledge nor refuse a job, whatever the scheduler."""

_IMPORT = """
import importlib, sys
def hook(event, arguments):
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        raise SystemExit(f"importing it runs {arguments}")
sys.addaudithook(hook)
importlib.import_module(sys.argv[1])
"""


class LoadingRules(ContractKit):
    """Loading and describing."""

    def test_the_backend_is_found_by_its_name_and_fits_the_hooks(self, backend: Backend) -> None:
        assert backend.scheduler == self.scheduler
        assert backend.description.label

    def test_importing_the_backend_runs_no_command(self) -> None:
        points = metadata.entry_points(group="molq.backends", name=self.scheduler)
        if not points:
            pytest.skip(f"no package offers {self.scheduler!r} as a backend")
        (point,) = points

        done = subprocess.run(
            [sys.executable, "-c", _IMPORT, point.module], capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stderr

    def test_every_option_has_a_default(self, backend: Backend) -> None:
        options = backend.description.options_class()

        assert attrs.has(type(options))
        assert type(options)() == options


class RenderingRules(ContractKit):
    """The script."""

    @pytest.mark.parametrize("field", SAMPLES)
    def test_each_field_reaches_the_script_or_is_declared_unsupported_or_refused(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path, field: str
    ) -> None:
        self.needs(backend, field)
        sample = SAMPLES[field]
        plain = self.request(backend, cluster, jobs_dir)
        without = backend.render_script(_with(plain, _without(sample, field)))

        try:
            script = backend.render_script(_with(plain, sample))
        except SubmitRejected as refusal:
            script = str(refusal)

        assert script not in ("", without)

    @pytest.mark.parametrize("field", SAMPLES)
    def test_each_field_counts_beside_all_others(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path, field: str
    ) -> None:
        self.needs(backend, field)
        plain = self.request(backend, cluster, jobs_dir)
        # Without GPUs there is no kind of GPU either.
        dropped = {field, "gpu_type"} if field == "gpu_count" else {field}
        scripts = []

        for left_out in (dropped | backend.description.unsupported, backend.description.unsupported):
            values = {name: getattr(sample, name) for name, sample in SAMPLES.items() if name not in left_out}
            request = attrs.evolve(
                plain,
                resources=JobResources(**{name: value for name, value in values.items() if name in _RESOURCES}),
                scheduling=JobScheduling(**{name: value for name, value in values.items() if name not in _RESOURCES}),
            )
            try:
                scripts.append(backend.render_script(request))
            except SubmitRejected as refusal:
                pytest.skip(f"{backend.description.label} takes not all fields at once: {refusal}")

        assert scripts[0] != scripts[1]

    def test_a_dependency_reaches_the_script(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        self.needs(backend, "dependency")
        plain = self.request(backend, cluster, jobs_dir)

        assert backend.render_script(attrs.evolve(plain, dependency="after:7")) != backend.render_script(plain)

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_no_name_adds_a_line_that_a_scheduler_may_read(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path, name: str
    ) -> None:
        plain = self.request(backend, cluster, jobs_dir)

        script = backend.render_script(attrs.evolve(plain, job_name=name))

        assert _count_comments(script) == _count_comments(backend.render_script(plain))

    def test_rendering_is_pure(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        request = self.request(backend, cluster, jobs_dir)

        scripts = {backend.render_script(request) for _ in range(2)}

        assert len(scripts) == 1
        assert not request.job_dir.exists()

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_a_hostile_name_is_nothing_but_a_name(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path, name: str
    ) -> None:
        job = self.submit(backend, cluster, jobs_dir, command=["touch", "ran"], job_name=name)

        cluster.run(job.id)

        assert self.wait_for(backend, cluster, job, JobState.SUCCEEDED).tag in (None, job.job.job_id)
        assert {path.name for path in jobs_dir.iterdir()} == {"ran", job.job.job_id}

    def test_output_goes_where_it_was_asked_to_whatever_the_folder_is_called(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        strange = jobs_dir / 'it\'s "100%j" # $HOME ü'
        strange.mkdir()
        job = self.submit(backend, cluster, strange, command=["sh", "-c", "pwd; echo oops >&2"])

        cluster.run(job.id)

        self.wait_for(backend, cluster, job, JobState.SUCCEEDED)
        assert job.request.stdout_path.read_text() == f"{strange}\n"
        assert job.request.stderr_path.read_text() == "oops\n"


class SubmittingRules(ContractKit):
    """What a submission amounts to."""

    def test_an_accepted_job_can_be_asked_for_by_its_id(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        job = self.submit(backend, cluster, jobs_dir)

        assert [report.scheduler_job_id for report in self.poll(backend, cluster, job).reports] == [job.id]

    def test_a_refusal_is_told_in_the_schedulers_words(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        with pytest.raises(SubmitRejected) as refusal:
            self.submit(backend, cluster, jobs_dir, scheduling=self.refused)

        assert str(refusal.value).strip()

    @pytest.mark.parametrize("reply", UNCLEAR_REPLIES, ids=repr)
    def test_a_reply_that_is_neither_yes_nor_no_is_unconfirmed(self, backend: Backend, reply: CommandReply) -> None:
        if not backend.implements("molq_read_submit_reply"):
            pytest.skip("this backend does not submit by a command")

        with pytest.raises(SubmitUnconfirmed):
            backend.read_submit_reply(reply)

    def test_a_lost_reply_is_unconfirmed_and_the_job_is_found_by_its_tag(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.requires(cluster, "accept_but_hang")
        self.drive(cluster, "accept_but_hang")
        request = self.request(backend, cluster, jobs_dir)

        with pytest.raises(SubmitUnconfirmed):
            self.send(backend, request)

        found = backend.find_jobs((request.job_id,), 0.0, cluster.options, self.commands(backend))
        assert [job.tag for job in found] == [request.job_id]

    def test_a_controller_that_is_down_never_makes_a_submission_certain_by_mistake(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        self.drive(cluster, "go_down")

        with pytest.raises(AnySchedulerError):
            self.submit(backend, cluster, jobs_dir)

    def test_a_program_that_is_missing_is_named(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        self.drive(cluster, "remove")

        with pytest.raises(SchedulerError, match="not found"):
            self.submit(backend, cluster, jobs_dir)


class EnvironmentRules(ContractKit):
    """What a job sees, and what its secrets pass through."""

    def test_a_job_submitted_within_a_job_knows_its_own_id(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        variable = backend.description.job_id_variable
        command = ["sh", "-c", f'printf %s "${variable}" >seen']
        job = self.submit(backend, cluster, jobs_dir, command=command, variables={variable: "424242"})

        cluster.run(job.id)

        self.wait_for(backend, cluster, job, JobState.SUCCEEDED)
        assert (jobs_dir / "seen").read_text() == job.id

    def test_a_job_submitted_within_a_job_is_neither_an_element_nor_a_restart_of_it(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        description = backend.description
        variables = [name for name in (description.array_index_variable, description.restart_count_variable) if name]
        command = ["sh", "-c", f"echo {' '.join('$' + name for name in variables)} >seen"]
        job = self.submit(backend, cluster, jobs_dir, command=command, variables=dict.fromkeys(variables, "424242"))

        cluster.run(job.id)

        self.wait_for(backend, cluster, job, JobState.SUCCEEDED)
        assert "424242" not in (jobs_dir / "seen").read_text()

    def test_the_users_own_variables_change_nothing(self, backend: Backend, cluster: Cluster, jobs_dir: Path) -> None:
        job = self.submit(backend, cluster, jobs_dir, variables=self.hostile_variables)

        answer = self.poll(backend, cluster, job, **self.hostile_variables)

        assert [report.scheduler_job_id for report in answer.reports] == [job.id]

    def test_a_jobs_secrets_reach_it_and_no_command_line(
        self, backend: Backend, cluster: Cluster, jobs_dir: Path
    ) -> None:
        secret = "sesame\n'\"$(touch canary)"
        command = ["sh", "-c", 'printf %s "$SECRET" >seen']
        job = self.submit(backend, cluster, jobs_dir, command=command, env={"SECRET": secret})

        cluster.run(job.id)

        self.wait_for(backend, cluster, job, JobState.SUCCEEDED)
        assert (jobs_dir / "seen").read_text() == secret
        assert "sesame" not in backend.render_script(job.request)
        assert "sesame" not in repr(getattr(cluster, "commands_run", ()))


def _count_comments(script: str) -> int:
    return sum(line.startswith("#") for line in script.splitlines())


def _with(request: AnyRequest, part: JobResources | JobScheduling) -> AnyRequest:
    if isinstance(part, JobResources):
        return attrs.evolve(request, resources=part)
    return attrs.evolve(request, scheduling=part)


def _without(sample: JobResources | JobScheduling, field: str) -> JobResources | JobScheduling:
    if isinstance(sample, JobResources):
        return JobResources(gpu_count=sample.gpu_count) if field == "gpu_type" else JobResources()
    return JobScheduling()
