"""Drive a fake Slurm: what happens to its jobs, and what goes wrong."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, BinaryIO, Literal

import attrs

from molq.testing.fake_programs import Record, install_programs
from molq_slurm.options import SlurmSchedulerOptions
from molq_slurm.testing.cluster_file import ACTIVE, FIRST_NODE, ClusterFile, end, judge_dependencies, matches, native_id
from molq_slurm.testing.fake_sbatch import accept
from molq_slurm.testing.programs import PROGRAMS


class FakeSlurm:
    """Slurm's programs as executables over one folder. Nothing happens to a job unless the test says so.

    Their answers are those that were recorded from Slurm 22.05.8.

    Args:
        folder: where the programs and the cluster's state are kept.
        options: how the backend should be set, apart from the paths of the programs.
    """

    def __init__(self, folder: Path, options: SlurmSchedulerOptions | None = None) -> None:
        self.folder = folder / "fake-slurm"
        self.bin = install_programs("molq_slurm", PROGRAMS, self.folder)
        self._file = ClusterFile(str(self.folder))
        paths: dict[str, Any] = {f"{name}_path": str(self.bin / name) for name in PROGRAMS}
        self.options = attrs.evolve(options or SlurmSchedulerOptions(), **paths)

    @property
    def commands_run(self) -> tuple[tuple[str, ...], ...]:
        """The programs that were run so far, with their arguments."""
        return tuple(tuple(words) for words in self._file.commands())

    def jobs(self) -> tuple[Record, ...]:
        """Return the cluster's jobs; each element of an array is one."""
        with self._file.opened() as cluster:
            return tuple(cluster["jobs"])

    def number_from(self, next_id: int) -> None:
        """Give the next job this id."""
        self._set(next_id=next_id)

    def start(self, job_id: str) -> None:
        """Start a waiting job, element (``"12_3"``) or all elements of an array."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id):
                _start(cluster, job)

    def finish(self, job_id: str, exit_code: int = 0) -> None:
        """Let a running job end with an exit code."""
        state, reason = ("FAILED", "NonZeroExitCode") if exit_code else ("COMPLETED", "None")
        self._end(job_id, state, exit_code << 8, reason)

    def signal(self, job_id: str, number: int) -> None:
        """Let the script of a running job die of a signal."""
        self._end(job_id, "FAILED", number, "JobLaunchFailure")

    def fail_to_launch(self, job_id: str) -> None:
        """Let a job fail since its output cannot be opened on the node."""
        self._end(job_id, "FAILED", 4021, "JobLaunchFailure")

    def time_out(self, job_id: str) -> None:
        """End a running job at its time limit."""
        self._end(job_id, "TIMEOUT", 0, "TimeLimit")

    def out_of_memory(self, job_id: str) -> None:
        """End a running job that has used too much memory."""
        self._end(job_id, "OUT_OF_MEMORY", 125, "OutOfMemory")

    def node_fail(self, job_id: str) -> None:
        """End a running job with its node."""
        self._end(job_id, "NODE_FAIL", 0, "NodeDown")

    def preempt(self, job_id: str) -> None:
        """End a running job in favour of another one."""
        self._end(job_id, "PREEMPTED", 15, "None")

    def cancel(self, job_id: str, uid: int = 0) -> None:
        """Let somebody else cancel a job."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id):
                job["cancelled_by"] = uid
                end(job, "CANCELLED", 0 if job["start"] is None else 15, job["reason"])
            judge_dependencies(cluster)

    def requeue(self, job_id: str) -> None:
        """Put a job back into the queue, as after a preemption: it may start again later."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id, active_only=False):
                job.update(
                    state="PENDING",
                    reason="BeginTime",
                    status=0,
                    start=None,
                    end=None,
                    nodes="",
                    restarts=job["restarts"] + 1,
                )  # fmt: skip - one change

    def set_state(self, job_id: str, state: str, reason: str = "None") -> None:
        """Show a state word, whatever it means."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id, active_only=False):
                job.update(state=state, reason=reason)

    def forget(self, job_id: str, *, accounting: bool = False) -> None:
        """Let the controller forget a job, as it does some time after the end; accounting too if so asked."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id, active_only=False):
                job["in_queue"] = False
                job["in_accounts"] = job["in_accounts"] and not accounting

    def reuse_id(self, job_id: str) -> None:
        """Lose a job with the controller's state, and give its id to a stranger's that runs."""
        with self._file.opened() as cluster:
            (lost,) = _chosen(cluster, job_id, active_only=False)
            lost.update(
                name="stranger",
                comment=None,
                command=None,
                submit_line="sbatch --wrap true",
                state="PENDING",
                start=None,
                end=None,
                restarts=0,
                dependency="",
                script="#!/bin/sh\n",
            )  # fmt: skip - one change
            _start(cluster, lost)

    def run(self, job_id: str) -> int:
        """Run the script of a waiting job or element for real, and let it end as its script ends.

        Returns:
            The script's exit code; negative for a signal.
        """
        with self._file.opened() as cluster:
            (job,) = _chosen(cluster, job_id)
            _start(cluster, job)
        script = self.folder / f"script-{native_id(job)}"
        script.write_bytes(os.fsencode(job["script"]))
        script.chmod(0o700)
        with _output(job, "output") as out, _output(job, "error") as err:
            done = subprocess.run(
                [str(script)],
                env=_environment(job),
                cwd=job["options"].get("chdir"),
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                check=False,
            )  # fmt: skip - one call
        if done.returncode < 0:
            self.signal(native_id(job), -done.returncode)
        else:
            self.finish(native_id(job), done.returncode)
        return done.returncode

    def hold(self, job_id: str, reason: str = "JobHeldUser") -> None:
        """Hold a waiting job, for a reason in Slurm's word."""
        self.set_state(job_id, "PENDING", reason)

    def go_down(self) -> None:
        """Stop the controller: connections are refused."""
        self._set(controller="down")

    def hang(self) -> None:
        """Pause the controller: programs give up after their time-out, and what they sent is heard later."""
        self._set(controller="hung")

    def freeze(self) -> None:
        """Let every program that asks the controller wait for ever."""
        self._set(controller="frozen")

    def come_back(self) -> None:
        """Let the controller answer again; it now hears what was sent to it while it hung."""
        with self._file.opened() as cluster:
            for job in cluster["unheard"]:
                accept(cluster, job)
            cluster.update(controller="up", unheard=[])

    def accept_but_hang(self) -> None:
        """Let the next submission be accepted, and its reply be lost."""
        self._set(lose_reply=True)

    def accounting_off(self) -> None:
        """Be a site without accounting."""
        self._set(accounting="off")

    def accounting_down(self) -> None:
        """Let accounting be unreachable."""
        self._set(accounting="down")

    def accounting_on(self) -> None:
        """Let accounting answer, and know all."""
        self._set(accounting="on", lag="none")

    def accounting_lag(self, knows: Literal["nothing", "stub", "state"] = "nothing") -> None:
        """Let accounting lag behind: it knows no job, or only a stub of it, or the state before the exit code."""
        self._set(lag=knows)

    def deny_cancel(self) -> None:
        """Let scancel be refused."""
        self._set(denies_cancel=True)

    def say(self, program: str, stdout: str = "", stderr: str = "", exit_code: int = 0) -> None:
        """Let a program say something else than its own answer, until ``speak_normally``."""
        with self._file.opened() as cluster:
            cluster["answers"][program] = {"stdout": stdout, "stderr": stderr, "exit_code": exit_code}

    def garble(self, text: str, *, exit_code: int = 0) -> None:
        """Let the programs that list jobs say this, until ``speak_normally``."""
        for program in ("squeue", "sacct"):
            self.say(program, text, exit_code=exit_code)

    def speak_normally(self) -> None:
        """Let all programs give their own answers again."""
        self._set(answers={}, banner="")

    def banner(self, text: str) -> None:
        """Let sbatch greet before it answers."""
        self._set(banner=text)

    def remove(self) -> None:
        """Delete the programs, as if Slurm were not installed."""
        shutil.rmtree(self.bin)

    def _set(self, **changes: object) -> None:
        with self._file.opened() as cluster:
            cluster.update(changes)

    def _end(self, job_id: str, state: str, status: int, reason: str) -> None:
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id):
                if job["start"] is None:
                    _start(cluster, job)
                end(job, state, status, reason)
            judge_dependencies(cluster)


