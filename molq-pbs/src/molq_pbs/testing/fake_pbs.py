"""Drive a fake PBS: what happens to its jobs, and what goes wrong."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from pathlib import Path
from typing import ClassVar

import attrs

from molq.backend import Duration
from molq.testing.fake_programs import Record, install_programs
from molq_pbs.options import Dialect, PBSSchedulerOptions
from molq_pbs.testing.cluster_file import ClusterFile, find, job_id
from molq_pbs.testing.job_life import SIGTERM_STATUS, accept, delete, end, requeue, start
from molq_pbs.testing.programs import PROGRAMS
from molq_pbs.testing.script_runs import environment_of, run_script

_TIMEOUT = Duration(2)
_ELEMENT = re.compile(r"(\d+)\[\](\.\S+?)?_(\d+)")

# The signal's own number is 256 and more: the top process died of it.
_BY_SIGNAL = 256


class _FakeCluster:
    """PBS's programs as executables over one folder. Nothing happens to a job unless the test says so.

    Args:
        folder: where the programs and the cluster's state are kept.
        options: how the backend should be set, apart from the paths of the programs, the dialect and the time-out.
        user: whose jobs they are, as the programs show it; by default the user who runs the test.
    """

    dialect: ClassVar[Dialect]
    _walltime_status: ClassVar[int]
    _memory_status: ClassVar[int]

    def __init__(self, folder: Path, options: PBSSchedulerOptions | None = None, *, user: str | None = None) -> None:
        self.folder = folder / "fake-pbs"
        self.bin = install_programs("molq_pbs", PROGRAMS, self.folder)
        self.home = self.folder / "home"
        self.home.mkdir()
        self._file = ClusterFile(str(self.folder))
        self._set(dialect=self.dialect, user=user or pwd.getpwuid(os.getuid()).pw_name)
        self.options = attrs.evolve(
            options or PBSSchedulerOptions(),
            dialect=self.dialect,
            command_timeout=_TIMEOUT,
            qsub_path=str(self.bin / "qsub"),
            qstat_path=str(self.bin / "qstat"),
            qdel_path=str(self.bin / "qdel"),
            qselect_path=str(self.bin / "qselect"),
            qalter_path=str(self.bin / "qalter"),
            tracejob_path=str(self.bin / "tracejob"),
        )

    @property
    def commands_run(self) -> tuple[tuple[str, ...], ...]:
        """The programs that were run so far, with their arguments."""
        return tuple(tuple(words) for words in self._file.commands())

    def jobs(self) -> tuple[Record, ...]:
        """Return the cluster's jobs; an array is one, with its elements."""
        with self._file.opened() as cluster:
            return tuple(cluster["jobs"])

    def ids(self) -> tuple[str, ...]:
        """Return the ids of the cluster's jobs."""
        with self._file.opened() as cluster:
            return tuple(job_id(cluster, job) for job in cluster["jobs"])

    def number_from(self, next_id: int) -> None:
        """Give the next job this number."""
        self._set(next_id=next_id)

    def start(self, job: str) -> None:
        """Start a waiting job, all elements of an array (``"12[].vm"``) or one of them (``"12[3].vm"``)."""
        with self._file.opened() as cluster:
            found, index = _chosen(cluster, job)
            start(cluster, found, index)

    def finish(self, job: str, exit_code: int = 0) -> None:
        """Let a job or an element end with an exit code; it is started before, if it has not been."""
        self._end(job, exit_code, "failed" if exit_code else "finished")

    def signal(self, job: str, number: int) -> None:
        """Let the script of a job die of a signal."""
        self._end(job, _BY_SIGNAL + number, "failed")

    def time_out(self, job: str) -> None:
        """End a job at its time limit."""
        self._end(job, self._walltime_status, "exceeded resource walltime")

    def out_of_memory(self, job: str) -> None:
        """End a job that has used too much memory."""
        self._end(job, self._memory_status, "exceeded resource mem")

    def exit_slowly(self, job: str, exit_code: int = 0) -> None:
        """Let the script of a job end, while its output is still being copied: state E."""
        with self._file.opened() as cluster:
            found, _ = _chosen(cluster, job)
            start(cluster, found)
            found.update(state="E", substate=51, status=exit_code)

    def cancel(self, job: str, by: str = "operator@localhost") -> None:
        """Let somebody else cancel a job or an element."""
        with self._file.opened() as cluster:
            found, index = _chosen(cluster, job)
            delete(cluster, found, index, by)

    def delay_kills(self) -> None:
        """Let a running job that is deleted live on, as for up to kill_delay, until ``die``."""
        self._set(kills_at_once=False)

    def die(self, job: str) -> None:
        """End a running job or element that was deleted."""
        self._end(job, SIGTERM_STATUS, None)

    def requeue(self, job: str) -> None:
        """Put a running job back into the queue, as when its node was lost: its old exit status stays with it."""
        with self._file.opened() as cluster:
            requeue(cluster, _chosen(cluster, job)[0], -20)

    def set_state(self, job: str, state: str) -> None:
        """Show a state letter or word, whatever it means."""
        with self._file.opened() as cluster:
            _chosen(cluster, job)[0].update(state=state)

    def hold(self, job: str) -> None:
        """Let its user hold a waiting job."""
        with self._file.opened() as cluster:
            found, _ = _chosen(cluster, job)
            found.update(holds="u", state="H", substate=20)

    def comment(self, job: str, words: str) -> None:
        """Let the scheduler say why a job waits."""
        with self._file.opened() as cluster:
            _chosen(cluster, job)[0].update(comment=words)

    def purge(self, job: str) -> None:
        """Let the server forget a job as if it had never been; its logs remember."""
        with self._file.opened() as cluster:
            cluster["jobs"].remove(_chosen(cluster, job)[0])

    def lose_logs(self) -> None:
        """Be a machine without the server's logs, as nearly all are."""
        self._set(logs={})

    def reuse_id(self, job: str) -> None:
        """Lose a job with the server's database, and give its id to a stranger's that runs."""
        with self._file.opened() as cluster:
            lost, _ = _chosen(cluster, job)
            lost.update(
                name="stranger",
                variables=["PBS_O_HOME=/home/stranger"],
                submit_arguments="theirs.sh",
                script="#!/bin/sh\n",
                depend=[],
                asked_depend=[],
                is_strangers=True,
                state="Q",
                status=None,
                run_count=0,
            )  # fmt: skip - one change
            start(cluster, lost)

    def run(self, job: str) -> int:
        """Run the script of a waiting job or element for real, and let it end as its script ends.

        Returns:
            The script's exit code; negative for a signal.
        """
        with self._file.opened() as cluster:
            found, index = _chosen(cluster, job)
            start(cluster, found, index)
            own_id = job_id(cluster, found, index)
            environment = environment_of(cluster, found, index, self.home)
        status = run_script(self.folder / f"script-{own_id}", found, index, environment, self.home)
        if status < 0:
            self.signal(own_id, -status)
        else:
            self.finish(own_id, status)
        return status

    def go_down(self) -> None:
        """Stop the server: connections are refused."""
        self._set(server="down")

    def hang(self) -> None:
        """Pause the server: programs wait for it without end, and what they sent is heard later."""
        self._set(server="hung")

    def come_back(self) -> None:
        """Let the server answer again; it now hears what was sent to it while it hung."""
        with self._file.opened() as cluster:
            for token, job in cluster["unheard"]:
                cluster["heard"][token] = accept(cluster, job)
            cluster.update(server="up", unheard=[])

    def node_down(self) -> None:
        """Let the node's daemon be unreachable: what runs there cannot be cancelled."""
        self._set(node="down")

    def accept_but_hang(self) -> None:
        """Let the next submission be accepted, and its reply be lost."""
        self._set(lose_reply=True)

    def deny_cancel(self) -> None:
        """Let qdel be refused."""
        self._set(denies_cancel=True)

    def limit_jobs(self, most: int | None) -> None:
        """Let a user have so many jobs in the queue."""
        self._set(most_jobs=most)

    def add_queue(self, name: str) -> None:
        """Have one more queue."""
        with self._file.opened() as cluster:
            cluster["queues"].append(name)

    def add_resource(self, name: str) -> None:
        """Know one more resource."""
        with self._file.opened() as cluster:
            cluster["resources"].append(name)

    def disable_queue(self, name: str) -> None:
        """Let a queue take no jobs."""
        with self._file.opened() as cluster:
            cluster["disabled_queues"].append(name)

    def say(self, program: str, stdout: str = "", stderr: str = "", exit_code: int = 0) -> None:
        """Let a program say something else than its own answer, until ``speak_normally``."""
        with self._file.opened() as cluster:
            cluster["answers"][program] = {"stdout": stdout, "stderr": stderr, "exit_code": exit_code}

    def garble(self, text: str, *, exit_code: int = 0) -> None:
        """Let the programs that list jobs say this, until ``speak_normally``."""
        for program in ("qstat", "tracejob"):
            self.say(program, text, exit_code=exit_code)

    def cut_off(self, program: str, missing: int) -> None:
        """Let the last ``missing`` characters of a program's answers not arrive, until ``speak_normally``."""
        with self._file.opened() as cluster:
            cluster["cut_off"][program] = missing

    def speak_normally(self) -> None:
        """Let all programs give their own answers again."""
        self._set(answers={}, cut_off={}, banner="")

    def banner(self, text: str) -> None:
        """Let qsub greet before it answers."""
        self._set(banner=text)

    def remove(self) -> None:
        """Delete the programs, as if PBS were not installed."""
        shutil.rmtree(self.bin)

    def _set(self, **changes: object) -> None:
        with self._file.opened() as cluster:
            cluster.update(changes)

    def _end(self, job: str, status: int, suffix: str | None) -> None:
        with self._file.opened() as cluster:
            found, index = _chosen(cluster, job)
            run = found if index is None else found["elements"][str(index)]
            if run["state"] in "QHWB":
                start(cluster, found, index)
            end(cluster, found, status, suffix, index)


