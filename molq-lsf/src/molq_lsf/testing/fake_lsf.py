"""Drive a fake LSF: what happens to its jobs, and what goes wrong."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import attrs

from molq.backend import Duration
from molq.testing.fake_programs import Record, install_programs
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.testing.cluster_file import DEFAULT_QUEUE, OVER, ClusterFile, end, happen, matches, native_id, start
from molq_lsf.testing.dependency_conditions import HELD, judge_all
from molq_lsf.testing.fake_control import kill
from molq_lsf.testing.job_runner import leave_files, run_job
from molq_lsf.testing.programs import PROGRAMS

_IDS_LOST_BY_A_RESTART = 100


class FakeLSF:
    """LSF's programs as executables over one folder. Nothing happens to a job unless the test says so.

    Their answers are those that were recorded from OpenLava 2.2. ``FakeSpectrumLSF`` is IBM's.

    Args:
        folder: where the programs and the cluster's state are kept.
        options: how the backend should be set, apart from the paths of the programs.
    """

    dialect = "openlava"

    def __init__(self, folder: Path, options: LSFSchedulerOptions | None = None) -> None:
        self.folder = folder / "fake-lsf"
        self.bin = install_programs("molq_lsf", PROGRAMS, self.folder)
        self._file = ClusterFile(str(self.folder))
        given = options or LSFSchedulerOptions(command_timeout=Duration(10))
        paths: dict[str, Any] = {f"{name}_path": str(self.bin / name) for name in PROGRAMS if name != "lsid"}
        self.options = attrs.evolve(given, **paths)
        self._set(dialect=self.dialect)

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
                start(job)
            judge_all(cluster)

    def finish(self, job_id: str, exit_code: int = 0) -> None:
        """Let the script of a running job come to its end, and leave its files."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id):
                leave_files(job, exit_code)
        self._end(job_id, code=exit_code)

    def signal(self, job_id: str, number: int) -> None:
        """Let the script of a running job die of a signal, which LSF's own shell around it sees as an exit code."""
        self._end(job_id, code=128 + number)

    def kill_outer_shell(self, job_id: str) -> None:
        """Let the shell that LSF itself started die of a signal, such as the one at the limit of CPU time."""
        self._end(job_id, code=0)

    def lose_status(self, job_id: str) -> None:
        """Let a job end while its host's daemon is away, so that nobody sees how."""
        self._end(job_id, code=None, is_known=False)

    def time_out(self, job_id: str) -> None:
        """End a running job by the signal that is sent at its run limit, or else at its queue's."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id):
                if job["run_limit"] is None:
                    queue = cluster["queues"][job["queue"]]
                    queue["run_limit"] = queue["run_limit"] or 1
                limit = job["run_limit"] or cluster["queues"][job["queue"]]["run_limit"]
                _started(job)
                _backdate(job, 60 * limit + 1)
                end(job, cluster["dialect"], code=140, term="TERM_RUNLIMIT")
            judge_all(cluster)

    def exceed_memory(self, job_id: str) -> None:
        """End a running job at its limit of memory; LSF interrupts it."""
        self._end(job_id, code=130, term="TERM_MEMLIMIT")

    def cancel(self, job_id: str, user: str = "openlava") -> None:
        """Let somebody else cancel a job."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id):
                kill(job, user, cluster["dialect"], term="TERM_ADMIN")
            judge_all(cluster)

    def cancel_at_launch(self, job_id: str) -> None:
        """Let somebody cancel a job while the shell that LSF has just started does not yet mask signals."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id):
                happen(job, f"Signal <KILL> requested by user or administrator <{cluster['user']}>;")
        self._end_killed(job_id, signal.SIGINT)

    def brequeue(self, job_id: str) -> None:
        """Put a running job back into the queue. LSF shows no count of that."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id, active_only=False):
                happen(job, f"Signal <REQUEUE_PEND> requested by user or administrator <{cluster['user']}>;")
                happen(job, "Exited with exit code 130. The CPU time used is 0.0 seconds;")
                happen(job, "Pending: Job has been requeued;")
                job.update(state="PEND", start=None, end=None, code=None)
            judge_all(cluster)

    def lose_host(self, job_id: str) -> None:
        """Let the host of a running job be out of reach."""
        self.set_state(job_id, "UNKWN")

    def set_state(self, job_id: str, state: str) -> None:
        """Show a state word, whatever it means."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id, active_only=False):
                job.update(state=state, reason="")

    def hold(self, job_id: str) -> None:
        """Hold a waiting job, as bstop does."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id):
                job.update(state="PSUSP", reason=HELD)

    def forget(self, job_id: str, *, history: bool = False) -> None:
        """Let the daemon forget a job, as it does CLEAN_PERIOD after the end; the history too if so asked."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id, active_only=False):
                job["in_queue"] = False
                job["in_history"] = job["in_history"] and not history

    def switch_log(self) -> None:
        """Move all that has happened into an old event file, which bhist reads only if told to."""
        with self._file.opened() as cluster:
            for job in cluster["jobs"]:
                job["is_in_old_log"] = True

    def hide(self, job_id: str) -> None:
        """Let the daemon not know a job yet, as it may be for seconds after the submission."""
        self.forget(job_id)

    def show(self, job_id: str) -> None:
        """Let the daemon know a job that was hidden."""
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id, active_only=False):
                job["in_queue"] = True

    def reuse_id(self, job_id: str) -> None:
        """Lose a job, and give its id to a stranger's that runs."""
        with self._file.opened() as cluster:
            (lost,) = _chosen(cluster, job_id, active_only=False)
            lost.update(
                name="stranger",
                description="",
                user="somebody",
                command="true",
                script="true\n",
                state="PEND",
                start=None,
                end=None,
                dependency="",
                events=[[int(time.time()), "Submitted from host <vm>, to Queue <normal>, CWD <$HOME>;"]],
            )
            start(lost)

    def run(self, job_id: str) -> int:
        """Run the script of a waiting job or element for real, and let it end as its script ends.

        Returns:
            The exit code that LSF sees; negative if its own shell died of a signal.
        """
        with self._file.opened() as cluster:
            (job,) = _chosen(cluster, job_id)
            start(job)
        code = run_job(job, self.folder)
        if code < 0:
            self._end_killed(native_id(job), -code)
        else:
            self._end(native_id(job), code=code)
        return code

    def pause_scheduler(self) -> None:
        """Let the scheduler not look at jobs for a while, so that all look new."""
        self._set(schedules=False)

    def go_down(self) -> None:
        """Restart the daemon: connections are broken."""
        self._set(daemon="down")

    def hang(self) -> None:
        """Let the daemon be away: programs wait for ever, and what they were to send is heard when it is back."""
        self._set(daemon="hung")

    def come_back(self) -> None:
        """Let the daemon answer again; ids jump when it has restarted."""
        with self._file.opened() as cluster:
            cluster["next_id"] += _IDS_LOST_BY_A_RESTART
            cluster["daemon"] = "up"

    def accept_but_hang(self) -> None:
        """Let the next submission be accepted, and bsub be killed before it can say so."""
        self._set(lose_reply=True)

    def be_busy(self) -> None:
        """Let bjobs say that one should wait, before it answers."""
        self._set(is_busy=True)

    def take_pending_for_a_filter(self) -> None:
        """Let bjobs -p show waiting jobs only, whatever stands beside it."""
        self._set(filters_pending=True)

    def accounting_off(self) -> None:
        """Lose the history."""
        self._set(history="off")

    def accounting_down(self) -> None:
        """Let the history be out of reach."""
        self._set(history="down")

    def accounting_on(self) -> None:
        """Let the history answer, and know all."""
        self._set(history="on")

    def deny_cancel(self) -> None:
        """Let bkill be refused."""
        self._set(denies_cancel=True)

    def limit_queue(self, minutes: int | None, queue: str = DEFAULT_QUEUE) -> None:
        """Give a queue a run limit."""
        with self._file.opened() as cluster:
            cluster["queues"][queue]["run_limit"] = minutes

    def say(self, program: str, stdout: str = "", stderr: str = "", exit_code: int = 0) -> None:
        """Let a program say something else than its own answer, until ``speak_normally``."""
        with self._file.opened() as cluster:
            cluster["answers"][program] = {"stdout": stdout, "stderr": stderr, "exit_code": exit_code}

    def garble(self, text: str, *, exit_code: int = 0) -> None:
        """Let the programs that list jobs say this, until ``speak_normally``."""
        for program in ("bjobs", "bhist"):
            self.say(program, text, exit_code=exit_code)

    def speak_normally(self) -> None:
        """Let all programs give their own answers again."""
        self._set(answers={}, banner="", is_busy=False)

    def banner(self, text: str) -> None:
        """Let bsub greet before it answers, as a site's esub may."""
        self._set(banner=text)

    def remove(self) -> None:
        """Delete the programs, as if LSF were not installed."""
        shutil.rmtree(self.bin)

    def _set(self, **changes: object) -> None:
        with self._file.opened() as cluster:
            cluster.update(changes)

    def _end(self, job_id: str, *, code: int | None, term: str = "", is_known: bool = True) -> None:
        with self._file.opened() as cluster:
            for job in _chosen(cluster, job_id):
                _started(job)
                end(job, cluster["dialect"], code=code, term=term, is_known=is_known)
            judge_all(cluster)

    def _end_killed(self, job_id: str, _number: int) -> None:
        # OpenLava takes a death of its own shell for a success.
        self._end(job_id, code=0)


