"""A scheduler in memory that is spoken to as real ones are: by programs that take arguments and print lines.

``msub`` takes a script whose head holds lines ``#MEM --OPTION=WORD``, ``mstat`` and ``macct`` print what the queue and
the accounts know of the ids on their input, ``mfind`` does so for tags, ``mdel`` ends jobs, and ``mmod`` changes what
a job waits for. Nothing happens to a job unless the test says so.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from typing import Literal

import attrs

from molq.backend import CommandNotStartedError, CommandReply
from molq.errors import CommandFailedError
from molq.testing.memory import MemoryOptions

OPTIONS = (
    "account", "array", "chdir", "cpus", "dependency", "error", "exclusive", "gpu-type", "gpus", "hold", "mail",
    "memory", "name", "nodes", "output", "priority", "qos", "queue", "reservation", "time",
)  # fmt: skip
ENDED = frozenset({"DONE", "ERROR", "TIMEOUT", "MEMORY", "NODE", "PREEMPTED", "KILLED"})


@attrs.define(kw_only=True)
class _Run:
    """A job's one run, or that of one element of an array."""

    word: str = "QUEUED"
    status: str = ""
    restarts: int = 0
    reason: str = ""
    has_started: bool = False


@attrs.define(kw_only=True)
class _Job:
    number: str
    tag: str
    options: dict[str, str]
    script: str
    environment: Mapping[str, str]
    runs: dict[str, _Run]
    is_in_queue: bool = True


