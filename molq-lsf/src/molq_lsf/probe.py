"""Find out what molq doctor should tell of an LSF site."""

from __future__ import annotations

import os
import re
import shutil

from molq.backend import CommandReply, Commands, Finding, SchedulerError, words_of
from molq_lsf.dialects import dialect_in
from molq_lsf.history import Source, run_bhist
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.programs import could_not_ask

_PROBE_TIMEOUT = 30.0
_PROGRAMS = ("bsub", "bjobs", "bkill", "bhist", "bmod", "bqueues")
_UNIT = re.compile(r"^\s*LSF_UNIT_FOR_LIMITS\s*=\s*\"?([A-Za-z]+)", re.MULTILINE)
_UNITS = {"K": "KB", "M": "MB", "G": "GB", "T": "TB"}
_LONGEST_FILE = 4 * 1024 * 1024


def probe_site(options: LSFSchedulerOptions, commands: Commands) -> tuple[Finding, ...]:
    """Return what is found. A program that fails is a finding, and no error."""
    findings = [_program(name, options, commands) for name in _PROGRAMS]
    findings.append(_dialect(options, commands))
    daemon = _daemon(options, commands)
    findings.append(daemon)
    if not daemon.is_problem:
        findings.append(_history(options, commands))
    findings.append(_memory_unit(options, commands))
    return tuple(findings)


def _program(name: str, options: LSFSchedulerOptions, commands: Commands) -> Finding:
    program: str = getattr(options, f"{name}_path")
    path = shutil.which(program, path=commands.environment.get("PATH"))
    if path is None:
        return Finding(
            name=name,
            value=f"{program!r} not found",
            is_problem=True,
            meaning=f"load LSF's environment (profile.lsf) on this machine, or set {name}_path",
        )
    return Finding(name=name, value=path)


def _run(argv: list[str], commands: Commands) -> CommandReply | None:
    try:
        return commands.run(argv, timeout=_PROBE_TIMEOUT)
    except SchedulerError:
        return None


def _dialect(options: LSFSchedulerOptions, commands: Commands) -> Finding:
    reply = _run([options.bsub_path, "-V"], commands)
    version = "" if reply is None else (reply.stderr + reply.stdout).strip()
    found, shown = dialect_in(version), version.partition("\n")[0] or "no answer"
    if found is None and options.dialect == "auto":
        return Finding(
            name="dialect", value=shown, is_problem=True, meaning="set the option dialect to 'openlava' or 'spectrum'"
        )
    if found is not None and options.dialect not in ("auto", found):
        return Finding(
            name="dialect",
            value=f"{found} ({shown})",
            is_problem=True,
            meaning=f"the option dialect is {options.dialect!r}; options that {found} does not have are not safe there",
        )
    return Finding(name="dialect", value=f"{found or options.dialect} ({shown})")


def _daemon(options: LSFSchedulerOptions, commands: Commands) -> Finding:
    reply = _run([options.bqueues_path], commands)
    is_up = reply is not None and reply.stdout.startswith("QUEUE_NAME")
    if reply is not None and is_up:
        queues = [line.split()[0] for line in reply.stdout.splitlines()[1:] if line.strip()]
        said = f"answers; queues: {', '.join(queues)}"
        return Finding(name="batch daemon", value=f"{said} (after a wait)" if could_not_ask(reply) else said)
    return Finding(
        name="batch daemon",
        value="no answer" if reply is None else words_of(reply),
        is_problem=True,
        meaning="nothing can be submitted or asked until it answers; jobs keep the state they have",
    )


def _history(options: LSFSchedulerOptions, commands: Commands) -> Finding:
    source, text = run_bhist(["-w", "1"], options, commands, is_recent=True)
    if source is Source.ANSWERED:
        return Finding(name="history", value="answers")
    return Finding(
        name="history",
        value=text,
        is_problem=True,
        meaning="how a job ended that bjobs has forgotten, or ended without its script, stays open until bhist answers",
    )


def _memory_unit(options: LSFSchedulerOptions, commands: Commands) -> Finding:
    folder = commands.environment.get("LSF_ENVDIR", "/etc")
    try:
        with open(os.path.join(folder, "lsf.conf"), encoding="utf-8", errors="replace") as file:
            text = file.read(_LONGEST_FILE)
    except OSError:
        return Finding(
            name="memory unit",
            value=f"{options.memory_unit}, not checked",
            meaning=f"{folder}/lsf.conf can't be read; LSF_UNIT_FOR_LIMITS there is what memory_unit should be",
        )
    match = _UNIT.search(text)
    unit = "KB" if match is None else _UNITS.get(match[1][0].upper(), match[1])
    is_wrong = unit != options.memory_unit
    return Finding(
        name="memory unit",
        value=f"{unit} (LSF_UNIT_FOR_LIMITS)",
        is_problem=is_wrong,
        meaning=f"limits would be wrong: set memory_unit={unit}" if is_wrong else "",
    )
