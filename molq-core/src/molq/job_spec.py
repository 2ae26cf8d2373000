"""What a user asks for: the request for one job, valid from birth."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs

from molq.conditions import DEPENDENCY_CONDITIONS, DependencyCondition
from molq.quantities import Duration, Memory

_LONGEST_VARIABLE = 128 * 1024
"""The most bytes of one variable, with its name, that Linux gives to a program (MAX_ARG_STRLEN)."""

_ENV_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ARRAY_RANGE = r"\d{1,9}(?:-\d{1,9}(?::[1-9]\d{0,8})?)?"
_ARRAY_SPEC = re.compile(rf"{_ARRAY_RANGE}(?:,{_ARRAY_RANGE})*(?:%[1-9]\d{{0,8}})?", re.ASCII)
_GPU_TYPE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,10}", re.ASCII)
# Surrogates are half characters: the database takes none, and files only those that stand for a byte (dc80-dcff).
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNWRITABLE = re.compile(r"[\x00\ud800-\udc7f\udd00-\udfff]")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_SHELL = re.compile(r"[\"'`$\\]")

_Check = Callable[[object, "attrs.Attribute[Any]", Any], None]
_Value = TypeVar("_Value")


def _refuse(instance: object, attribute: attrs.Attribute[Any], value: object, wanted: str) -> ValueError:
    return ValueError(f"{type(instance).__name__}.{attribute.name} must be {wanted}, not {value!r}")


def _positive_int(instance: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise _refuse(instance, attribute, value, "a whole number of at least 1")


def _is_word(value: object) -> bool:
    """Tell whether this can stand behind ``--option=`` or in a directive: one word that is no option itself."""
    if not isinstance(value, str) or value.split() != [value] or value.startswith("-"):
        return False
    return not _CONTROL.search(value) and not _SHELL.search(value)


def _word(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not _is_word(value):
        raise _refuse(instance, attribute, value, "one word without spaces, quotes, '$', '\\' or a leading '-'")


def _address(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    # An apostrophe is a letter of names, and so of addresses.
    if value is not None and not _is_word(value.replace("'", "x") if isinstance(value, str) else value):
        raise _refuse(instance, attribute, value, "an address such as 'me@example.org'")


def _priority(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not _is_word(value) and not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise _refuse(instance, attribute, value, "a text of one word or number, such as 'high', '100' or '-10'")


def _gpu_type(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    # What separates the parts of a request, such as ':' in Slurm's gpu:a100:2, would change it.
    if value is not None and not (isinstance(value, str) and _GPU_TYPE.fullmatch(value)):
        raise _refuse(instance, attribute, value, "a kind of GPU in letters, digits, '_', '.' and '-', such as 'a100'")


def _line(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip() or _CONTROL.search(value)):
        raise _refuse(instance, attribute, value, "one line of text without control characters")


def _text(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and (not isinstance(value, str) or not value or _UNWRITABLE.search(value)):
        raise _refuse(instance, attribute, value, "a text that is not empty and has no NUL or half a character")


def _name(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip() or _UNSTORABLE.search(value)):
        raise _refuse(instance, attribute, value, "a text that is not blank and has no NUL or half a character")


def _is_bool(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise _refuse(instance, attribute, value, "True or False")


def _quantity(kind: type[Memory | Duration]) -> _Check:
    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None:
            return
        if not isinstance(value, kind):
            raise _refuse(instance, attribute, value, f"a {kind.__name__}, such as {kind.__name__}.parse(…)")
        if value == kind(0):
            raise ValueError(f"{type(instance).__name__}.{attribute.name} must be more than 0")

    return check


def _script_path(value: str | os.PathLike[str] | None) -> Path | None:
    if value is None:
        return None
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str) or not path or _UNWRITABLE.search(path):
        raise ValueError(f"Script.path takes the path of a file, such as 'train.sh', not {value!r}")
    return Path(path)


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
    text: str | None = attrs.field(default=None, validator=_text)
    file_path: Path | None = attrs.field(default=None, converter=_script_path)

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

    cpu_count: int | None = attrs.field(default=None, validator=_positive_int)
    memory: Memory | None = attrs.field(default=None, validator=_quantity(Memory))
    gpu_count: int | None = attrs.field(default=None, validator=_positive_int)
    gpu_type: str | None = attrs.field(default=None, validator=_gpu_type)
    time_limit: Duration | None = attrs.field(default=None, validator=_quantity(Duration))


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
        if not _is_word(value):
            raise _refuse(self, attribute, value, "the id of a job, as JobHandle.job_id has it")

    @condition.validator
    def _is_known(self, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in DEPENDENCY_CONDITIONS:
            raise _refuse(self, attribute, value, f"one of {', '.join(DEPENDENCY_CONDITIONS)}")


def _refs(value: Iterable[DependencyRef]) -> tuple[DependencyRef, ...]:
    try:
        return tuple(value)
    except TypeError:
        raise ValueError(f"JobScheduling.dependencies must be a tuple of DependencyRef, not {value!r}") from None


def _is_array_spec(value: object) -> bool:
    if not isinstance(value, str) or not _ARRAY_SPEC.fullmatch(value):
        return False
    ranges = (part.partition(":")[0].partition("-") for part in value.partition("%")[0].split(","))
    return all(not dash or int(first) <= int(last) for first, dash, last in ranges)


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
        exclusive_node: whether the job wants its nodes for itself. Default False.
        array_spec: the indices of an array job: ``"0-9"``, ``"1,3,5-7"``, ``"0-99:2"``; ``"0-99%4"`` runs at most
            four at once.
        email: the address that the scheduler writes to.
        qos: the quality of service.
        reservation: the reservation.

    Raises:
        ValueError: a value cannot be passed to a scheduler safely, or both kinds of dependency are set.
    """

    queue: str | None = attrs.field(default=None, validator=_word)
    account: str | None = attrs.field(default=None, validator=_word)
    priority: str | None = attrs.field(default=None, validator=_priority)
    dependency: str | None = attrs.field(default=None, validator=_line)
    dependencies: tuple[DependencyRef, ...] = attrs.field(default=(), converter=_refs)
    node_count: int | None = attrs.field(default=None, validator=_positive_int)
    exclusive_node: bool = attrs.field(default=False, validator=_is_bool)
    array_spec: str | None = attrs.field(default=None)
    email: str | None = attrs.field(default=None, validator=_address)
    qos: str | None = attrs.field(default=None, validator=_word)
    reservation: str | None = attrs.field(default=None, validator=_word)

    @dependency.validator
    def _is_no_option(self, attribute: attrs.Attribute[Any], value: str | None) -> None:
        if value is not None and value.lstrip().startswith("-"):
            raise _refuse(self, attribute, value, "a dependency in the scheduler's words, such as 'afterok:123'")

    @dependencies.validator
    def _are_refs(self, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
        for item in value:
            if not isinstance(item, DependencyRef):
                raise _refuse(self, attribute, item, "a tuple of DependencyRef")

    @array_spec.validator
    def _is_array(self, attribute: attrs.Attribute[Any], value: str | None) -> None:
        if value is not None and not _is_array_spec(value):
            raise _refuse(self, attribute, value, "indices such as '0-9', '1,3,5-7', '0-99:2' or '0-99%4'")

    def __attrs_post_init__(self) -> None:
        if self.dependency is not None and self.dependencies:
            raise ValueError(
                "JobScheduling takes either dependency (in the scheduler's words) "
                "or dependencies (molq's ids), not both"
            )


def _checked_env(value: Mapping[str, str] | None) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"JobExecution.env must be a dictionary of texts, not a {type(value).__name__}")
    for key, text in value.items():
        if not isinstance(key, str) or not _ENV_KEY.fullmatch(key):
            raise ValueError(
                f"JobExecution.env has the name {key!r}: names are letters, digits and _, and start with no digit"
            )
        if not isinstance(text, str) or _UNWRITABLE.search(text):
            # The value itself may be a secret, so it is not repeated here.
            raise ValueError(f"JobExecution.env[{key!r}] must be a text without NUL or half a character")
        if len(key) + len(os.fsencode(text)) + 2 > _LONGEST_VARIABLE:
            raise ValueError(
                f"JobExecution.env[{key!r}] is longer than the {_LONGEST_VARIABLE} bytes that Linux takes; use a file"
            )
    return dict(value)