class MemoryCluster:
    """The scheduler.

    Attributes:
        options: what a request to it carries.
        commands_run: the programs that were called so far, with their arguments.
    """

    patience = 0.0

    def __init__(self) -> None:
        self.options = MemoryOptions()
        self.commands_run: list[tuple[str, ...]] = []
        self._jobs: dict[str, _Job] = {}
        self._next_id = 101
        self._controller: Literal["up", "down", "hung", "removed"] = "up"
        self._accounting: Literal["on", "off", "down"] = "on"
        self._lag: str | None = None
        self._loses_reply = False
        self._denies_cancel = False
        self._garbage: CommandReply | None = None

    def call(self, argv: list[str], *, stdin: str = "", environment: Mapping[str, str] | None = None) -> CommandReply:
        """Call a program, as ``Commands.run`` and ``Commands.submit`` would."""
        if self._controller == "removed":
            raise CommandNotStartedError(f"{argv[0]} was not found", argv=tuple(argv))
        self.commands_run.append(tuple(argv))
        if self._controller == "hung":
            raise CommandFailedError(f"{argv[0]} did not answer within 60 s", argv=tuple(argv))
        if self._controller == "down":
            return _refusal(f"{argv[0]}: cannot reach the controller")
        if argv[0] in ("mstat", "macct") and self._garbage is not None:
            return self._garbage
        programs: dict[str, Callable[[], CommandReply]] = {
            "msub": lambda: self._msub(argv[1:], environment or {}),
            "mstat": lambda: self._mstat(stdin.split()),
            "macct": lambda: self._macct(stdin.split()),
            "mfind": lambda: self._mfind(stdin.split()),
            "mdel": lambda: self._mdel(argv[1:]),
            "mmod": lambda: self._mmod(*argv[1:]),
        }
        return programs[argv[0]]()

    def start(self, job_id: str) -> None:
        """Start a waiting job, or one element (``"101_2"``) or all elements of an array."""
        for run in self._runs(job_id):
            _begin(run)

    def finish(self, job_id: str, exit_code: int = 0) -> None:
        """Let a job end with an exit code."""
        self._end(job_id, "ERROR" if exit_code else "DONE", str(exit_code))

    def signal(self, job_id: str, number: int) -> None:
        """Let a job die of a signal."""
        self._end(job_id, "ERROR", f"0:{number}")

    def time_out(self, job_id: str) -> None:
        """End a job at its time limit."""
        self._end(job_id, "TIMEOUT", "0:0")

    def out_of_memory(self, job_id: str) -> None:
        """End a job that has used too much memory."""
        self._end(job_id, "MEMORY", "0:0")

    def node_fail(self, job_id: str) -> None:
        """End a job with its node."""
        self._end(job_id, "NODE", "0:0")

    def preempt(self, job_id: str) -> None:
        """End a job in favour of another one."""
        self._end(job_id, "PREEMPTED", "0:0")

    def cancel(self, job_id: str) -> None:
        """Let somebody else cancel a job."""
        self._end(job_id, "KILLED", "0:0")

    def requeue(self, job_id: str) -> None:
        """Put a job back into the queue."""
        for run in self._runs(job_id):
            run.word, run.status, run.reason, run.has_started = "QUEUED", "", "Requeued", False
            run.restarts += 1

    def set_state(self, job_id: str, state: str) -> None:
        """Show a state word, whatever it means."""
        for run in self._runs(job_id):
            run.word = state

    def hold(self, job_id: str) -> None:
        """Hold a waiting job."""
        for run in self._runs(job_id):
            run.reason = "Held"

    def forget(self, job_id: str) -> None:
        """Let the queue forget a job: only the accounts know it from now on."""
        self._jobs[job_id].is_in_queue = False

    def reuse_id(self, job_id: str) -> None:
        """Lose a job, and give its id to a stranger's that runs."""
        self._jobs[job_id] = _Job(
            number=job_id, tag="stranger", options={}, script="", environment={}, runs={"": _Run()}
        )
        self.start(job_id)

    def run(self, job_id: str) -> int:
        """Run a waiting job's script, and let the job end as it ends; return the exit code, negative for a signal."""
        job = self._jobs[job_id]
        (run,) = job.runs.values()
        if "hold" in job.options:
            raise AssertionError(f"job {job_id} is held by {job.options}")
        _begin(run)
        own = {"MEMORY_ID": job_id, **({"MEMORY_RESTARTS": str(run.restarts)} if run.restarts else {})}
        with (
            open(job.options.get("output", os.devnull), "wb") as out,
            open(job.options.get("error", os.devnull), "wb") as err,
        ):
            code = subprocess.run(
                ["/bin/sh", "-c", job.script],
                env={**job.environment, **own},
                cwd=job.options.get("chdir"),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                check=False,
            ).returncode
        if code < 0:
            self.signal(job_id, -code)
        else:
            self.finish(job_id, code)
        return code

    def go_down(self) -> None:
        """Let no program reach the controller."""
        self._controller = "down"

    def hang(self) -> None:
        """Let no program end in time."""
        self._controller = "hung"

    def remove(self) -> None:
        """Delete the programs."""
        self._controller = "removed"

    def come_back(self) -> None:
        """Let the controller answer again."""
        self._controller = "up"

    def accounting_down(self) -> None:
        """Let the accounts be unreachable."""
        self._accounting = "down"

    def accounting_off(self) -> None:
        """Be a site that keeps no accounts."""
        self._accounting = "off"

    def accounting_lag(self, knows: str) -> None:
        """Let the accounts know nothing of a job, or only a stub of it, or its state before the exit code."""
        self._lag = knows

    def accounting_on(self) -> None:
        """Let the accounts answer, and know all."""
        self._accounting, self._lag = "on", None

    def accept_but_hang(self) -> None:
        """Let the next submission be accepted, and its reply be lost."""
        self._loses_reply = True

    def deny_cancel(self) -> None:
        """Let cancels be refused."""
        self._denies_cancel = True

    def garble(self, text: str, *, exit_code: int = 0) -> None:
        """Let the programs that list jobs say this."""
        self._garbage = CommandReply(exit_code=exit_code, stdout=text, stderr="")

    def _msub(self, arguments: list[str], environment: Mapping[str, str]) -> CommandReply:
        tag, path = "", arguments[-1]
        for argument in arguments[:-1]:
            tag = argument.removeprefix("--tag=") if argument.startswith("--tag=") else tag
        with open(path) as file:
            script = file.read()
        try:
            options = _options(script)
        except ValueError as error:
            return _refusal(f"msub: refused: {error}")
        # Like those of real schedulers, it lets variables stand in for options.
        given = {name: environment[v] for name in OPTIONS if (v := f"MSUB_{name.upper()}") in environment}
        options = {**given, **options}
        if "no-such" in options.get("queue", ""):
            return _refusal(f"msub: refused: there is no queue {options['queue']}")
        number = str(self._next_id)
        self._next_id += 1
        indices = _indices(options["array"]) if "array" in options else [""]
        self._jobs[number] = _Job(
            number=number, tag=tag, options=options, script=script, environment=environment,
            runs={index: _Run(reason="Held" if "hold" in options else "") for index in indices},
        )  # fmt: skip
        if self._loses_reply:
            self._loses_reply = False
            return _refusal("msub: socket timed out")
        return _told(f"accepted {number}")

    def _mstat(self, numbers: list[str]) -> CommandReply:
        known = [self._jobs[number] for number in numbers if number in self._jobs]
        return _told(*(line for job in known if job.is_in_queue for line in self._lines(job)))

    def _macct(self, numbers: list[str]) -> CommandReply:
        if self._accounting != "on":
            return _refusal(f"macct: accounting is {self._accounting}")
        known = [self._jobs[number] for number in numbers if number in self._jobs and self._lag != "nothing"]
        lines = [line.split("|") for job in known for line in self._lines(job)]
        for fields in lines:
            if self._lag is not None:
                fields[3] = ""
            if self._lag == "stub":
                fields[2] = ""
        return _told(*("|".join(fields) for fields in lines))

    def _mfind(self, tags: list[str]) -> CommandReply:
        if self._accounting == "down":
            return _refusal("mfind: accounting is down")
        return _told(*(f"{job.tag}|{job.number}" for job in self._jobs.values() if job.tag in tags))

    def _mdel(self, numbers: list[str]) -> CommandReply:
        if self._denies_cancel:
            return _refusal("mdel: not permitted")
        for number in numbers:
            # As with real ones, ending what is over or unknown is no error.
            if number in self._jobs and any(run.word not in ENDED for run in self._runs(number)):
                self._end(number, "KILLED", "0:0")
        return _told()

    def _mmod(self, number: str, dependency: str) -> CommandReply:
        self._jobs[number].options["dependency"] = dependency.removeprefix("--dependency=")
        return _told()

    def _lines(self, job: _Job) -> list[str]:
        """Return ``ID|TAG|WORD|STATUS|RESTARTS|REASON`` for the job; elements that have not started share a line."""
        rest = [index for index, run in job.runs.items() if index and run.word == "QUEUED"]
        lines = []
        for index, run in job.runs.items():
            if index in rest[1:]:
                continue
            shown = f"[{','.join(rest)}]" if index in rest else index
            reason = run.reason or ("Dependency" if run.word == "QUEUED" and self._waits(job) else "")
            fields = (f"{job.number}_{shown}".rstrip("_"), job.tag, run.word, run.status, str(run.restarts), reason)
            lines.append("|".join(fields))
        return lines

    def _waits(self, job: _Job) -> bool:
        """Tell whether an upstream of the job is not yet, or never will be, as the job wants it."""
        return not all(self._is_met(*edge.split(":")) for edge in job.options.get("dependency", "").split(",") if edge)

    def _is_met(self, condition: str, number: str) -> bool:
        runs = self._runs(number)
        has_ended = all(run.word in ENDED for run in runs)
        has_succeeded = all(run.word == "DONE" for run in runs)
        return {
            "after_success": has_succeeded,
            "after_failure": has_ended and not has_succeeded,
            "after_started": all(run.has_started for run in runs),
            "after": has_ended,
        }[condition]

    def _runs(self, job_id: str) -> list[_Run]:
        number, _, index = job_id.partition("_")
        runs = self._jobs[number].runs
        return [runs[index]] if index else list(runs.values())

    def _end(self, job_id: str, word: str, status: str) -> None:
        for run in self._runs(job_id):
            _begin(run)
            run.word, run.status = word, status


def _begin(run: _Run) -> None:
    run.word, run.reason, run.has_started = "RUNNING", "", True


def _told(*lines: str) -> CommandReply:
    return CommandReply(exit_code=0, stdout="".join(f"{line}\n" for line in lines), stderr="")


def _refusal(words: str) -> CommandReply:
    return CommandReply(exit_code=1, stdout="", stderr=words + "\n")


def _indices(text: str) -> list[str]:
    bounds = [part.split("-") for part in re.split("[%:]", text)[0].split(",")]
    return [str(index) for bound in bounds for index in range(int(bound[0]), int(bound[-1]) + 1)]


def _options(script: str) -> dict[str, str]:
    """Return the options in a script's head, which ends at the first line that is no comment."""
    options = {}
    for line in script.splitlines():
        if not line.startswith("#"):
            break
        for word in shlex.split(line.removeprefix("#MEM ")) if line.startswith("#MEM ") else ():
            name, _, value = word.partition("=")
            if not name.startswith("--") or name[2:] not in OPTIONS:
                raise ValueError(f"unknown option {word!r}")
            options[name[2:]] = value
    return options
