"""Submission: at most once, the intent on disk first, and nothing lost wherever the process dies."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import attrs
import pytest

from molq.backend import (
    CommandFailedError,
    CommandNotStartedError,
    SchedulerError,
    SubmitDeferred,
    SubmitRequest,
    SubmitUnconfirmed,
)
from molq.engine import Engine
from molq.errors import ConfigError, ScriptError, StoreError, SubmitError, UnsupportedFieldsError
from molq.events import EventBus
from molq.job_folder import JobFolder
from molq.job_spec import DependencyRef, JobExecution, JobResources, JobScheduling, Script
from molq.job_state import JobState
from molq.quantities import Duration
from molq.store import JobStore
from molq.testing.memory import MemoryOptions
from molq.tracking import Change

SECRET = "s3cret-f0r-nobody"


def job_folders(cluster):
    return [path for path in cluster.folder.rglob("jobs/*") if path.is_dir()]


def rows(cluster):
    return cluster.store.jobs("c", include_terminal=True)


def test_a_submitted_job_is_recorded_as_it_was_asked_for(cluster):
    job = cluster.submit("echo", "hi there", job_name="greet", time_limit=Duration.minutes(2), metadata={"a": "b"})

    record = cluster.record(job)
    assert (record.state, record.scheduler_job_id) == (JobState.SUBMITTED, "101")
    assert (record.command_type, record.command_display) == ("argv", "echo 'hi there'")
    assert (record.job_name, record.metadata, record.cwd) == ("greet", {"a": "b"}, str(cluster.folder))
    assert cluster.store.tracked_job(job.job_id).time_limit == 120
    assert cluster.steps(job) == ["CREATED", "SUBMITTED"]
    assert cluster.scheduler.request("101").job_id == job.job_id


def test_the_intent_and_the_script_are_on_disk_and_the_lock_is_held_when_the_scheduler_is_asked(cluster):
    seen = []

    def on_submit(request):
        other = JobStore(cluster.store.path)
        row = other.tracked_job(request.job_id)
        script = (request.job_dir / "job.sh").read_text()
        seen.append((row.state, row.scheduler_job_id, JobFolder(request.job_dir).submission_is_under_way()))
        assert request.body in script
        other.close()

    cluster.scheduler.on_submit = on_submit

    job = cluster.submit()

    assert seen == [(JobState.CREATED, None, True)]
    assert not JobFolder(Path(job.job_dir)).submission_is_under_way()


def test_a_poll_during_the_submission_leaves_it_alone(cluster):
    cluster.scheduler.on_submit = lambda request: cluster.refresh()

    job = cluster.submit()

    assert cluster.steps(job) == ["CREATED", "SUBMITTED"]


def test_a_refusal_is_an_error_with_the_schedulers_words_and_is_recorded(cluster):
    cluster.scheduler.rejects = "invalid partition specified: gpuu"

    with pytest.raises(SubmitError, match="invalid partition specified: gpuu") as caught:
        cluster.submit()

    (record,) = rows(cluster)
    assert (caught.value.job_id, caught.value.scheduler) == (record.job_id, "memory")
    assert caught.value.reply == "invalid partition specified: gpuu"
    assert (record.state, record.cause, record.scheduler_job_id) == (JobState.FAILED, "submit", None)
    assert record.failure_reason == "invalid partition specified: gpuu"
    assert record.finished_at is not None


@pytest.mark.parametrize(
    "refusal",
    [SubmitDeferred("the limit of jobs is reached"), CommandNotStartedError("no sbatch here", argv=("sbatch",))],
)
def test_what_was_surely_not_submitted_is_a_refusal(cluster, refusal):
    def submit_job(request):
        raise refusal

    cluster.backend = cluster.scheduler.backend(molq_submit_job=submit_job)

    with pytest.raises(SubmitError, match=str(refusal)):
        cluster.submit()

    assert rows(cluster)[0].state is JobState.FAILED


@pytest.mark.parametrize(
    "doubt", [SubmitUnconfirmed("socket timed out"), SchedulerError("who knows"), ZeroDivisionError("oops")]
)
def test_what_may_have_been_submitted_is_unconfirmed_and_not_an_error(cluster, doubt):
    def submit_job(request):
        cluster.scheduler.take(request)
        raise doubt

    cluster.backend = cluster.scheduler.backend(molq_submit_job=submit_job)

    job = cluster.submit()

    record = cluster.record(job)
    assert (job.state, record.scheduler_job_id) == (JobState.CREATED, None)
    assert "unconfirmed" in record.reason
    assert str(doubt) in record.reason


def test_an_unconfirmed_job_is_adopted_by_the_next_refresh_and_not_sent_again(cluster):
    cluster.scheduler.loses_replies = True
    job = cluster.submit()

    cluster.refresh()

    assert cluster.record(job).scheduler_job_id == "101"
    assert cluster.record(job).reason is None
    assert cluster.scheduler.ids == ["101"]


def test_an_answer_that_makes_no_sense_is_unconfirmed(cluster):
    cluster.backend = cluster.scheduler.backend(molq_submit_job=lambda request: "101")

    assert cluster.submit().state is JobState.CREATED


def test_a_store_that_fails_before_the_submission_leaves_nothing_behind(cluster):
    with sqlite3.connect(cluster.store.path) as sqlite:
        sqlite.execute("CREATE TRIGGER full BEFORE INSERT ON requests BEGIN SELECT raise(ABORT, 'full'); END")
    sqlite.close()

    with pytest.raises(StoreError):
        cluster.submit()

    assert (cluster.scheduler.ids, rows(cluster), job_folders(cluster)) == ([], [], [])


def test_a_folder_that_cannot_be_made_leaves_nothing_behind(cluster):
    with pytest.raises(ScriptError, match="gone' does not exist"):
        cluster.submit(cwd=cluster.folder / "gone")

    assert (cluster.scheduler.ids, rows(cluster)) == ([], [])


def test_a_script_that_cannot_be_read_leaves_nothing_behind(cluster):
    with pytest.raises(ScriptError, match=r"gone\.sh"):
        cluster.submit(script=Script.path(cluster.folder / "gone.sh"))

    assert (cluster.scheduler.ids, rows(cluster), job_folders(cluster)) == ([], [], [])


def test_fields_that_the_scheduler_does_not_know_are_named_all_at_once_before_anything_is_done(cluster):
    import attrs

    description = attrs.evolve(cluster.backend.description, unsupported={"qos", "gpu_type", "output_file"})
    cluster.backend = cluster.scheduler.backend(molq_describe_backend=lambda: description)

    with pytest.raises(UnsupportedFieldsError) as caught:
        cluster.submit(qos="high", gpu_type="a100", output_file="out", queue="fine")

    assert set(caught.value.fields) == {"gpu_type", "qos", "output_file"}
    assert all(name in str(caught.value) for name in caught.value.fields)
    assert (cluster.scheduler.ids, rows(cluster), job_folders(cluster)) == ([], [], [])


def test_dependencies_are_refused_where_the_backend_compiles_none(cluster):
    upstream = cluster.submit()
    cluster.backend = cluster.scheduler.backend(without=["molq_compile_dependencies"])

    with pytest.raises(UnsupportedFieldsError, match="dependencies"):
        cluster.submit(dependencies=(DependencyRef(upstream.job_id),))

    assert len(rows(cluster)) == 1


def test_every_part_of_the_request_reaches_the_backend(cluster):
    resources = JobResources(cpu_count=2, time_limit=Duration.minutes(1))
    scheduling = JobScheduling(queue="q", dependency="afterok:1")

    cluster.submit(cpu_count=2, time_limit=Duration.minutes(1), queue="q", dependency="afterok:1", output_file="o.log")

    request = cluster.scheduler.request("101")
    assert (request.resources, request.scheduling) == (resources, scheduling)
    assert (request.dependency, request.stdout_path) == ("afterok:1", cluster.folder / "o.log")
    assert request.stderr_path == request.job_dir / "stderr.log"


def test_values_of_the_environment_are_in_no_database_and_in_no_script(cluster):
    job = cluster.submit(env={"TOKEN": SECRET})

    kept = [path for path in Path(job.job_dir).iterdir() if SECRET.encode() in path.read_bytes()]
    stored = b"".join(path.read_bytes() for path in cluster.store.path.parent.iterdir())
    assert [(path.name, path.stat().st_mode & 0o777) for path in kept] == [("environment", 0o600)]
    assert SECRET.encode() not in stored
    assert SECRET not in repr(cluster.scheduler.request("101"))
    assert "TOKEN" in json.dumps(cluster.store.request(job.job_id))


def test_values_of_the_environment_are_in_no_traceback_of_a_failure(cluster):
    def submit_job(request):
        raise RuntimeError(f"cannot submit {request!r}")

    cluster.backend = cluster.scheduler.backend(molq_submit_job=submit_job)

    job = cluster.submit(env={"TOKEN": SECRET})

    assert SECRET not in cluster.record(job).reason
    assert SECRET not in repr(JobExecution(env={"TOKEN": SECRET}))


def test_the_folder_and_its_files_are_private(cluster):
    job = cluster.submit(env={"A": "b"}, command="true")

    folder = Path(job.job_dir)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert modes == {
        "manifest.json": 0o600, "environment": 0o600, "payload": 0o700, "job.sh": 0o700, "submit.lock": 0o600,
        "submitter.environ": 0o600,
    }  # fmt: skip


def test_a_script_is_copied_so_that_later_changes_do_not_matter(cluster):
    script = cluster.folder / "mine.sh"
    script.write_text("#!/bin/sh\necho first\n")
    job = cluster.submit(script=Script.path(script))
    script.write_text("#!/bin/sh\necho second\n")

    assert "first" in Path(job.job_dir, "payload").read_text()


def test_a_preview_is_the_script_and_has_no_effect(cluster):
    preview = cluster.submitter.preview(cluster.spec("echo", "hi"))

    job = cluster.submit("echo", "hi")

    submitted = Path(job.job_dir, "job.sh").read_text()
    assert preview.replace("00000000-0000-0000-0000-000000000000", job.job_id) == submitted
    assert len(job_folders(cluster)) == len(rows(cluster)) == 1


def test_a_cancel_that_comes_during_the_submission_loses_neither_the_id_nor_the_cancel(cluster):
    cluster.scheduler.on_submit = lambda request: cluster.cancel(request.job_id)
    job = cluster.submit()

    cluster.refresh()

    assert cluster.record(job).scheduler_job_id == "101"
    assert cluster.state(job) is JobState.CANCELLED


# Wherever the process dies.

CHILD = """
import os, signal, subprocess, sys
from pathlib import Path
sys.path[:0] = {path!r}

