"""What a user can set about an LSF cluster."""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs

from molq.backend import Duration, SchedulerOptions, as_tuple, check_one_of, check_program

DialectChoice = Literal["auto", "spectrum", "openlava"]
MemoryUnit = Literal["KB", "MB", "GB", "TB"]
MemoryPer = Literal["host", "core", "job"]
MemoryFlag = Literal["both", "limit", "reservation", "none"]
GpuSyntax = Literal["gpu", "rusage"]

_RESOURCE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# These change what bsub prints, what it submits or how molq finds the job again. -i is the script's place, and what
# begins with -I, -K or -pack makes bsub something else than the submission of one batch job.
_MOLQS_OWN = frozenset(
    {
        *("-J", "-Jd", "-w", "-o", "-oo", "-e", "-eo", "-i", "-is", "-I", "-Ip", "-Is", "-IS", "-ISp", "-ISs", "-IX"),
        *("-K", "-h", "-help", "-V", "-Zs", "-pack", "-json", "-yaml", "-jsdl", "-ul"),
    }
)


def _refuse(attribute: attrs.Attribute[Any], value: object, wanted: str) -> ValueError:
    return ValueError(f"LSFSchedulerOptions.{attribute.name} must be {wanted}, not {value!r}")


@attrs.frozen(kw_only=True)
class LSFSchedulerOptions(SchedulerOptions):
    """How to reach LSF, and in what its sites differ.

    Args:
        bsub_path: the program that submits; a name is looked up in PATH. Default ``"bsub"``.
        bjobs_path: the program that lists jobs. Default ``"bjobs"``.
        bkill_path: the program that cancels. Default ``"bkill"``.
        bhist_path: the program that reads the history. Default ``"bhist"``.
        bmod_path: the program that changes waiting jobs. Default ``"bmod"``.
        bqueues_path: the program that shows queues and their limits. Default ``"bqueues"``.
        extra_bsub_flags: arguments for every submission, each word on its own: ``("-app", "fluent")``. They win over
            what molq itself asks for. Those that OpenLava would take for something else are refused there.
        dialect: ``"spectrum"`` (IBM Spectrum LSF, Platform LSF), ``"openlava"``, or ``"auto"`` (the default), which
            asks the programs for their version.
        memory_unit: the unit of limits at the site, its ``LSF_UNIT_FOR_LIMITS``. Default ``"KB"``, as LSF's.
        memory_per: what the site reserves memory by (``rusage[mem=]``): each ``"host"`` (the default), each ``"core"``
            (as with ``RESOURCE_RESERVE_PER_TASK=Y``), or the whole ``"job"``.
        memory_limit_per: what its limit of memory (``-M``) is for: the whole ``"job"`` (the default, as with
            ``LSB_JOB_MEMLIMIT=Y``; also where it is each process's, which then never ends a job that keeps to what it
            asked for), each ``"host"`` (as with ``LSB_RESOURCE_ENFORCE``), or each ``"core"``.
        memory_flag: how memory is asked for: as a ``"limit"`` (``-M``), as a ``"reservation"`` (``rusage[mem=]``),
            as ``"both"`` (the default), or ``"none"`` where the site refuses such requests.
        gpu_syntax: how GPUs are asked for: by ``"gpu"`` (the option ``-gpu``, the default) or by ``"rusage"`` of
            ``gpu_resource``, as on OpenLava and on LSF without ``LSB_GPU_NEW_SYNTAX``.
        gpu_resource: the site's name for that resource. Default ``"ngpus_excl_p"``.
        command_timeout: how long a program may take to answer. LSF's programs wait for ever for a daemon that is
            away. Default one minute; a look into the history may take five times as long.

    Raises:
        ValueError: a value is of the wrong kind, or a flag that molq needs for itself.
    """

    bsub_path: str = attrs.field(default="bsub", validator=check_program)
    bjobs_path: str = attrs.field(default="bjobs", validator=check_program)
    bkill_path: str = attrs.field(default="bkill", validator=check_program)
    bhist_path: str = attrs.field(default="bhist", validator=check_program)
    bmod_path: str = attrs.field(default="bmod", validator=check_program)
    bqueues_path: str = attrs.field(default="bqueues", validator=check_program)
    extra_bsub_flags: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    dialect: DialectChoice = attrs.field(default="auto", validator=check_one_of(DialectChoice))
    memory_unit: MemoryUnit = attrs.field(default="KB", validator=check_one_of(MemoryUnit))
    memory_per: MemoryPer = attrs.field(default="host", validator=check_one_of(MemoryPer))
    memory_limit_per: MemoryPer = attrs.field(default="job", validator=check_one_of(MemoryPer))
    memory_flag: MemoryFlag = attrs.field(default="both", validator=check_one_of(MemoryFlag))
    gpu_syntax: GpuSyntax = attrs.field(default="gpu", validator=check_one_of(GpuSyntax))
    gpu_resource: str = attrs.field(default="ngpus_excl_p")
    command_timeout: Duration = attrs.field(default=Duration(60))

    @extra_bsub_flags.validator
    def _are_flags(self, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, tuple):
            raise _refuse(attribute, value, "a tuple of words, such as ('-app', 'fluent')")
        for word in value:
            if not isinstance(word, str) or not word or _CONTROL.search(word):
                raise _refuse(attribute, word, "words that are not empty and have no control characters")
            if word in _MOLQS_OWN or word.startswith(("-J", "-I", "-K")):
                raise ValueError(f"LSFSchedulerOptions.{attribute.name} has {word!r}, which molq sets itself; drop it")
        # bsub takes the first word that belongs to no option for the command, and then reads no script.
        if value and not value[0].startswith("-"):
            raise _refuse(attribute, value[0], "words of which the first is an option, such as '-app'")

    @gpu_resource.validator
    def _is_resource(self, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, str) or not _RESOURCE.fullmatch(value):
            raise _refuse(attribute, value, "the name of a resource, as 'lsinfo' prints it")

    @command_timeout.validator
    def _is_time(self, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, Duration) or value.seconds < 1:
            raise _refuse(attribute, value, "a Duration of at least a second")
