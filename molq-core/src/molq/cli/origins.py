"""Tell where each value of a request comes from: the command line, a profile, or molq's own defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from molq.conditions import DEPENDENCY_CONDITIONS
from molq.config import MolqProfile
from molq.plain_values import is_class, to_plain

_TYPED = "the command line"
_OWN = "molq's default"


def origins(
    request: Mapping[str, Any], pairs: Sequence[str], profile: MolqProfile | None, cluster: str | None
) -> Iterator[tuple[str, str, str]]:
    """Yield (field, value, origin) for all that a submission asks for. The values of variables are not shown.

    Args:
        request: the arguments of ``Submitor.submit``.
        pairs: the backend's options as they were typed.
        profile: the profile that is in use, if any.
        cluster: the cluster's name as it was typed, if it was.
    """
    of_profile = f"profile {profile.name}" if profile is not None else ""
    if profile is not None:
        yield "scheduler", profile.scheduler, of_profile
        if cluster is None:
            yield "cluster_name", profile.cluster_name, of_profile
    if cluster is not None:
        yield "cluster_name", cluster, _TYPED
    for part in ("resources", "scheduling", "execution"):
        yield from _of_part(part, request[part], _below(part, request, profile), of_profile)
    for condition in DEPENDENCY_CONDITIONS:
        yield from ((condition, job_id, _TYPED) for job_id in request.get(condition, ()))
    if request["execution"].job_name is None and not (profile and _job_name(profile)):
        yield "execution.job_name", "made from the command", _OWN
    yield from _of_options(pairs, profile, of_profile)
    if request["retry"] is not None:
        yield from _of_policy("retry", request["retry"], profile.retry if profile is not None else None, of_profile)
    if profile is not None and profile.jobs_dir is not None:
        yield "jobs_dir", str(profile.jobs_dir), of_profile


def _below(part: str, request: Mapping[str, Any], profile: MolqProfile | None) -> Any:
    """Return what a profile gives of a part; not what it waits for, if the command line says that."""
    below = getattr(profile.defaults, part) if profile is not None else None
    is_typed = request["scheduling"].dependency or any(request.get(condition) for condition in DEPENDENCY_CONDITIONS)
    if part == "scheduling" and below is not None and is_typed:
        return attrs.evolve(below, dependency=None, dependencies=())
    return below


def _of_policy(path: str, policy: Any, below: Any, of_profile: str) -> Iterator[tuple[str, str, str]]:
    """Yield the fields of a policy: those of the profile's, and what the command line has laid over them."""
    for field in attrs.fields(type(policy)):
        value, usual = getattr(policy, field.name), _default_of(field)
        inherited = usual if below is None else getattr(below, field.name)
        if is_class(type(value)):
            yield from _of_policy(f"{path}.{field.name}", value, inherited, of_profile)
        elif value != inherited:
            yield f"{path}.{field.name}", _shown(value), _TYPED
        elif value != usual:
            yield f"{path}.{field.name}", _shown(value), of_profile


def _of_part(part: str, typed: Any, below: Any, of_profile: str) -> Iterator[tuple[str, str, str]]:
    given = dict(_set_fields(typed))
    inherited = dict(_set_fields(below)) if below is not None else {}
    for name in {**inherited, **given}:
        if name == "env":
            variables = dict.fromkeys(inherited.get(name, {}), of_profile)
            variables |= dict.fromkeys(given.get(name, {}), _TYPED)
            yield from ((f"{part}.env.{key}", "(not shown)", origin) for key, origin in variables.items())
        elif name in given:
            yield f"{part}.{name}", _shown(given[name]), _TYPED
        else:
            yield f"{part}.{name}", _shown(inherited[name]), of_profile


def _of_options(pairs: Sequence[str], profile: MolqProfile | None, of_profile: str) -> Iterator[tuple[str, str, str]]:
    typed = dict(pair.partition("=")[::2] for pair in pairs)
    if profile is not None and profile.scheduler_options is not None:
        for name, value in _set_fields(profile.scheduler_options):
            if name not in typed:
                yield f"option {name}", _shown(value), of_profile
    yield from ((f"option {name}", value, _TYPED) for name, value in typed.items())


def _job_name(profile: MolqProfile) -> str | None:
    return profile.defaults.execution.job_name if profile.defaults.execution is not None else None


def _set_fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields that are not at their defaults."""
    for field in attrs.fields(type(value)):
        if getattr(value, field.name) != _default_of(field):
            yield field.name, getattr(value, field.name)


def _default_of(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    return default.factory() if hasattr(default, "factory") else default


def _shown(value: Any) -> str:
    plain = to_plain(value)
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, list):
        return ", ".join(map(_shown, plain))
    if isinstance(plain, dict):
        return " ".join(f"{key}={_shown(part)}" for key, part in plain.items())
    return str(plain)