from molq.backend import SubmitReceipt
from molq.job_folder import JobFolder
from molq.job_spec import JobExecution, JobResources, JobScheduling, JobSpec
from molq.store import JobStore
from molq.submission import Submitter
from molq.submission_plan import Target
from molq.testing.memory import MemoryOptions, MemoryScheduler

folder, ledger, by_command, die_at = Path(sys.argv[1]), sys.argv[2], "command" in sys.argv[3], sys.argv[4]
is_held = sys.argv[3] == "by held command"
steps = 0

def step(name):
    global steps
    steps += 1
    if die_at in (name, str(steps)):
        os.kill(os.getpid(), signal.SIGKILL)

def trip(owner, name):
    function = getattr(owner, name)
    def tripped(*args, **kwargs):
        step(f"before {{name}}")
        result = function(*args, **kwargs)
        step(f"after {{name}}")
        return result
    setattr(owner, name, tripped)

def take(self, request):
    with open(ledger, "a") as file:
        file.write(f"101 {{request.job_id}} {{request.job_dir}}\\n")
    step("taken")
    return "101"

def submit_job(request, commands):
    wait = 'while [ ! -e "$0.go" ]; do sleep 0.01; done; ' if is_held else ""
    note = wait + 'echo "101 $1 $2" >>"$0"; echo "ok 101"'
    reply = commands.submit(["sh", "-c", note, ledger, request.job_id, str(request.job_dir)])
    return SubmitReceipt(scheduler_job_id=reply.stdout.split()[1])

