"""What a user can set about a PBS cluster."""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs

from molq.backend import Duration, SchedulerOptions, as_tuple, check_one_of, check_program

Dialect = Literal["auto", "openpbs", "torque"]
ResourceStyle = Literal["auto", "select", "nodes"]
AccountFlag = Literal["account", "project"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
# These change what qsub prints, what it submits or how molq finds the job again.
_MOLQS_OWN = frozenset("CIJNSXtvz-")
_MOLQS_OWN_ATTRIBUTES = re.compile(r"(?:.*,)?\s*(?:block|depend|interactive)\b")


def _refuse(attribute: attrs.Attribute[Any], value: object, wanted: str) -> ValueError:
    return ValueError(f"PBSSchedulerOptions.{attribute.name} must be {wanted}, not {value!r}")


def _resource(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (isinstance(value, str) and _RESOURCE.fullmatch(value)):
        raise _refuse(attribute, value, "the name of a resource, such as 'ngpus', in letters, digits and '_'")


@attrs.frozen(kw_only=True)
class PBSSchedulerOptions(SchedulerOptions):
    """How to reach PBS, and in what its sites differ.

    Args:
        qsub_path: the program that submits; a name is looked up in PATH. Default ``"qsub"``.
        qstat_path: the program that lists jobs. Default ``"qstat"``.
        qdel_path: the program that cancels. Default ``"qdel"``.
        qselect_path: the program that finds jobs. Default ``"qselect"``.
        qalter_path: the program that changes jobs. Default ``"qalter"``.
        tracejob_path: the program that reads the server's logs, where they are on this machine. Default ``"tracejob"``.
        extra_qsub_flags: flags for every submission, each in one part: ``("-Wgroup_list=chem",)``. They win over what
            molq itself asks for.
        dialect: ``"openpbs"`` for OpenPBS and PBS Professional, ``"torque"`` for Torque. ``"auto"`` (the default)
            writes scripts for OpenPBS, and refuses to submit if qsub turns out to be Torque's.
        resource_style: how nodes are asked for: ``"select"`` (``select=2:ncpus=4``), ``"nodes"`` (``nodes=2:ppn=4``),
            or ``"auto"`` (the default), which is ``"nodes"`` on Torque and ``"select"`` elsewhere.
        account_flag: whether ``account`` is the job's ``"account"`` (``-A``, the default) or its ``"project"``
            (``-P``), by which many sites of PBS Professional charge.
        gpu_resource: the resource that counts the GPUs of a node. Default None: ``ngpus``, and ``gpus`` on Torque.
        gpu_type_resource: the resource of a node that names its kind of GPU, such as ``"gpu_model"``; None (the
            default) where a site has none, and ``gpu_type`` is refused. Torque asks for a node's property instead.
        command_timeout: how long to wait for a program that asks or cancels: PBS's own never give up. Default a minute.

    Raises:
        ValueError: a value is of the wrong kind, or a flag that molq needs for itself.
    """

    qsub_path: str = attrs.field(default="qsub", validator=check_program)
    qstat_path: str = attrs.field(default="qstat", validator=check_program)
    qdel_path: str = attrs.field(default="qdel", validator=check_program)
    qselect_path: str = attrs.field(default="qselect", validator=check_program)
    qalter_path: str = attrs.field(default="qalter", validator=check_program)
    tracejob_path: str = attrs.field(default="tracejob", validator=check_program)
    extra_qsub_flags: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    dialect: Dialect = attrs.field(default="auto", validator=check_one_of(Dialect))
    resource_style: ResourceStyle = attrs.field(default="auto", validator=check_one_of(ResourceStyle))
    account_flag: AccountFlag = attrs.field(default="account", validator=check_one_of(AccountFlag))
    gpu_resource: str | None = attrs.field(default=None, validator=_resource)
    gpu_type_resource: str | None = attrs.field(default=None, validator=_resource)
    command_timeout: Duration = attrs.field(default=Duration(60))

    @extra_qsub_flags.validator
    def _are_flags(self, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, tuple):
            raise _refuse(attribute, value, "a tuple of flags, such as ('-Wgroup_list=chem',)")
        for flag in value:
            if not isinstance(flag, str) or not re.match(r"-[^\s=]", flag) or _CONTROL.search(flag):
                raise _refuse(attribute, flag, "flags that each are one part, such as '-Wgroup_list=chem'")
            letter, rest = flag[1], flag[2:]
            if letter in _MOLQS_OWN or (letter == "W" and _MOLQS_OWN_ATTRIBUTES.match(rest)):
                raise ValueError(f"PBSSchedulerOptions.{attribute.name} has {flag!r}, which molq sets itself; drop it")

    @resource_style.validator
    def _fits_dialect(self, attribute: attrs.Attribute[Any], value: object) -> None:
        if value == "select" and self.dialect == "torque":
            raise ValueError(f"PBSSchedulerOptions.{attribute.name} 'select' is not known to Torque; use 'nodes'")

    @account_flag.validator
    def _has_projects(self, attribute: attrs.Attribute[Any], value: object) -> None:
        if value == "project" and self.dialect == "torque":
            raise ValueError(f"PBSSchedulerOptions.{attribute.name} 'project' is not known to Torque; use 'account'")

    @command_timeout.validator
    def _is_time(self, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, Duration) or value.seconds < 1:
            raise _refuse(attribute, value, "a Duration of at least a second")

    @property
    def is_torque(self) -> bool:
        """Whether scripts are written, and programs called, as Torque wants it."""
        return self.dialect == "torque"

    @property
    def asks_by_select(self) -> bool:
        """Whether nodes are asked for by ``select``."""
        return self.resource_style == "select" or (self.resource_style == "auto" and not self.is_torque)
