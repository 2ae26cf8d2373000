"""The values that cross between molq and a scheduler's backend.

A backend needs nothing else of molq than this module: it takes these frozen values and returns them.
``molq.hookspecs`` says when each of its functions is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import attrs
import pluggy

from molq.array_elements import ElementReport, RolledUp, roll_up
from molq.array_indices import expand_indices, format_indices
from molq.backend_tools import as_tuple, check_one_of, check_program, chunked
from molq.command_replies import CommandReply, command_failed, words_of
from molq.conditions import DependencyCondition
from molq.errors import CommandFailedError, CommandNotStartedError, SchedulerError
from molq.job_spec import (
    JobExecution,
    JobResources,
    JobScheduling,
)
from molq.job_state import JobState
from molq.quantities import Duration, Memory

__all__ = [
    "BackendDescription",
    "CancelReceipt",
    "CommandFailedError",
    "CommandNotStartedError",
    "CommandReply",
    "Commands",
    "CompiledDependencies",
    "DependencyCondition",
    "Duration",
    "ElementReport",
    "Finding",
    "FoundJob",
    "JobExecution",
    "JobReport",
    "JobResources",
    "JobScheduling",
    "JobState",
    "Memory",
    "PollAnswer",
    "RolledUp",
    "SchedulerError",
    "SchedulerOptions",
    "SubmitDeferred",
    "SubmitReceipt",
    "SubmitRejected",
    "SubmitRequest",
    "SubmitUnconfirmed",
    "SubmittedJob",
    "UpstreamJob",
    "as_tuple",
    "check_one_of",
    "check_program",
    "chunked",
    "command_failed",
    "expand_indices",
    "format_indices",
    "hookimpl",
    "roll_up",
    "words_of",
]

hookimpl = pluggy.HookimplMarker("molq")
"""Marks a backend's functions as implementations of ``molq.hookspecs``."""


class SubmitRejected(SchedulerError):  # noqa: N818 - an answer of the scheduler, named like its siblings
    """The scheduler surely did not take the job. The message is the scheduler's own words."""


class SubmitDeferred(SchedulerError):  # noqa: N818 - as above
    """The scheduler surely did not take the job now (a limit, too busy), and may take it later."""


class SubmitUnconfirmed(SchedulerError):  # noqa: N818 - as above
    """Whether the scheduler took the job is not known: it must not be submitted again."""


@attrs.frozen(kw_only=True)
class SchedulerOptions:
    """The base of every backend's options class.

    Subclasses are attrs classes, frozen and keyword-only, in which every field has a default. Fields are of the
    types str, int, float, bool, Path, Memory, Duration, tuples of these, or None: molq keeps them as JSON.
    """


OptionsT = TypeVar("OptionsT", bound=SchedulerOptions)

EXPRESSIBLE_FIELDS: frozenset[str] = frozenset(
    field.name for kind in (JobResources, JobScheduling, JobExecution) for field in attrs.fields(kind)
)
"""The names of the request's fields that a backend may declare unsupported."""


@attrs.frozen(kw_only=True)
class BackendDescription:
    """What a backend says of itself.

    Attributes:
        label: the scheduler's name for people, such as ``"Slurm"``.
        options_class: the backend's subclass of ``SchedulerOptions``.
        unsupported: fields of ``JobResources``, ``JobScheduling`` and ``JobExecution`` that the scheduler cannot
            express. molq refuses a request that sets one, before anything is stored.
        most_nodes: the most nodes that a job may have; molq refuses a request for more together with the fields that
            are unsupported. None if that is for the scheduler to say.
        job_id_variable: the variable in which a running job finds its id; the job's script claims its run by it.
        array_index_variable: the variable in which an array's element finds its index; None without arrays.
        restart_count_variable: the variable that counts restarts by the scheduler; None if there is none.
        dropped_variables: shell patterns of variables that the scheduler's programs must not inherit, since they
            change what is submitted or printed.
        kept_variables: shell patterns that are exceptions to ``dropped_variables``.
        shortest_poll: seconds between two polls while jobs are young. Default 1.
        longest_poll: seconds between two polls of old jobs. Default 30.
        judges_arrays: whether the scheduler judges a dependency on an array by all of its elements. Where it does not,
            molq holds the dependant back and submits it when its own store says so. Default True.
        keeps_stranded: whether a job that waits for what can't happen any more stays in the queue, so that it can be
            pointed to another attempt. Where the scheduler deletes it, molq holds back what waits for a job that may
            be tried again. Default True.
        releases_unstarted: whether the scheduler releases what waits for the end of a job that is cancelled before it
            starts. Where it does not, molq holds such dependants back until the job has started. Default True.
    """

    label: str
    options_class: type[SchedulerOptions] = attrs.field()
    unsupported: frozenset[str] = attrs.field(default=frozenset())
    most_nodes: int | None = None
    job_id_variable: str
    array_index_variable: str | None = None
    restart_count_variable: str | None = None
    dropped_variables: tuple[str, ...] = ()
    kept_variables: tuple[str, ...] = ()
    shortest_poll: float = 1.0
    longest_poll: float = 30.0
    judges_arrays: bool = True
    keeps_stranded: bool = True
    releases_unstarted: bool = True

    @options_class.validator
    def _is_options_class(self, _attribute: object, value: object) -> None:
        if not (isinstance(value, type) and issubclass(value, SchedulerOptions)):
            raise ValueError(f"options_class must be a subclass of SchedulerOptions, not {value!r}")

    @unsupported.validator
    def _are_fields(self, _attribute: object, value: frozenset[str]) -> None:
        if unknown := value - EXPRESSIBLE_FIELDS:
            raise ValueError(f"unsupported names {', '.join(sorted(unknown))}, which a request does not have")


