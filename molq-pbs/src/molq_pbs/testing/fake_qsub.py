"""Answer as qsub of OpenPBS 23.06.06 does."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time

from molq.testing.fake_programs import Record
from molq_pbs.testing.cluster_file import ClusterFile
from molq_pbs.testing.fake_errors import refused, say
from molq_pbs.testing.job_life import accept
from molq_pbs.testing.qsub_options import (
    Options,
    Refusal,
    array_of,
    attributes_of,
    check,
    parse,
    parse_dependencies,
    resources_of,
)

_LONGEST_LINE = 4095
_OWN_VARIABLES = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL")
_PATIENCE = 30.0


def qsub(argv: list[str], file: ClusterFile) -> int:
    """Submit a job to the fake cluster; print its id."""
    options: Options = {}
    with file.opened() as cluster:
        try:
            job = _read(argv, options, cluster)
        except Refusal as refusal:
            return say(refusal.words, refusal.code)
        if cluster["server"] == "down":
            return refused("qsub", cluster["host"])
        if cluster["server"] != "hung":
            return _answer(cluster, accept(cluster, job), options)
        token = f"{os.getpid()}-{time.monotonic_ns()}"
        cluster["unheard"].append([token, job])
    # The server hears it once it goes on, whether this program still waits or not.
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and os.path.exists(file.path):
        time.sleep(0.02)
        with file.opened() as cluster:
            if token in cluster["heard"]:
                return _answer(cluster, cluster["heard"][token], options)
    return 1


def _read(argv: list[str], options: Options, cluster: Record) -> Record:
    operands = parse(argv, options)
    script = _script(operands)
    # What opens the file a second time is the real one's copy of the script, of which no more is read here.
    prefix = options.get("C", os.environ.get("PBS_DPREFIX", "#PBS"))
    directives: Options = {}
    for line in script.split("\n"):
        if line.startswith(prefix):
            parse(_words(line[len(prefix) :]), directives, is_directive=True)
        elif line.strip() and not line.startswith(("#", ":")):
            break
    if "-" not in operands and operands and "N" not in options and "N" not in directives:
        directives["N"] = os.path.basename(operands[0])
    options_on_line = set(options)
    for letter, value in directives.items():
        if letter in "lW":
            # What is set last wins, and each resource and attribute is set for itself.
            options[letter] = [*value, *options.get(letter, [])]
        elif letter not in options_on_line:
            options[letter] = value
    check(cluster, options)
    return _record(argv, options, cluster, script)


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text[:_LONGEST_LINE], posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    return list(lexer)


def _script(operands: list[str]) -> str:
    if not operands or operands[0] == "-":
        return sys.stdin.read()
    if operands[0] == "--":
        return f"#!/bin/sh\nexec {shlex.join(operands[1:])}\n"
    path = operands[0]
    if not os.path.exists(path):
        raise Refusal("qsub: script file:: No such file or directory", 1)
    if not os.path.isfile(path):
        raise Refusal("qsub: script not a file", 1)
    with open(path, "rb") as file:
        script = os.fsdecode(file.read())
    if "\r\n" in script:
        raise Refusal("qsub: script contains cr, lf", 1)
    return script


def _record(argv: list[str], options: Options, cluster: Record, script: str) -> Record:
    attributes = attributes_of(options)
    depend = parse_dependencies(attributes["depend"]) if "depend" in attributes else []
    own = [f"PBS_O_{name}={os.environ[name]}" for name in _OWN_VARIABLES if name in os.environ]
    queue = options.get("q", cluster["queues"][0]).partition("@")[0]
    given = [word for word in options.get("v", "").split(",") if word]
    if "V" in options:
        given += [f"{name}={value}" for name, value in os.environ.items() if not name.startswith("PBS_O_")]
    variables = [*own, f"PBS_O_WORKDIR={os.getcwd()}", "PBS_O_SYSTEM=Linux", *given]
    return {
        "name": options.get("N", "STDIN"),
        "queue": queue,
        "account": options.get("A"),
        "array": array_of(cluster, options),
        "array_spec": options.get("J", options.get("t")),
        "options": {letter: options[letter] for letter in "oejkmMprPS" if letter in options},
        "resources": resources_of(cluster, options),
        "depend": depend,
        "asked_depend": depend,
        "is_registered": False,
        "holds": "u" if "h" in options else "",
        "variables": [*variables, f"PBS_O_QUEUE={queue}", "PBS_O_HOST=localhost"],
        "submit_arguments": " ".join(argv),
        "cwd": os.getcwd(),
        "script": script,
        "is_strangers": False,
    }


def _answer(cluster: Record, new_id: str, options: Options) -> int:
    if cluster["lose_reply"]:
        cluster["lose_reply"] = False
        return -signal.SIGKILL
    if "z" not in options:
        sys.stdout.write(f"{cluster['banner']}{new_id}\n")
    return 0
