"""Profiles: settings of a ``Submitor`` that go together, under a name, as ``config.toml`` has them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from molq.backend import SchedulerOptions
from molq.discovery import load_backend
from molq.errors import BackendError, ConfigError
from molq.field_rules import check_line, check_optional
from molq.job_spec import SubmitorDefaults
from molq.plain_problems import PlainValueError, Problem
from molq.plain_values import field_kinds, read_class
from molq.policies import RetentionPolicy, RetryPolicy
from molq.profile_file import ProfileFile
from molq.requests import build_spec, check_supported


def _check_path(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_line(instance, attribute, os.fspath(value) if isinstance(value, os.PathLike) else value)  # type: ignore[arg-type]  # check_line says so


def _named(instance: MolqProfile) -> str:
    return instance.name


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _check_name(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not _is_name(value):
        raise ValueError(
            f"{type(instance).__name__}.{attribute.name} must be a printable name that is not empty, not {value!r}"
        )


@attrs.frozen(kw_only=True)
class MolqProfile:
    """Settings of a ``Submitor``, under a name.

    Attributes:
        name: the profile's name.
        scheduler: the scheduler's name, such as ``"slurm"``.
        cluster_name: the cluster that jobs are listed under; by default the profile's name.
        defaults: what every submission starts from.
        scheduler_options: options of the scheduler's own class; None for its defaults.
        retry: when jobs are tried again; None for never.
        retention: how long finished jobs leave traces; None for molq's own default.
        jobs_dir: where the jobs' own folders are made; None for ``.molq/jobs`` in each job's working directory.

    Raises:
        ValueError: a value is of the wrong kind.
    """

    name: str = attrs.field(validator=_check_name)
    scheduler: str = attrs.field(validator=_check_name)
    cluster_name: str = attrs.field(default=attrs.Factory(_named, takes_self=True), validator=_check_name)
    defaults: SubmitorDefaults = attrs.field(
        factory=SubmitorDefaults, validator=attrs.validators.instance_of(SubmitorDefaults)
    )
    scheduler_options: SchedulerOptions | None = attrs.field(default=None, validator=check_optional(SchedulerOptions))
    retry: RetryPolicy | None = attrs.field(default=None, validator=check_optional(RetryPolicy))
    retention: RetentionPolicy | None = attrs.field(default=None, validator=check_optional(RetentionPolicy))
    jobs_dir: str | Path | None = attrs.field(default=None, validator=_check_path)


@attrs.frozen
class MolqConfig:
    """All profiles of a file.

    Attributes:
        profiles: the profiles by name, in the order of the file.
    """

    profiles: dict[str, MolqProfile] = attrs.field(factory=dict, hash=False)


def load_config(path: str | os.PathLike[str] | None = None) -> MolqConfig:
    """Return every profile of a file.

    Args:
        path: the file; by default ``config.toml`` in ``MOLQ_HOME`` (``~/.molq``), which need not be there.

    Raises:
        ConfigError: the file cannot be used, or something in it is wrong; everything that is wrong is told at once.
    """
    file = ProfileFile.read(path)
    profiles, problems = {}, [*file.strangers]
    for name, table in file.tables.items():
        try:
            profiles[name] = read_profile(name, table)
        except PlainValueError as error:
            problems += error.problems
    if problems:
        raise file.error(problems)
    return MolqConfig(profiles)


def load_profile(name: str, path: str | os.PathLike[str] | None = None) -> MolqProfile:
    """Return one profile. What is wrong with others in the file does not matter, but what is no profile there does.

    Args:
        name: the profile's name.
        path: the file; by default ``config.toml`` in ``MOLQ_HOME`` (``~/.molq``).

    Raises:
        ConfigError: there is no such profile, or something in it is wrong; everything that is wrong is told at once.
    """
    file = ProfileFile.read(path)
    table = file.table(name)
    if problems := (*file.strangers, *profile_problems(name, table)):
        raise file.error(problems)
    return read_profile(name, table)


def read_profile(name: str, table: object) -> MolqProfile:
    """Return the profile that a table amounts to.

    Raises:
        PlainValueError: something in it is wrong.
    """
    if not _is_name(name):
        raise PlainValueError([Problem(("profiles", name), "the name of a profile must be printable and not empty")])
    kinds, problems = profile_kinds(table)
    if kinds["scheduler_options"] is Any and isinstance(table, Mapping):
        table = {key: value for key, value in table.items() if key != "scheduler_options"}
    try:
        profile = read_class(table, MolqProfile, kinds=kinds, given={"name": name})
    except PlainValueError as error:
        problems = [*problems, *error.problems]
    if problems:
        raise PlainValueError(problem.under(name).under("profiles") for problem in problems)
    return profile


def profile_problems(name: str, table: object) -> tuple[Problem, ...]:
    """Return what is wrong with a profile's table."""
    try:
        read_profile(name, table)
    except PlainValueError as error:
        return error.problems
    return ()


def why_refused(profile: MolqProfile) -> str | None:
    """Return why a submission that gives nothing beside the profile is refused; None if it is not."""
    spec = build_spec(profile.defaults, argv=["true"], upstreams={})
    try:
        check_supported(load_backend(profile.scheduler), spec)
    except ConfigError as error:
        return str(error)
    return None


def profile_kinds(table: object) -> tuple[dict[str, Any], list[Problem]]:
    """Return the types of the keys that a profile's table may have, and what is wrong with its scheduler.

    Only the backend knows the type of ``scheduler_options``; without it they are not looked at.
    """
    kinds = {name: kind for name, kind in field_kinds(MolqProfile).items() if name != "name"}
    kinds["scheduler_options"] = Any
    scheduler = table.get("scheduler") if isinstance(table, Mapping) else None
    if not isinstance(scheduler, str):
        return kinds, []
    try:
        kinds["scheduler_options"] = load_backend(scheduler).description.options_class
    except BackendError as error:
        return kinds, [Problem(("scheduler",), str(error))]
    return kinds, []