class FakePBS(_FakeCluster):
    """A fake OpenPBS or PBS Professional. Its answers are those that were recorded from OpenPBS 23.06.06."""

    dialect: ClassVar[Dialect] = "openpbs"
    _walltime_status: ClassVar[int] = -29
    _memory_status: ClassVar[int] = -27

    def node_fail(self, job: str) -> None:
        """End a job with its node; only one that may not run again ends so."""
        self._end(job, -20, None)

    def forget(self, job: str) -> None:
        """Let a job that is over be in the history only, where OpenPBS puts it at its end."""
        with self._file.opened() as cluster:
            found, _ = _chosen(cluster, job)
            if found["state"] != "F":
                raise LookupError(f"job {job} is not over, so the fake cluster does not forget it")

    def accounting_off(self) -> None:
        """Keep no history of jobs: one that is over is unknown, and what is over is forgotten at once."""
        with self._file.opened() as cluster:
            cluster["history"] = False
            for job in cluster["jobs"]:
                job["is_kept"] = job["state"] != "F"
            cluster["logs"] = {}

    def accounting_on(self) -> None:
        """Keep a history from now on."""
        self._set(history=True)


class FakeTorque(_FakeCluster):
    """A fake Torque. What it says is taken from Torque's documentation and sources, and was never recorded."""

    dialect: ClassVar[Dialect] = "torque"
    _walltime_status: ClassVar[int] = -11
    _memory_status: ClassVar[int] = -10


def _chosen(cluster: Record, text: str) -> tuple[Record, int | None]:
    found = find(cluster, _ELEMENT.sub(r"\1[\3]\2", text))
    if found is None:
        raise LookupError(f"the fake cluster has no such job: {text}")
    return found
