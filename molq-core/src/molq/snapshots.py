"""Turn requests and options into JSON for the store, and options back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from molq.backend import SchedulerOptions
from molq.errors import ConfigError
from molq.job_spec import JobExecution, JobResources, JobScheduling, JobSpec, Script
from molq.plain_problems import PlainValueError
from molq.plain_values import read, to_plain
from molq.policies import RetryPolicy
from molq.records import JobRecord

_Part = TypeVar("_Part")
_Options = TypeVar("_Options", bound=SchedulerOptions)


def request_snapshot(spec: JobSpec, options: SchedulerOptions) -> dict[str, Any]:
    """Return a request as JSON values, without what is left at its default.

    The values of environment variables may be secrets, so only their names are kept. What a command or a script runs
    is in the job's folder.
    """
    execution = {**to_plain(attrs.evolve(spec.execution, env=None))}
    if spec.execution.env:
        execution["env_names"] = sorted(spec.execution.env)
    parts = {
        "command": {"argv": list(spec.argv)} if spec.argv is not None else {},
        "resources": to_plain(spec.resources),
        "scheduling": to_plain(spec.scheduling),
        "execution": execution,
        "options": to_plain(options),
        "retry": to_plain(spec.retry),
    }
    return {name: part for name, part in parts.items() if part or name not in ("command", "retry")}


def restore_policy(snapshot: Mapping[str, Any]) -> RetryPolicy:
    """Return the retry policy in a request's snapshot.

    Raises:
        ConfigError: somebody has changed it.
    """
    plain = snapshot.get("retry")
    return _structured(plain, RetryPolicy) if plain else RetryPolicy()


def check_parts(snapshot: Mapping[str, Any]) -> None:
    """Check that what a next attempt takes over from a request can be read.

    Raises:
        ConfigError: somebody has changed it.
    """
    _structured(snapshot.get("resources", {}), JobResources)
    _structured(snapshot.get("scheduling", {}), JobScheduling)


def restore_spec(snapshot: Mapping[str, Any], record: JobRecord, payload: Path) -> JobSpec:
    """Return the request in a snapshot, as it was submitted or will be. Its environment is in the first job's folder.

    Args:
        snapshot: the request as it is recorded.
        record: the job's record.
        payload: the script that runs if the snapshot has no ``argv``.

    Raises:
        ConfigError: somebody has changed it.
    """
    argv = snapshot.get("command", {}).get("argv")
    execution = {name: value for name, value in snapshot.get("execution", {}).items() if name != "env_names"}
    return JobSpec(
        argv=None if argv is None else tuple(argv),
        command=None,
        script=Script.path(payload) if argv is None else None,
        resources=_structured(snapshot.get("resources", {}), JobResources),
        scheduling=_structured(snapshot.get("scheduling", {}), JobScheduling),
        execution=_structured({**execution, "cwd": record.cwd, "job_name": record.job_name}, JobExecution),
        metadata=record.metadata,
        retry=restore_policy(snapshot),
    )


def _structured(plain: Any, kind: type[_Part]) -> _Part:
    try:
        part: _Part = read(plain, kind)
    except PlainValueError as error:
        raise ConfigError(f"the recorded {plain!r} is no {kind.__name__} ({error}); submit the job anew") from error
    return part


def restore_options(snapshot: dict[str, Any], options_class: type[_Options]) -> _Options:
    """Return the options in a request's snapshot.

    Raises:
        ConfigError: they do not fit the class, as when another version of the backend wrote them.
    """
    plain = snapshot.get("options") or {}
    if not plain:
        return options_class()
    try:
        options: _Options = read(plain, options_class)
    except PlainValueError as error:
        raise ConfigError(
            f"the recorded options {plain!r} do not fit {options_class.__name__} ({error}); "
            "use a Submitor with scheduler_options instead"
        ) from error
    return options
