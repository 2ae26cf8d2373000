"""Turn what a user asks for into one valid request, or say what is wrong with it. Pure."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from molq.conditions import DependencyCondition
from molq.errors import CommandError, ConfigError, ExclusiveFieldsError, UnsupportedFieldsError
from molq.field_rules import check_argument, checked_ids
from molq.job_spec import (
    DependencyRef,
    JobExecution,
    JobResources,
    JobScheduling,
    JobSpec,
    Script,
    SubmitorDefaults,
    merge_fields,
)
from molq.loaded_backend import Backend
from molq.policies import RetryPolicy

_LONGEST_DISPLAY = 500


def build_spec(
    defaults: SubmitorDefaults,
    *,
    argv: object = None,
    command: object = None,
    script: object = None,
    resources: JobResources | None = None,
    scheduling: JobScheduling | None = None,
    execution: JobExecution | None = None,
    metadata: Mapping[str, str] | None = None,
    retry: RetryPolicy | None = None,
    upstreams: Mapping[DependencyCondition, Sequence[str] | None],
) -> JobSpec:
    """Return the request that a call of ``submit`` and its defaults amount to.

    Raises:
        CommandError: not exactly one of ``argv``, ``command`` and ``script`` is given, or it cannot be run.
        ConfigError: a part is of another kind, the metadata are no texts, or a raw dependency is mixed with others.
    """
    check_argument("resources", resources, JobResources)
    check_argument("scheduling", scheduling, JobScheduling)
    check_argument("execution", execution, JobExecution)
    check_argument("metadata", metadata, Mapping, wanted="a dictionary of texts")
    check_argument("retry", retry, RetryPolicy)
    given = {"argv": argv, "command": command, "script": script}
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        have = " and ".join(names) if names else "none of them"
        raise CommandError(f"give exactly one of argv, command and script; got {have}")
    return JobSpec(
        argv=None if argv is None else _checked_argv(argv),
        command=None if command is None else _checked_command(command),
        script=None if script is None else _checked_script(script),
        resources=merge_fields(defaults.resources, resources, JobResources()),
        scheduling=merge_fields(defaults.scheduling, _with_upstreams(scheduling, upstreams), JobScheduling()),
        execution=merge_fields(defaults.execution, execution, JobExecution()),
        metadata=_checked_metadata(metadata),
        retry=retry or RetryPolicy(),
    )


def check_supported(backend: Backend, spec: JobSpec) -> None:
    """Refuse a request that uses what the scheduler cannot express.

    Raises:
        UnsupportedFieldsError: naming every such field.
    """
    unsupported = set(backend.description.unsupported)
    if not backend.implements("molq_compile_dependencies"):
        unsupported.add("dependencies")
    used = tuple(
        field.name
        for part in (spec.resources, spec.scheduling, spec.execution)
        for field in attrs.fields(type(part))
        if _is_refused(field.name, getattr(part, field.name), field.default, unsupported, backend)
    )
    if used:
        asked_for = ", ".join(_as_asked_for(name, spec) for name in used)
        raise UnsupportedFieldsError(
            f"scheduler {backend.scheduler!r} does not support {asked_for}; "
            f"drop {'it' if len(used) == 1 else 'them'}, or submit to a scheduler that does",
            scheduler=backend.scheduler,
            fields=used,
        )


def _is_refused(field: str, value: Any, usual: Any, unsupported: set[str], backend: Backend) -> bool:
    if field in unsupported:
        return bool(value != usual)
    most_nodes = backend.description.most_nodes
    return field == "node_count" and value is not None and most_nodes is not None and value > most_nodes


def _as_asked_for(field: str, spec: JobSpec) -> str:
    """Return the name of a field as the user knows it: dependencies are mostly given by their conditions."""
    if field == "node_count":
        return f"node_count {spec.scheduling.node_count}"
    if field != "dependencies":
        return field
    return f"dependencies ({', '.join(sorted({ref.condition for ref in spec.scheduling.dependencies}))})"


def display_command(spec: JobSpec) -> str:
    """Return what runs, on one line for people."""
    if spec.argv is not None:
        text = shlex.join(spec.argv)
    elif spec.command is not None:
        text = spec.command
    else:
        assert spec.script is not None
        text = str(spec.script.file_path or spec.script.text)
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_DISPLAY else line[:_LONGEST_DISPLAY] + "…"


def default_name(spec: JobSpec) -> str:
    """Return a job's name for a user who gave none."""
    if spec.argv is not None:
        return os.path.basename(spec.argv[0]) or "job"
    if spec.script is not None and spec.script.file_path is not None:
        return spec.script.file_path.name
    return spec.command_type


def _checked_argv(argv: object) -> tuple[str, ...]:
    if isinstance(argv, str | bytes) or not isinstance(argv, list | tuple):
        raise CommandError(f"argv must be a list such as ['echo', 'hello'], not {argv!r}; a whole line is a command")
    parts = tuple(os.fspath(part) if isinstance(part, os.PathLike) else part for part in argv)
    for part in parts:
        if not isinstance(part, str) or "\0" in part:
            raise CommandError(f"argv has the part {part!r}; each must be a text without a NUL character")
    if not parts or not parts[0]:
        raise CommandError("argv names no program; give at least one part that is not empty")
    if parts[0].startswith("-"):
        raise CommandError(f"argv names the program {parts[0]!r}, which looks like an option; write './{parts[0]}'")
    return parts


def _checked_command(command: object) -> str:
    if not isinstance(command, str) or not command.strip() or "\0" in command:
        raise CommandError(f"command must be a line of shell code, not {command!r}")
    return command


def _checked_script(script: object) -> Script:
    if not isinstance(script, Script):
        raise CommandError(f"script must be Script.inline(text) or Script.path(path), not {script!r}")
    return script


def _with_upstreams(
    scheduling: JobScheduling | None, upstreams: Mapping[DependencyCondition, Sequence[str] | None]
) -> JobScheduling | None:
    """Return what one call gives: its own scheduling, with the jobs that it names beside it."""
    more = []
    for condition, job_ids in upstreams.items():
        more += [DependencyRef(job_id, condition) for job_id in checked_ids(condition, job_ids)]
    if not more:
        return scheduling
    scheduling = scheduling or JobScheduling()
    if scheduling.dependency is not None:
        named = " and ".join(dict.fromkeys(ref.condition for ref in more))
        raise ExclusiveFieldsError(
            "a job waits either for what dependency says in the scheduler's words, "
            f"which is {scheduling.dependency!r}, or for molq's jobs by {named}, not for both; drop one"
        )
    changes: dict[str, Any] = {"dependencies": (*scheduling.dependencies, *more)}
    return attrs.evolve(scheduling, **changes)


def _checked_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ConfigError(f"metadata must map texts to texts; it has {key!r}: {value!r}")
    return dict(metadata or {})