@attrs.frozen(kw_only=True)
class UpstreamJob:
    """A job that another one waits for, and what has to be true of it."""

    scheduler_job_id: str
    condition: DependencyCondition
    is_array: bool = False


@attrs.frozen(kw_only=True)
class CompiledDependencies:
    """Dependencies in the scheduler's words.

    Attributes:
        expression: the whole expression, which ``SubmitRequest.dependency`` carries.
        edges: one part for each upstream job, in the order in which they were given.
    """

    expression: str
    edges: tuple[str, ...]


@attrs.frozen(kw_only=True)
class SubmitRequest(Generic[OptionsT]):
    """All that a backend needs to render and submit one job.

    Attributes:
        job_id: molq's id, which the backend plants where the scheduler lists it cheaply (the tag).
        job_name: the user's name for the job; may hold any character.
        job_dir: the folder of the job's own files.
        body: shell code that runs the job; it goes below the backend's directives.
        cwd: the working directory, an absolute path.
        stdout_path: where standard output goes, an absolute path.
        stderr_path: where standard error goes, an absolute path.
        resources: what the job needs of each node.
        scheduling: where and when it may run.
        dependency: what it waits for, in the scheduler's words.
        options: the backend's options.
    """

    job_id: str
    job_name: str
    job_dir: Path
    body: str
    cwd: Path
    stdout_path: Path
    stderr_path: Path
    resources: JobResources
    scheduling: JobScheduling
    dependency: str | None
    options: OptionsT


@attrs.frozen(kw_only=True)
class SubmitReceipt:
    """The scheduler took the job under this id."""

    scheduler_job_id: str = attrs.field()

    @scheduler_job_id.validator
    def _is_id(self, _attribute: object, value: str) -> None:
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"scheduler_job_id must be a text that is not empty, not {value!r}")


@attrs.frozen(kw_only=True)
class SubmittedJob:
    """A job that the scheduler has or had, as the store knows it.

    Attributes:
        job_id: molq's id, the tag.
        scheduler_job_id: the scheduler's id.
        job_dir: the folder of the job's own files.
        submitted_at: when it was submitted, in seconds since the epoch.
        is_array: whether it is an array.
        array_spec: the indices of an array, as they were asked for.
    """

    job_id: str
    scheduler_job_id: str
    job_dir: Path
    submitted_at: float
    is_array: bool = False
    array_spec: str | None = None


@attrs.frozen(kw_only=True)
class JobReport:
    """What the scheduler says of one job.

    Attributes:
        scheduler_job_id: the id, as it was asked for.
        tag: molq's id as found in the scheduler; None if this source does not show it.
        native_state: the scheduler's own word.
        state: what the word means to molq; None for a word that the backend does not know.
        exit_code: the exit code, if the job ended with one.
        signal: the signal that ended it.
        cause: a word for what ended it, such as ``"out_of_memory"``, ``"preempted"`` or ``"node_fail"``.
        restarts: how often the scheduler started it again.
        started_at: when it started, in seconds since the epoch.
        finished_at: when it ended, in seconds since the epoch.
        reason: why it waits, or a sentence about why it ended.
        elements: for an array, its elements.
    """

    scheduler_job_id: str
    tag: str | None = None
    native_state: str
    state: JobState | None
    exit_code: int | None = None
    signal: int | None = None
    cause: str | None = None
    restarts: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    reason: str | None = None
    elements: tuple[ElementReport, ...] = ()


@attrs.frozen(kw_only=True)
class PollAnswer:
    """What one poll learned. A job that is in neither field is absent, and that is a statement.

    Attributes:
        reports: what is known, at most one for each job.
        unanswered: the ids about which the source that would know could not be asked.
    """

    reports: tuple[JobReport, ...]
    unanswered: frozenset[str] = frozenset()


@attrs.frozen(kw_only=True)
class CancelReceipt:
    """What came of the request to cancel one job, or one element of an array.

    Attributes:
        scheduler_job_id: the job.
        accepted: whether the scheduler took the request. False for a job that is already over.
        reason: the scheduler's words.
        index: the element; None for a whole job.
    """

    scheduler_job_id: str
    accepted: bool
    reason: str | None = None
    index: int | None = None


@attrs.frozen(kw_only=True)
class FoundJob:
    """A job that was found in the scheduler by its tag."""

    tag: str
    scheduler_job_id: str


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that ``molq doctor`` found out about a site.

    Attributes:
        name: what was looked at.
        value: what was found.
        is_problem: whether it needs the user's attention.
        meaning: what it means for the user, in a sentence.
    """

    name: str
    value: str
    is_problem: bool = False
    meaning: str = ""


class Commands(Protocol):
    """Runs a scheduler's programs. Every failure is a ``SchedulerError`` that names the command."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that programs inherit, without the ones that the backend's description drops."""

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float | None = None) -> CommandReply:
        """Run a program that only asks or may be repeated, and return its reply, whatever its exit code.

        Args:
            argv: the program and its arguments.
            stdin: what it reads; nothing by default.
            timeout: seconds until it is killed; a default that suits schedulers if None.

        Raises:
            CommandNotStartedError: it could not be started.
            CommandFailedError: it did not end in time.
        """

    def submit(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float | None = None) -> CommandReply:
        """Run the program that submits the job, so that its reply survives the death of this process.

        The reply goes to files in the job's folder, and the program holds the job's submit lock until it ends.
        The program is not killed when it takes too long: it may have been heard.

        Raises:
            CommandNotStartedError: it could not be started: the job was surely not submitted.
            SubmitUnconfirmed: it did not end in time.
        """


AnyRequest = SubmitRequest[Any]
