"""What a user can set about a Slurm cluster."""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs

from molq.backend import SchedulerOptions, as_tuple, check_one_of, check_program

MemoryFlag = Literal["mem", "mem-per-cpu", "none"]
GpuFlag = Literal["gres", "gpus", "gpus-per-node"]

_CLUSTER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# These change what sbatch prints, what it submits or how molq finds the job again.
_MOLQS_OWN = frozenset(
    {
        *("--array", "-a", "--clusters", "-M", "--comment", "--dependency", "-d", "--job-name", "-J", "--wait", "-W"),
        *("--wrap", "--test-only", "--parsable", "--quiet", "-Q", "--help", "-h", "--usage", "--version", "-V"),
    }
)


def _refuse(attribute: attrs.Attribute[Any], value: object, wanted: str) -> ValueError:
    return ValueError(f"SlurmSchedulerOptions.{attribute.name} must be {wanted}, not {value!r}")


def _program(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_program(instance, attribute, value)
    # Some programs are run through env(1), which takes a word with "=" for a variable.
    if "=" in str(value):
        raise _refuse(attribute, value, "the name or path of a program, without '='")


def _cluster(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (isinstance(value, str) and _CLUSTER.fullmatch(value)):
        raise _refuse(attribute, value, "the name of one cluster, as 'sacctmgr list clusters' prints it")


@attrs.frozen(kw_only=True)
class SlurmSchedulerOptions(SchedulerOptions):
    """How to reach Slurm, and in what its sites differ.

    Args:
        sbatch_path: the program that submits; a name is looked up in PATH. Default ``"sbatch"``.
        squeue_path: the program that lists the queue. Default ``"squeue"``.
        scancel_path: the program that cancels. Default ``"scancel"``.
        sacct_path: the program that asks accounting. Default ``"sacct"``.
        scontrol_path: the program that changes jobs and shows the configuration. Default ``"scontrol"``.
        extra_sbatch_flags: flags for every submission, each in one part: ``("--constraint=icelake",)``. They win
            over what molq itself asks for.
        memory_flag: how memory is asked for: ``"mem"`` (per node, the default), ``"mem-per-cpu"`` (the memory of a
            node divided by its CPUs, rounded up), or ``"none"`` where the site refuses such requests.
        gpu_flag: how GPUs are asked for: ``"gres"`` (the default), ``"gpus"`` (in total) or ``"gpus-per-node"``.
        cluster: the cluster to talk to, where one login node serves several (Slurm's ``--clusters``).

    Raises:
        ValueError: a value is of the wrong kind, or a flag that molq needs for itself.
    """

    sbatch_path: str = attrs.field(default="sbatch", validator=_program)
    squeue_path: str = attrs.field(default="squeue", validator=_program)
    scancel_path: str = attrs.field(default="scancel", validator=_program)
    sacct_path: str = attrs.field(default="sacct", validator=_program)
    scontrol_path: str = attrs.field(default="scontrol", validator=_program)
    extra_sbatch_flags: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    memory_flag: MemoryFlag = attrs.field(default="mem", validator=check_one_of(MemoryFlag))
    gpu_flag: GpuFlag = attrs.field(default="gres", validator=check_one_of(GpuFlag))
    cluster: str | None = attrs.field(default=None, validator=_cluster)

    @extra_sbatch_flags.validator
    def _are_flags(self, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, tuple):
            raise _refuse(attribute, value, "a tuple of flags, such as ('--constraint=icelake',)")
        for flag in value:
            is_flag = isinstance(flag, str) and flag.startswith("-") and flag.strip("-") and not _CONTROL.search(flag)
            if not is_flag:
                raise _refuse(attribute, flag, "flags that each are one part, such as '--constraint=icelake'")
            if flag.partition("=")[0] in _MOLQS_OWN:
                raise ValueError(
                    f"SlurmSchedulerOptions.{attribute.name} has {flag!r}, which molq sets itself; drop it"
                )
