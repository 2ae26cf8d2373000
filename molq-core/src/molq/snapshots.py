"""Turn requests and options into JSON for the store, and options back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, TypeVar

import attrs

from molq.backend import SchedulerOptions
from molq.errors import ConfigError
from molq.job_spec import JobExecution, JobResources, JobScheduling, JobSpec, Script
from molq.policies import RetryPolicy
from molq.quantities import Duration, Memory
from molq.records import JobRecord

_Part = TypeVar("_Part")
_Options = TypeVar("_Options", bound=SchedulerOptions)


def request_snapshot(spec: JobSpec, options: SchedulerOptions) -> dict[str, Any]:
    """Return a request as JSON values, without what is left at its default.

    The values of environment variables may be secrets, so only their names are kept. What a command or a script runs
    is in the job's folder.
    """
    execution = {**_plain(attrs.evolve(spec.execution, env=None))}
    if spec.execution.env:
        execution["env_names"] = sorted(spec.execution.env)
    parts = {
        "command": {"argv": list(spec.argv)} if spec.argv is not None else {},
        "resources": _plain(spec.resources),
        "scheduling": _plain(spec.scheduling),
        "execution": execution,
        "options": _plain(options),
        "retry": _plain(spec.retry),
    }
    return {name: part for name, part in parts.items() if part or name not in ("command", "retry")}


def restore_policy(snapshot: Mapping[str, Any]) -> RetryPolicy:
    """Return the retry policy in a request's snapshot.

    Raises:
        ConfigError: somebody has changed it.
    """
    plain = snapshot.get("retry")
    return _structured(plain, RetryPolicy) if plain else RetryPolicy()


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
        part: _Part = _converter().structure(plain, kind)
    except Exception as error:
        raise ConfigError(f"the recorded {plain!r} is no {kind.__name__}; submit the job anew") from error
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
        options: _Options = _converter().structure(plain, options_class)
    except Exception as error:
        raise ConfigError(
            f"the recorded options {plain!r} do not fit {options_class.__name__}; "
            "use a Submitor with scheduler_options instead"
        ) from error
    return options


def parse_option(options_class: type[SchedulerOptions], name: str, text: str) -> Any:
    """Return the value of one option that somebody typed; commas separate the parts of a tuple.

    Raises:
        ConfigError: there is no such option, or the text is no value for it.
    """
    attrs.resolve_types(options_class)
    kinds = {field.name: field.type for field in attrs.fields(options_class)}
    if name not in kinds:
        raise ConfigError(f"{options_class.__name__} has no option {name!r}; it has {', '.join(kinds)}")
    kind: Any = kinds[name]
    is_tuple = getattr(kind, "__origin__", None) is tuple
    try:
        return _converter().structure(text.split(",") if is_tuple else text, kind)
    except Exception as error:
        raise ConfigError(f"{text!r} is no value for the option {name!r} of {options_class.__name__}") from error


def _converter() -> Any:
    # Slow to import, and most options are at their defaults.
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(Memory, lambda value, _: Memory.parse(value))
    converter.register_structure_hook(Duration, lambda value, _: Duration.parse(value))
    converter.register_structure_hook(bool, _read_bool)
    converter.register_structure_hook_func(_is_path_union, lambda value, _: value)
    return converter


def _read_bool(value: object, _: object) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError(f"{value!r} is neither true nor false")


def _is_path_union(kind: object) -> bool:
    arguments = set(getattr(kind, "__args__", ()))
    return (
        bool(arguments)
        and str in arguments
        and any(isinstance(argument, type) and issubclass(argument, PurePath) for argument in arguments)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Memory | Duration | PurePath):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if attrs.has(type(value)):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if not _is_default(value, field)
        }
    return value


def _is_default(value: Any, field: attrs.Attribute[Any]) -> bool:
    default: Any = field.default
    return bool(getattr(value, field.name) == (default.factory() if hasattr(default, "factory") else default))
