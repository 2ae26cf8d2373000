"""Find out what molq doctor should tell of a Slurm site."""

from __future__ import annotations

import re
import shutil

from molq.backend import CommandReply, Commands, Finding, SchedulerError, words_of
from molq_slurm.accounting import Source, run_sacct
from molq_slurm.options import SlurmSchedulerOptions
from molq_slurm.programs import TIMEOUT, cluster_flags

_PING_TIMEOUT = 30.0
_SHORT_MIN_JOB_AGE = 60
_SETTING = re.compile(r"^(\w+)\s+= (.*)$", re.MULTILINE)
_PAIR = re.compile(r"(\w+)=(\S*)")


def probe_site(options: SlurmSchedulerOptions, commands: Commands) -> tuple[Finding, ...]:
    """Return what is found. A program that fails is a finding, and no error."""
    findings = [_program(name, options, commands) for name in ("sbatch", "squeue", "scancel", "sacct", "scontrol")]
    controller = _controller(options, commands)
    findings.append(controller)
    if controller.is_problem:
        return tuple(findings)
    settings = _settings(options, commands)
    accounting = _accounting(options, commands, settings)
    findings += [accounting, _min_job_age(settings, has_accounting=not accounting.is_problem), _array_size(settings)]
    findings.append(_default_partition(options, commands))
    return tuple(findings)


def _program(name: str, options: SlurmSchedulerOptions, commands: Commands) -> Finding:
    program: str = getattr(options, f"{name}_path")
    path = shutil.which(program, path=commands.environment.get("PATH"))
    if path is None:
        return Finding(
            name=name,
            value=f"{program!r} not found",
            is_problem=True,
            meaning=f"install Slurm's programs on this machine, or set {name}_path",
        )
    reply = _run([program, "--version"], commands)
    version = reply.stdout.strip() if reply is not None and reply.exit_code == 0 else "its version is not known"
    return Finding(name=name, value=f"{path} ({version})")


def _run(argv: list[str], commands: Commands, timeout: float = TIMEOUT) -> CommandReply | None:
    try:
        return commands.run(argv, timeout=timeout)
    except SchedulerError:
        return None


def _controller(options: SlurmSchedulerOptions, commands: Commands) -> Finding:
    # `scontrol ping` only tells whether a connection is taken; a controller that hangs does not show there.
    argv = [options.scontrol_path, *cluster_flags(options), "ping"]
    reply = _run(argv, commands, _PING_TIMEOUT)
    said = "no answer" if reply is None else " ".join(reply.stdout.replace("*", " ").split()) or words_of(reply)
    is_up = reply is not None and reply.exit_code == 0 and " is UP" in reply.stdout
    meaning = "" if is_up else "nothing can be submitted or asked until it answers; jobs keep the state they have"
    return Finding(name="controller", value=said, is_problem=not is_up, meaning=meaning)


def _settings(options: SlurmSchedulerOptions, commands: Commands) -> dict[str, str]:
    reply = _run([options.scontrol_path, *cluster_flags(options), "show", "config"], commands)
    return dict(_SETTING.findall(reply.stdout)) if reply is not None and reply.exit_code == 0 else {}


def _accounting(options: SlurmSchedulerOptions, commands: Commands, settings: dict[str, str]) -> Finding:
    source, text = run_sacct(["--jobs=1"], options, commands)
    kind = settings.get("AccountingStorageType", "accounting")
    if source is Source.ANSWERED:
        return Finding(name="accounting", value=f"{kind}: answers")
    if source is Source.DISABLED:
        return Finding(
            name="accounting",
            value="disabled",
            is_problem=True,
            meaning="how a job ended is known from its own exit file, and from Slurm only for MinJobAge after the end",
        )
    return Finding(
        name="accounting",
        value=f"{kind}: {text}",
        is_problem=True,
        meaning="jobs that have left the queue keep their state until accounting answers or their exit file tells",
    )


def _min_job_age(settings: dict[str, str], *, has_accounting: bool) -> Finding:
    value = settings.get("MinJobAge", "unknown")
    seconds = re.match(r"\d+", value)
    is_short = seconds is not None and int(seconds[0]) < _SHORT_MIN_JOB_AGE and not has_accounting
    return Finding(
        name="MinJobAge",
        value=value,
        is_problem=is_short,
        meaning="how long the controller remembers a job that is over"
        + ("; too short without accounting to learn of time limits, memory and failed nodes" if is_short else ""),
    )


def _array_size(settings: dict[str, str]) -> Finding:
    value = settings.get("MaxArraySize", "unknown")
    largest = f"; the highest index of an array is {int(value) - 1}" if value.isdecimal() else ""
    return Finding(name="MaxArraySize", value=value, meaning=f"the site's limit for arrays{largest}")


def _default_partition(options: SlurmSchedulerOptions, commands: Commands) -> Finding:
    argv = [options.scontrol_path, *cluster_flags(options), "--oneliner", "show", "partitions"]
    reply = _run(argv, commands)
    lines = reply.stdout.splitlines() if reply is not None and reply.exit_code == 0 else []
    partitions = [dict(_PAIR.findall(line)) for line in lines if line.startswith("PartitionName=")]
    default = next((one for one in partitions if one.get("Default") == "YES"), None)
    names = ", ".join(one["PartitionName"] for one in partitions) or "none"
    if default is None:
        return Finding(
            name="default partition",
            value=f"none (partitions: {names})",
            is_problem=True,
            meaning="every job must name its queue",
        )
    limits = ", ".join(f"{key} {default[key]}" for key in ("DefaultTime", "MaxTime", "MaxNodes") if key in default)
    return Finding(
        name="default partition",
        value=f"{default['PartitionName']} ({limits}; partitions: {names})",
        meaning="where jobs without a queue go, and for how long without a time limit",
    )
