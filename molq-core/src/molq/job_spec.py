"""What a user asks for: the request for one job, valid from birth."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs

from molq.array_indices import are_indices
from molq.conditions import DEPENDENCY_CONDITIONS, DependencyCondition
from molq.field_rules import (
    check_address,
    check_bool,
    check_gpu_type,
    check_line,
    check_name,
    check_optional,
    check_positive_int,
    check_priority,
    check_quantity,
    check_text,
    check_word,
    convert_env,
    convert_script_path,
    is_word,
    refusal,
)
from molq.policies import RetryPolicy
from molq.quantities import Duration, Memory

_Value = TypeVar("_Value")


@attrs.frozen
class Script:
    """A script to run: its text, or the path of a file that is copied when the job is submitted.

    Make one with ``Script.inline(text)`` or ``Script.path(path)``. The first line may be a ``#!`` line that
    names the interpreter; without one, bash runs it.

    Attributes:
        variant: ``"inline"`` or ``"path"``.
        text: the script's text, if inline.
        file_path: the script's file, if by path.

    Raises:
        ValueError: the text or the path is empty, has a NUL character or is of the wrong kind.
    """

    variant: Literal["inline", "path"]
    text: str | None = attrs.field(default=None, validator=check_text)
    file_path: Path | None = attrs.field(default=None, converter=convert_script_path)

    def __attrs_post_init__(self) -> None:
        given = (self.text is not None, self.file_path is not None)
        if self.variant not in ("inline", "path") or given != (self.variant == "inline", self.variant == "path"):
            raise ValueError("a Script has either a text or a path: use Script.inline(text) or Script.path(path)")

    @classmethod
    def inline(cls, text: str) -> Script:
        """Return a script with this text."""
        return cls("inline", text=text)

    @classmethod
    def path(cls, path: str | os.PathLike[str]) -> Script:
        """Return the script in this file; it is read when a job with it is submitted."""
        return cls("path", file_path=path)


@attrs.frozen
class JobResources:
    """What a job needs of each node.

    Args:
        cpu_count: CPUs for the job's one task on each node.
        memory: memory on each node.
        gpu_count: GPUs on each node.
        gpu_type: the kind of GPU, in the site's words.
        time_limit: how long it may run.

    All default to None: the scheduler's own default holds.

    Raises:
        ValueError: a value is of the wrong kind, zero or negative.
    """

    cpu_count: int | None = attrs.field(default=None, validator=check_positive_int)
    memory: Memory | None = attrs.field(default=None, validator=check_quantity(Memory))
    gpu_count: int | None = attrs.field(default=None, validator=check_positive_int)
    gpu_type: str | None = attrs.field(default=None, validator=check_gpu_type)
    time_limit: Duration | None = attrs.field(default=None, validator=check_quantity(Duration))


@attrs.frozen
class DependencyRef:
    """One upstream job, by molq's id, and what has to be true of it.

    Args:
        job_id: molq's id of the upstream job.
        condition: ``"after_success"`` (the default), ``"after_failure"``, ``"after_started"`` or ``"after"``.

    Raises:
        ValueError: the id is empty or the condition is none of the four.
    """

    job_id: str = attrs.field()
    condition: DependencyCondition = attrs.field(default="after_success")

    @job_id.validator
    def _is_id(self, attribute: attrs.Attribute[Any], value: str) -> None:
        if not is_word(value):
            raise refusal(self, attribute, value, "the id of a job, as JobHandle.job_id has it")

    @condition.validator
    def _is_known(self, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in DEPENDENCY_CONDITIONS:
            raise refusal(self, attribute, value, f"one of {', '.join(DEPENDENCY_CONDITIONS)}")


def _refs(value: Iterable[DependencyRef]) -> tuple[DependencyRef, ...]:
    try:
        return tuple(value)
    except TypeError:
        raise ValueError(f"JobScheduling.dependencies must be a tuple of DependencyRef, not {value!r}") from None


@attrs.frozen
class JobScheduling:
    """Where and when a job may run.

    Args:
        queue: the queue or partition.
        account: the account or project that is charged.
        priority: the scheduler's own word or number.
        dependency: a dependency in the scheduler's own words, passed on unseen. Excludes ``dependencies``.
        dependencies: upstream jobs by molq's ids. Excludes ``dependency``.
        node_count: how many nodes; the scheduler's default is one.
        exclusive_node: whether the job wants its nodes for itself. Default False, which gives way to a True of the
            defaults or the profile: a call cannot undo that.
        array_spec: the indices of an array job: ``"0-9"``, ``"1,3,5-7"``, ``"0-99:2"``; ``"0-99%4"`` runs at most
            four at once.
        email: the address that the scheduler writes to.
        qos: the quality of service.
        reservation: the reservation.

    Raises:
        ValueError: a value cannot be passed to a scheduler safely, or both kinds of dependency are set.
    """

    queue: str | None = attrs.field(default=None, validator=check_word)
    account: str | None = attrs.field(default=None, validator=check_word)
    priority: str | None = attrs.field(default=None, validator=check_priority)
    dependency: str | None = attrs.field(default=None, validator=check_line)
    dependencies: tuple[DependencyRef, ...] = attrs.field(default=(), converter=_refs)
    node_count: int | None = attrs.field(default=None, validator=check_positive_int)
    exclusive_node: bool = attrs.field(default=False, validator=check_bool)
    array_spec: str | None = attrs.field(default=None)
    email: str | None = attrs.field(default=None, validator=check_address)
    qos: str | None = attrs.field(default=None, validator=check_word)
    reservation: str | None = attrs.field(default=None, validator=check_word)

    @dependency.validator
    def _is_no_option(self, attribute: attrs.Attribute[Any], value: str | None) -> None:
        if value is not None and value.lstrip().startswith("-"):
            raise refusal(self, attribute, value, "a dependency in the scheduler's words, such as 'afterok:123'")

    @dependencies.validator
    def _are_refs(self, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
        for item in value:
            if not isinstance(item, DependencyRef):
                raise refusal(self, attribute, item, "a tuple of DependencyRef")

    @array_spec.validator
    def _is_array(self, attribute: attrs.Attribute[Any], value: str | None) -> None:
        if value is not None and not are_indices(value):
            raise refusal(self, attribute, value, "indices such as '0-9', '1,3,5-7', '0-99:2' or '0-99%4'")

    def __attrs_post_init__(self) -> None:
        if self.dependency is not None and self.dependencies:
            raise ValueError(
                "JobScheduling takes either dependency (in the scheduler's words) "
                "or dependencies (molq's ids), not both"
            )


@attrs.frozen
class JobExecution:
    """How and where the command runs.

    Args:
        env: variables that are set for the command, beside those it inherits. They travel in a private file.
        cwd: the working directory; default: where ``submit`` was called. In this path, as in the other two, ``~``
            stands for the user's home.
        job_name: a name for people, any text; default: made from the command.
        output_file: the file for standard output, relative to ``cwd``; default: ``stdout.log`` in the job's folder.
        error_file: the file for standard error, relative to ``cwd``; default: ``stderr.log`` in the job's folder.

    Raises:
        ValueError: a name or path is empty or has characters that cannot stand there.
    """

    env: dict[str, str] | None = attrs.field(default=None, converter=convert_env, repr=False, hash=False)
    cwd: str | Path | None = attrs.field(default=None)
    job_name: str | None = attrs.field(default=None, validator=check_name)
    output_file: str | None = attrs.field(default=None, validator=check_line)
    error_file: str | None = attrs.field(default=None, validator=check_line)

    @cwd.validator
    def _is_path(self, attribute: attrs.Attribute[Any], value: str | Path | None) -> None:
        check_line(self, attribute, os.fspath(value) if isinstance(value, os.PathLike) else value)


@attrs.frozen
class SubmitorDefaults:
    """What every submission of a ``Submitor`` starts from; what a call gives wins, field by field.

    Args:
        resources: default resources.
        scheduling: default scheduling.
        execution: default execution; its ``env`` is merged with the call's, name by name.

    Raises:
        ValueError: a value is of another class.
    """

    resources: JobResources | None = attrs.field(default=None, validator=check_optional(JobResources))
    scheduling: JobScheduling | None = attrs.field(default=None, validator=check_optional(JobScheduling))
    execution: JobExecution | None = attrs.field(default=None, validator=check_optional(JobExecution))


def _copied(value: Mapping[str, str]) -> dict[str, str]:
    return dict(value)


@attrs.frozen(kw_only=True)
class JobSpec:
    """One whole request: exactly one of ``argv``, ``command`` and ``script``, and everything around it."""

    argv: tuple[str, ...] | None
    command: str | None
    script: Script | None
    resources: JobResources
    scheduling: JobScheduling
    execution: JobExecution
    metadata: dict[str, str] = attrs.field(converter=_copied, hash=False)
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)

    @property
    def command_type(self) -> Literal["argv", "command", "script"]:
        """Which of the three was given."""
        if self.argv is not None:
            return "argv"
        return "command" if self.command is not None else "script"


def merge_fields(default: _Value | None, given: _Value | None, empty: _Value) -> _Value:
    """Return ``given`` with every field that it leaves at its default taken from ``default``.

    Dictionaries are merged key by key, the given one winning; the two kinds of dependency replace each other.
    """
    if default is None or given is None:
        return given or default or empty
    changes: dict[str, Any] = {}
    for field in attrs.fields(type(empty)):  # type: ignore[arg-type]  # _Value is an attrs class, which no bound can say
        ours, theirs = getattr(given, field.name), getattr(default, field.name)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            changes[field.name] = {**theirs, **ours}
        elif ours == getattr(empty, field.name):
            changes[field.name] = theirs
    if isinstance(given, JobScheduling):
        if given.dependency is not None:
            changes["dependencies"] = ()
        elif given.dependencies:
            changes["dependency"] = None
    return attrs.evolve(given, **changes)  # type: ignore[misc]  # as above


def merge_defaults(default: SubmitorDefaults, given: SubmitorDefaults | None) -> SubmitorDefaults:
    """Return ``given`` with every field of its parts that it leaves at its default taken from ``default``."""
    given = given or SubmitorDefaults()
    return SubmitorDefaults(
        resources=merge_fields(default.resources, given.resources, JobResources()),
        scheduling=merge_fields(default.scheduling, given.scheduling, JobScheduling()),
        execution=merge_fields(default.execution, given.execution, JobExecution()),
    )
