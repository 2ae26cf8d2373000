"""Find out what molq doctor should tell of a PBS site."""

from __future__ import annotations

import re
import shutil

from molq.backend import CommandReply, Commands, Finding, SchedulerError, words_of
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.programs import ask
from molq_pbs.submit import is_torques

_PROGRAMS = ("qsub", "qstat", "qdel", "qselect", "qalter")
_SETTING = re.compile(r"^ {4}(\w+) = (.*)$", re.MULTILINE)
_QUEUE = re.compile(r"^Queue: (\S+)$", re.MULTILINE)
_SHORT_HISTORY = re.compile(r"00:\d{2}:\d{2}")


def probe_site(options: PBSSchedulerOptions, commands: Commands) -> tuple[Finding, ...]:
    """Return what is found. A program that fails is a finding, and no error."""
    findings = [_program(name, options, commands) for name in _PROGRAMS]
    findings += _tracejob(options, commands)
    findings.append(_dialect(options, commands))
    server, settings = _server(options, commands)
    findings.append(server)
    if server.is_problem:
        return tuple(findings)
    if not options.is_torque:
        findings += [_history(settings), _array_size(settings)]
    findings.append(_queues(options, commands, settings))
    return tuple(findings)


def _program(name: str, options: PBSSchedulerOptions, commands: Commands) -> Finding:
    program: str = getattr(options, f"{name}_path")
    path = shutil.which(program, path=commands.environment.get("PATH"))
    if path is None:
        return Finding(
            name=name,
            value=f"{program!r} not found",
            is_problem=True,
            meaning=f"install PBS's programs on this machine, or set {name}_path",
        )
    return Finding(name=name, value=f"{path} ({_version(program, options, commands) or 'its version is not known'})")


def _version(program: str, options: PBSSchedulerOptions, commands: Commands) -> str:
    reply = _run([program, "--version"], options, commands)
    return "" if reply is None else " ".join(f"{reply.stdout} {reply.stderr}".split())[:80]


def _run(argv: list[str], options: PBSSchedulerOptions, commands: Commands) -> CommandReply | None:
    try:
        return ask(argv, options, commands)
    except SchedulerError:
        return None


def _tracejob(options: PBSSchedulerOptions, commands: Commands) -> list[Finding]:
    path = shutil.which(options.tracejob_path, path=commands.environment.get("PATH"))
    if path is None:
        return []
    meaning = "asked about jobs that the server has forgotten; it knows them only on the server's own machine"
    return [Finding(name="tracejob", value=path, meaning=meaning)]


def _dialect(options: PBSSchedulerOptions, commands: Commands) -> Finding:
    version = _version(options.qsub_path, options, commands)
    is_other = bool(version) and is_torques(version) != options.is_torque
    found = "Torque" if is_torques(version) else "OpenPBS or PBS Professional"
    needed = "torque" if is_torques(version) else "openpbs"
    return Finding(
        name="dialect",
        value=f"{options.dialect} ({found if version else 'qsub does not tell'})",
        is_problem=is_other,
        meaning=f"set dialect='{needed}', or nothing can be submitted" if is_other else "",
    )


def _server(options: PBSSchedulerOptions, commands: Commands) -> tuple[Finding, dict[str, str]]:
    reply = _run([options.qstat_path, "-B", "-f"], options, commands)
    settings = dict(_SETTING.findall(reply.stdout)) if reply is not None else {}
    if reply is None or reply.exit_code != 0 or not settings:
        said = f"no answer within {options.command_timeout.seconds} s" if reply is None else words_of(reply)
        meaning = "nothing can be submitted or asked until it answers; jobs keep the state they have"
        return Finding(name="server", value=said, is_problem=True, meaning=meaning), {}
    host, state = settings.get("server_host", "its host is not told"), settings.get("server_state", "unknown")
    return Finding(name="server", value=f"{host}: {state}, {settings.get('pbs_version', 'unknown version')}"), settings


def _history(settings: dict[str, str]) -> Finding:
    if settings.get("job_history_enable") != "True":
        return Finding(
            name="job history",
            value="off",
            is_problem=True,
            meaning="the server forgets a job the moment it ends; how it ended is known from its own exit file only, "
            "and a job that could not write one is lost",
        )
    duration = settings.get("job_history_duration", "336:00:00 (the default)")
    is_short = _SHORT_HISTORY.fullmatch(duration) is not None
    meaning = "how long the server remembers a job that is over"
    return Finding(
        name="job history",
        value=duration,
        is_problem=is_short,
        meaning=meaning + ("; too short for a molq that does not run all the time" if is_short else ""),
    )


def _array_size(settings: dict[str, str]) -> Finding:
    value = settings.get("max_array_size", "10000 (the default)")
    return Finding(
        name="max_array_size",
        value=value,
        meaning="the most elements of an array; a list of indices counts as the range that covers it",
    )


def _queues(options: PBSSchedulerOptions, commands: Commands, settings: dict[str, str]) -> Finding:
    reply = _run([options.qstat_path, "-Q", "-f"], options, commands)
    names = ", ".join(_QUEUE.findall(reply.stdout)) if reply is not None and reply.exit_code == 0 else "unknown"
    default = settings.get("default_queue")
    return Finding(
        name="default queue",
        value=f"{default or 'none'} (queues: {names})",
        is_problem=default is None,
        meaning="where jobs without a queue go" if default else "every job must name its queue",
    )
