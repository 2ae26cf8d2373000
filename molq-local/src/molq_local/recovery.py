"""Find out what became of a job that an earlier agent launched, or was about to."""

from __future__ import annotations

import time

from molq_local import job_files, outcome, processes
from molq_local.outcome import Outcome
from molq_local.processes import Process, ProcessTable
from molq_local.queue_ledger import Job

_RESCAN_AFTER = 0.05


def find_fates(jobs: list[Job], boot_id: str) -> dict[int, Process | Outcome | None]:
    """Return, by job number, the process that still runs, how the job ended, or None: it surely was never launched.

    The caller holds the agent's lock. A process that the earlier agent was just about to turn into a job keeps that
    lock until its exec, so by now every launched job either shows its tag in its environment or is over.
    """
    fates = _look(jobs, boot_id)
    undecided = [job for job in jobs if not isinstance(fates[job.id], Process) and job.boot_id == boot_id]
    if undecided:
        # During an exec the environment cannot be read for a moment.
        time.sleep(_RESCAN_AFTER)
        fates.update(_look(undecided, boot_id))
    return fates


def _look(jobs: list[Job], boot_id: str) -> dict[int, Process | Outcome | None]:
    leaders = ProcessTable().session_leaders()
    return {job.id: _fate(job, leaders.get(job.tag.encode(), []), boot_id) for job in jobs}


def _fate(job: Job, leaders: list[Process], boot_id: str) -> Process | Outcome | None:
    is_rebooted = job.boot_id is not None and job.boot_id != boot_id
    if not is_rebooted and (process := _leader(job, leaders)):
        return process
    if job.state != "running" and not job_files.has_started(job.job_dir):
        return None
    cause = job.cause or (outcome.CANCEL if job.cancel_requested_at else None)
    return outcome.of_unseen_end(job_files.read_exit(job.job_dir), cause, is_rebooted=is_rebooted)


def _leader(job: Job, leaders: list[Process]) -> Process | None:
    if job.pid is not None:
        process = processes.read_process(job.pid)
        if process is not None and process.started == job.pid_started and not process.is_over:
            return process
    started_pid = job_files.read_start_pid(job.job_dir)
    if started_pid is None:
        # Before the start file is written there is no payload that could have made sessions of its own.
        return leaders[0] if leaders else None
    return next((process for process in leaders if process.pid == started_pid), None)