class FakeSpectrumLSF(FakeLSF):
    """IBM Spectrum LSF 10.1 as its documentation describes it; nobody recorded it."""

    dialect = "spectrum"

    def kill_outer_shell(self, job_id: str) -> None:
        """Let the shell that LSF itself started be killed."""
        self._end_killed(job_id, 9)

    def out_of_memory(self, job_id: str) -> None:
        """End a running job that has used too much memory."""
        self._end(job_id, code=137, term="TERM_MEMLIMIT")

    def preempt(self, job_id: str) -> None:
        """End a running job in favour of another one."""
        self._end(job_id, code=143, term="TERM_PREEMPT")

    def be_old(self) -> None:
        """Be a release whose bjobs has neither -json nor -o."""
        self._set(is_old=True)

    def _end_killed(self, job_id: str, number: int) -> None:
        self._end(job_id, code=128 + number)


def _chosen(cluster: Record, job_id: str, *, active_only: bool = True) -> list[Record]:
    found = [job for job in cluster["jobs"] if matches(job, job_id) and (job["state"] not in OVER or not active_only)]
    if not found:
        raise LookupError(f"the fake cluster has no such job: {job_id}")
    return found


def _started(job: Record) -> None:
    if job["start"] is None:
        start(job)


def _backdate(job: Record, seconds: int) -> None:
    """Let all that has happened to a job have happened earlier."""
    job.update(submit=job["submit"] - seconds, start=job["start"] - seconds)
    job["events"] = [[at - seconds, text] for at, text in job["events"]]