@attrs.frozen
class JobExecution:
    """How and where the command runs.

    Args:
        env: variables that are set for the command, beside those it inherits. They travel in a private file.
        cwd: the working directory; default: where ``submit`` was called.
        job_name: a name for people, any text; default: made from the command.
        output_file: the file for standard output, relative to ``cwd``; default: ``stdout.log`` in the job's folder.
        error_file: the file for standard error, relative to ``cwd``; default: ``stderr.log`` in the job's folder.

    Raises:
        ValueError: a name or path is empty or has characters that cannot stand there.
    """

    env: dict[str, str] | None = attrs.field(default=None, converter=_checked_env, repr=False, hash=False)
    cwd: str | Path | None = attrs.field(default=None)
    job_name: str | None = attrs.field(default=None, validator=_name)
    output_file: str | None = attrs.field(default=None, validator=_line)
    error_file: str | None = attrs.field(default=None, validator=_line)

    @cwd.validator
    def _is_path(self, attribute: attrs.Attribute[Any], value: str | Path | None) -> None:
        _line(self, attribute, os.fspath(value) if isinstance(value, os.PathLike) else value)


def _optional(kind: type) -> _Check:
    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None and not isinstance(value, kind):
            # The value itself may hold an environment, so it is not repeated here.
            raise ValueError(
                f"{type(instance).__name__}.{attribute.name} must be a {kind.__name__}, not a {type(value).__name__}"
            )

    return check


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

    resources: JobResources | None = attrs.field(default=None, validator=_optional(JobResources))
    scheduling: JobScheduling | None = attrs.field(default=None, validator=_optional(JobScheduling))
    execution: JobExecution | None = attrs.field(default=None, validator=_optional(JobExecution))


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