trip(JobFolder, "create")
trip(JobFolder, "write")
trip(JobStore, "add_job")
trip(JobStore, "apply")
trip(subprocess.Popen, "__init__")
trip(MemoryScheduler, "_submit")
MemoryScheduler.take = take
scheduler = MemoryScheduler()
backend = scheduler.backend(molq_submit_job=submit_job) if by_command else scheduler.backend()
store = JobStore(folder / "home" / "jobs.db")
spec = JobSpec(
    argv=("true",), command=None, script=None, resources=JobResources(), scheduling=JobScheduling(),
    execution=JobExecution(cwd=folder / "work"), metadata={{}},
)
target = Target(backend=backend, options=MemoryOptions(), cluster_name="c", jobs_dir=None)
Submitter(
    store=store, target=target, profile_name=None, environment={{"PATH": "/usr/bin:/bin"}}, clock=lambda: {now!r}
).submit(spec)
print(steps)
"""


def run_child(cluster, ledger, how, die_at):
    code = textwrap.dedent(CHILD).format(path=sys.path, now=cluster.clock.now)
    command = [sys.executable, "-c", code, str(cluster.folder.parent), str(ledger), how, str(die_at)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def reads_replies(reply):
    if not reply.stdout.startswith("ok "):
        raise SubmitUnconfirmed(f"said {reply.stdout!r}")
    from molq.backend import SubmitReceipt

    return SubmitReceipt(scheduler_job_id=reply.stdout.split()[1])


def adopt_everything(cluster, ledger, clock):
    """Have the scheduler know what it took, and another process look after the cluster for a while."""
    for folder in job_folders(cluster):
        lock = folder / "submit.lock"
        if lock.exists():  # the submit command may outlive the process that started it
            subprocess.run(["flock", str(lock), "true"], timeout=30, check=True)
    taken = [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []
    for native_id, job_id, job_dir in taken:
        request = SubmitRequest(
            job_id=job_id, job_name="x", job_dir=Path(job_dir), body="", cwd=cluster.folder, stdout_path=Path("o"),
            stderr_path=Path("e"), resources=JobResources(), scheduling=JobScheduling(), dependency=None,
            options=MemoryOptions(),
        )  # fmt: skip
        assert cluster.scheduler.take(request) == native_id
    for _ in range(4):
        clock.turn(61)
        cluster.refresh()
    return taken


@pytest.mark.parametrize("how", ["by call", "by command"])
@pytest.mark.parametrize("die_at", range(1, 19))
def test_a_process_that_is_killed_anywhere_leaves_what_converges(cluster, clock, tmp_path, how, die_at):
    ledger = tmp_path / "ledger"
    if how == "by command":
        cluster.backend = cluster.scheduler.backend(molq_read_submit_reply=reads_replies)
    child = run_child(cluster, ledger, how, die_at)
    assert child.returncode in (0, -signal.SIGKILL), child.stderr
    if child.returncode == 0:
        assert int(child.stdout) < die_at

    taken = adopt_everything(cluster, ledger, clock)

    records = rows(cluster)
    assert len(taken) <= 1
    assert len(records) <= 1
    if taken:
        assert [(r.job_id, r.scheduler_job_id, r.state) for r in records] == [(taken[0][1], "101", JobState.QUEUED)]
    else:
        assert [(r.scheduler_job_id, r.state) for r in records] in ([], [(None, JobState.FAILED)])
    assert cluster.scheduler.ids == [native_id for native_id, *_ in taken]


@pytest.mark.parametrize("how", ["by call", "by command"])
def test_the_steps_at_which_the_process_is_killed_are_all_there_are(cluster, tmp_path, how):
    child = run_child(cluster, tmp_path / "ledger", how, 0)

    assert child.returncode == 0, child.stderr
    assert 10 <= int(child.stdout) < 18


def test_a_submit_command_outlives_the_process_that_started_it(cluster, clock, tmp_path):
    ledger = tmp_path / "ledger"
    cluster.backend = cluster.scheduler.backend(molq_read_submit_reply=reads_replies, without=["molq_find_jobs"])

    child = run_child(cluster, ledger, "by held command", "after __init__")
    (folder,) = job_folders(cluster)
    under_way = JobFolder(folder).submission_is_under_way()
    cluster.refresh()
    early = [record.state for record in rows(cluster)]
    Path(f"{ledger}.go").touch()
    adopt_everything(cluster, ledger, clock)

    assert child.returncode == -signal.SIGKILL
    assert (under_way, early) == (True, [JobState.CREATED])
    assert [(r.scheduler_job_id, r.state) for r in rows(cluster)] == [("101", JobState.QUEUED)]


def test_a_command_that_failed_in_an_unforeseen_way_may_have_submitted_the_job(cluster):
    def time_out(_request):
        raise CommandFailedError("'sbatch' did not answer within 60 s", argv=("sbatch",))

    cluster.scheduler.on_submit = time_out

    job = cluster.submit()

    assert job.state is JobState.CREATED
    assert "unconfirmed" in job.reason


def test_a_cancel_during_the_submission_does_not_lose_the_schedulers_id(cluster):
    def cancel(request):
        cluster.store.request_cancel(request.job_id, cluster.clock())

    cluster.scheduler.on_submit = cancel

    job = cluster.submit()

    assert (job.state, job.scheduler_job_id) == (JobState.SUBMITTED, "101")
    assert cluster.store.job(job.job_id).cancel_requested_at is not None


def test_a_job_that_was_accepted_after_it_was_given_up_is_followed(cluster):
    def give_up(request):
        row = cluster.store.tracked_job(request.job_id)
        never = attrs.evolve(
            row, state=JobState.FAILED, cause="submit", failure_reason="never reached", finished_at=1.0
        )
        cluster.store.apply([Change(old=row, new=never, reason="given up")], cluster.clock())

    cluster.scheduler.on_submit = give_up

    job = cluster.submit()
    cluster.say(job, JobState.RUNNING)
    cluster.refresh()

    record = cluster.record(job)
    assert (record.state, record.cause, record.failure_reason, record.finished_at) == (
        JobState.RUNNING,
        None,
        None,
        None,
    )
    assert cluster.steps(job) == ["CREATED", "FAILED", "SUBMITTED", "RUNNING"]


def test_what_is_not_known_for_sure_says_not_to_submit_again_if_it_cannot_be_recorded(cluster, monkeypatch):
    cluster.scheduler.loses_replies = True

    def fail(*_):
        raise StoreError("the disk is full", path=cluster.store.path)

    cluster.scheduler.on_submit = lambda _: monkeypatch.setattr(type(cluster.store), "apply", fail)

    with pytest.raises(StoreError, match="may have accepted the job: do not submit it again"):
        cluster.submit()


@pytest.fixture
def engine(cluster, monkeypatch):
    monkeypatch.setattr("molq.engine.load_backend", lambda scheduler: cluster.backend)
    more = {"options": None, "jobs_dir": None, "profile_name": None, "bus": EventBus()}
    return lambda name: Engine(name, "memory", store=cluster.store, **more)


def test_a_job_that_was_accepted_is_returned_whatever_goes_wrong_then(cluster, engine, monkeypatch):
    def fail():
        raise StoreError("it is locked by another program", path=cluster.store.path)

    one = engine("c")
    monkeypatch.setattr(cluster.store, "newest_transition", fail)

    job_id = one.submit(cluster.spec("true"))

    assert cluster.store.job(job_id).state is JobState.SUBMITTED


def test_nothing_is_asked_about_an_upstream_job_of_another_cluster(cluster, engine):
    upstream = cluster.submit()
    before, polls = cluster.store.tracked_job(upstream.job_id), cluster.scheduler.polls

    with pytest.raises(ConfigError, match="a job on 'other' \\(memory\\) cannot wait for it"):
        engine("other").submit(cluster.spec("true", dependencies=(DependencyRef(upstream.job_id),)))

    assert (cluster.store.tracked_job(upstream.job_id), cluster.scheduler.polls) == (before, polls)


def test_a_script_is_on_disk_before_the_scheduler_is_asked_to_run_it(cluster, monkeypatch):
    done, fsync = [], os.fsync

    def note(descriptor):
        fsync(descriptor)
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    monkeypatch.setattr(os, "fsync", note)
    cluster.scheduler.on_submit = lambda _: done.append("submitted")

    cluster.submit(script=Script.inline("#!/bin/sh\ntrue\n"))

    written = done[: done.index("submitted")]
    assert {"payload", "job.sh"} <= {*written}