def _chosen(cluster: Record, job_id: str, *, active_only: bool = True) -> list[Record]:
    found = [job for job in cluster["jobs"] if matches(job, job_id) and (job["state"] in ACTIVE or not active_only)]
    if not found:
        raise LookupError(f"the fake cluster has no such job: {job_id}")
    return found


def _start(cluster: Record, job: Record) -> None:
    rest = [other for other in cluster["jobs"] if other["array_id"] == job["array_id"] and other["start"] is None]
    # An element gets an id of its own when it starts; the last one keeps the array's.
    if job["index"] is not None and len(rest) > 1:
        job["id"] = cluster["next_id"]
        cluster["next_id"] += 1
    job.update(state="RUNNING", reason="None", start=int(time.time()), nodes=FIRST_NODE)


def _environment(job: Record) -> dict[str, str]:
    environment = {**job["environment"], "SLURM_JOB_ID": str(job["id"]), "SLURM_JOB_NAME": job["name"]}
    if job["restarts"]:
        environment["SLURM_RESTART_COUNT"] = str(job["restarts"])
    if job["index"] is not None:
        environment["SLURM_ARRAY_JOB_ID"] = str(job["array_id"])
        environment["SLURM_ARRAY_TASK_ID"] = str(job["index"])
    return environment


def _output(job: Record, option: str) -> BinaryIO:
    pattern: str = job["options"].get(option) or os.devnull
    if "\\" in pattern:
        path = pattern.replace("\\\\", "\\")
    else:
        expansions = {"%%": "%", "%a": str(job["index"]), "%A": str(job["array_id"]), "%j": str(job["id"])}
        path = re.sub("%[%aAj]", lambda match: expansions[match[0]], pattern)
    return open(path, "ab" if job["options"].get("open-mode") == "append" else "wb")
