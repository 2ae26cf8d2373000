"""Records of what molq knows: jobs, transitions and dependency edges, as read from the store."""

from __future__ import annotations

import attrs

from molq.conditions import DependencyCondition
from molq.job_state import JobState


@attrs.frozen(kw_only=True)
class JobRecord:
    """What was known of one attempt of a job when it was read. Times are seconds since the epoch (UTC).

    Attributes:
        job_id: molq's id of this attempt.
        root_job_id: the id of the family's first attempt; the same as ``job_id`` for that one.
        attempt: 1 for the first attempt, 2 for the first retry, and so on.
        previous_attempt_job_id: the attempt before this one, if any.
        retry_group_id: what all attempts of a family share; None if the job is never retried.
        profile_name: the profile that the job was submitted with, if any.
        cluster_name: the cluster, as the user named it.
        scheduler: the scheduler's name, such as ``"slurm"``.
        state: where the job is in its life.
        scheduler_job_id: the scheduler's id; None until it is known.
        submitted_at: when the scheduler accepted it.
        started_at: when it started to run.
        finished_at: when it ended.
        exit_code: the exit code as a shell reports it (128+n if signal n ended the job); None while it is not known.
        failure_reason: a sentence for people about why it did not succeed.
        cwd: the working directory.
        command_type: ``"argv"``, ``"command"`` or ``"script"``.
        command_display: what runs, on one line for people.
        metadata: the user's own dictionary, as it was given.
        cleaned_at: when the job's folder was deleted by a cleanup.
        created_at: when molq recorded the job.
        job_name: the user's name for it.
        job_dir: the folder of the job's own files.
        stdout_path: where its standard output goes.
        stderr_path: where its standard error goes.
        native_state: the scheduler's own word for the state, as last reported.
        reason: why it is where it is (why it waits, why it is unconfirmed), as last reported.
        cause: a word for what ended it: ``"exit"``, ``"signal"``, ``"timeout"``, ``"out_of_memory"``,
            ``"preempted"``, ``"node_fail"``, ``"cancelled"``, ``"submit"``…
        signal: the number of the signal that ended it.
        missing_since: since when the scheduler does not know it, while that is not yet settled.
        cancel_requested_at: when somebody asked molq to cancel it.
        not_before: for an attempt that waits: when it is due.
    """

    job_id: str
    root_job_id: str
    attempt: int = 1
    previous_attempt_job_id: str | None = None
    retry_group_id: str | None = None
    profile_name: str | None = None
    cluster_name: str
    scheduler: str
    state: JobState
    scheduler_job_id: str | None = None
    submitted_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    failure_reason: str | None = None
    cwd: str
    command_type: str
    command_display: str
    metadata: dict[str, str] = attrs.field(hash=False)
    cleaned_at: float | None = None
    created_at: float
    job_name: str | None = None
    job_dir: str
    stdout_path: str
    stderr_path: str
    native_state: str | None = None
    reason: str | None = None
    cause: str | None = None
    signal: int | None = None
    missing_since: float | None = None
    cancel_requested_at: float | None = None
    not_before: float | None = None


@attrs.frozen(kw_only=True)
class JobElement:
    """One element of an array.

    Attributes:
        job_id: the attempt that ran it, or is to run it.
        index: its index.
        state: where it is in its life; None if that is not known.
        exit_code: its exit code, as in ``JobRecord``.
        signal: the number of the signal that ended it.
        cause: a word for what ended it, as in ``JobRecord``.
        native_state: the scheduler's own word, as last reported; None if there was none yet.
        stdout_path: where its standard output goes.
        stderr_path: where its standard error goes.
    """

    job_id: str
    index: int
    state: JobState | None
    exit_code: int | None = None
    signal: int | None = None
    cause: str | None = None
    native_state: str | None = None
    stdout_path: str
    stderr_path: str


@attrs.frozen
class JobDependency:
    """One edge: ``job_id`` waits for ``dependency_job_id``.

    Attributes:
        job_id: the job that has the dependency.
        dependency_job_id: the upstream job that it waits for.
        dependency_type: what has to be true of the upstream job.
        scheduler_dependency: the edge in the scheduler's words, such as ``afterok:12345``; None if
            molq had judged it satisfied before the job was submitted.
    """

    job_id: str
    dependency_job_id: str
    dependency_type: DependencyCondition
    scheduler_dependency: str | None


@attrs.frozen
class StatusTransition:
    """One step in a job's life.

    Attributes:
        job_id: the job.
        old_state: the state before; None for the first.
        new_state: the state after.
        timestamp: when molq learned it, in seconds since the epoch (UTC).
        reason: what it was learned from.
    """

    job_id: str
    old_state: JobState | None
    new_state: JobState
    timestamp: float
    reason: str | None


@attrs.frozen
class DependencyPreviewItem:
    """One neighbour of a job in the graph of dependencies.

    Attributes:
        job_id: the neighbour.
        dependency_type: what the edge demands.
        relation_state: ``"satisfied"``, ``"pending"`` or ``"impossible"``.
        job_state: the neighbour's state.
        command_display: what the neighbour runs.
        scheduler_dependency: the edge in the scheduler's words.
    """

    job_id: str
    dependency_type: DependencyCondition
    relation_state: str
    job_state: JobState
    command_display: str
    scheduler_dependency: str | None


@attrs.frozen
class DependencyPreview:
    """A job's direct neighbours: what it waits for and what waits for it.

    Attributes:
        job_id: the job.
        upstream_total: how many jobs it waits for.
        upstream_satisfied: how many of these edges are satisfied.
        upstream: the jobs it waits for.
        downstream_total: how many jobs wait for it.
        downstream: the jobs that wait for it.
    """

    job_id: str
    upstream_total: int
    upstream_satisfied: int
    upstream: tuple[DependencyPreviewItem, ...]
    downstream_total: int
    downstream: tuple[DependencyPreviewItem, ...]
