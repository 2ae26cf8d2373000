"""Tell where each value of a request comes from: the command line, a profile, or molq's own defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from molq.config import MolqProfile
from molq.plain_values import to_plain

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
        typed = request[part]
        below = getattr(profile.defaults, part) if profile is not None else None
        yield from _of_part(part, typed, below, of_profile)
    if request["execution"].job_name is None and not (profile and _job_name(profile)):
        yield "execution.job_name", "made from the command", _OWN
    yield from _of_options(pairs, profile, of_profile)
    retry = request["retry"]
    if retry is not None:
        is_profiles = profile is not None and retry == profile.retry
        for name, value in _set_fields(retry):
            yield f"retry.{name}", _shown(value), of_profile if is_profiles else _TYPED
    if profile is not None and profile.jobs_dir is not None:
        yield "jobs_dir", str(profile.jobs_dir), of_profile


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
        default: Any = field.default
        usual = default.factory() if hasattr(default, "factory") else default
        if getattr(value, field.name) != usual:
            yield field.name, getattr(value, field.name)


def _shown(value: Any) -> str:
    return str(to_plain(value))
