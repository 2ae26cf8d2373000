"""Ask bhist, which alone knows how jobs ended that bjobs has forgotten, or lists without an exit code."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs

from molq.backend import Commands, SchedulerError, SubmittedJob, words_of
from molq_lsf.dialects import Dialect
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.programs import chunks
from molq_lsf.tags import tag_in_history
from molq_lsf.times import read_time

_FOLD = re.compile(r"\n {21}")  # lines are folded after 80 characters, within words
_HEAD = re.compile(r"^Job <([1-9]\d{0,9})(?:\[(\d{1,9})\])?>(?:, Job Name <(.*?)>)?, ", re.MULTILINE | re.ASCII)
_EVENT = re.compile(r"^(\w{3} \w{3} {1,2}\d{1,2} \d{2}:\d{2}:\d{2}(?: \d{4})?): (.*)$", re.MULTILINE | re.ASCII)
_NOTHING = "No matching job found"
_EXITED = re.compile(r"Exited(?: with exit code (\d{1,10})| by signal (\d{1,3}))?", re.ASCII)
_KILLED = re.compile(r"Signal <(?:KILL|TERM|INT)> requested by user or administrator <([^>]*)>")
_TERM = re.compile(r"\bTERM_[A-Z_]+", re.ASCII)
_QUEUE = re.compile(r"\bto Queue <([^>]*)>|, Queue <([^>]*)>")
_RUN_LIMITS = re.compile(r"(\d+(?:\.\d+)?) min of \S+", re.ASCII)


class Source(enum.Enum):
    """How it stands with the history."""

    ANSWERED = "answered"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class JobHistory:
    """What happened to a job, or to one element of an array, in its latest run.

    Attributes:
        job_id: the id by which jobs are asked for; that of the array for its elements.
        index: the element; None if this is no array.
        dialect: whose LSF it is.
        head: the first line, which has the name and the command.
        name: the job's name.
        queue: its queue.
        run_limit: the seconds that it may run by its own limit.
        has_memory_limit: whether it has a limit of memory.
        outcome: ``"DONE"``, ``"EXIT"``, or None while it is not over.
        exit_code: the exit code.
        signal: the signal that ended it.
        killed_by: who asked for its end.
        term: the termination reason, such as ``"TERM_OWNER"``; empty if there is none.
        started_at: when it started.
        ended_at: when it ended.
        seen_at: when something happened to it last.
    """

    job_id: str
    index: int | None = None
    dialect: Dialect = "openlava"
    head: str = ""
    name: str | None = None
    queue: str | None = None
    run_limit: float | None = None
    has_memory_limit: bool = False
    outcome: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    killed_by: str | None = None
    term: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    seen_at: float | None = None

    def tag(self, job: SubmittedJob) -> str | None:
        """Return whose job it is, as far as the history shows it."""
        return tag_in_history(self.head, self.name, job.job_id, self.dialect)


@attrs.frozen
class Histories:
    """What bhist said.

    Attributes:
        source: whether it could be asked.
        jobs: the histories of each job that was asked for and is there; several for an array.
        problem: what it said if it could not be asked.
    """

    source: Source
    jobs: Mapping[str, tuple[JobHistory, ...]] = attrs.field(factory=dict)
    problem: str = ""


def ask_history(
    ended: Collection[str],
    forgotten: Collection[str],
    dialect: Dialect,
    options: LSFSchedulerOptions,
    commands: Commands,
    now: float,
) -> Histories:
    """Return what bhist knows of jobs. That it cannot be asked is an answer too, and no error.

    Args:
        ended: jobs that bjobs still lists: the newest event file, which is read in no time, mostly has them.
        forgotten: jobs that may be in any event file.
        dialect: whose LSF it is.
        options: the backend's options.
        commands: runs bhist.
        now: seconds since the epoch.
    """
    recent = _ask(ended, dialect, options, commands, now, is_recent=True)
    if recent.source is Source.FAILED:
        return recent
    left = [job_id for job_id in ended if not any(one.outcome for one in recent.jobs.get(job_id, ()))]
    older = _ask([*left, *forgotten], dialect, options, commands, now, is_recent=False)
    return older if older.source is Source.FAILED else Histories(Source.ANSWERED, {**recent.jobs, **older.jobs})


def _ask(
    job_ids: Collection[str],
    dialect: Dialect,
    options: LSFSchedulerOptions,
    commands: Commands,
    now: float,
    *,
    is_recent: bool,
) -> Histories:
    jobs: dict[str, tuple[JobHistory, ...]] = {}
    for part in chunks(job_ids):
        source, text = run_bhist(["-l", *part], options, commands, is_recent=is_recent)
        if source is Source.FAILED:
            return Histories(source, problem=text)
        wanted = frozenset(part)
        for history in parse_history(text, dialect, now):
            if history.job_id in wanted:
                jobs[history.job_id] = (*jobs.get(history.job_id, ()), history)
    return Histories(Source.ANSWERED, jobs)


def run_bhist(
    selection: list[str], options: LSFSchedulerOptions, commands: Commands, *, is_recent: bool = False
) -> tuple[Source, str]:
    """Return whether bhist answered, and its text, or else what it said.

    Args:
        selection: which jobs, and how.
        options: the backend's options.
        commands: runs bhist.
        is_recent: whether the newest event file is enough; by default all are read.
    """
    argv = [options.bhist_path, *(() if is_recent else ("-n", "0")), *selection]
    try:
        reply = commands.run(argv, timeout=5.0 * options.command_timeout.seconds)
    except SchedulerError as error:
        return Source.FAILED, str(error)
    if reply.stdout.strip() == _NOTHING or reply.stderr.strip() == _NOTHING:
        return Source.ANSWERED, ""
    if reply.exit_code == 0 and reply.stdout.strip():
        is_cut = not reply.stdout.endswith("\n")
        return (Source.FAILED, "bhist's answer is cut off") if is_cut else (Source.ANSWERED, reply.stdout)
    return Source.FAILED, words_of(reply)


def parse_history(text: str, dialect: Dialect, now: float) -> Iterator[JobHistory]:
    """Yield the jobs in the text of ``bhist -l``. What is none is passed over."""
    whole = _FOLD.sub("", text)
    heads = list(_HEAD.finditer(whole))
    ends = [*(head.start() for head in heads[1:]), len(whole)]
    for head, stop in zip(heads, ends, strict=False):
        block = whole[head.start() : stop]
        first, _, rest = block.partition("\n")
        yield _read(head, dialect, first, rest, now)


def _read(match: re.Match[str], dialect: Dialect, head: str, text: str, now: float) -> JobHistory:
    history = JobHistory(
        job_id=match[1],
        index=int(match[2]) if match[2] else None,
        dialect=dialect,
        head=head,
        name=match[3],
        run_limit=run_limit_in(text),
        has_memory_limit=re.search(r"^[A-Z ]*\bMEMLIMIT\b", text, re.MULTILINE) is not None,
    )
    for event in _EVENT.finditer(text):
        history = _after(history, event[2], read_time(event[1], now))
    return history


def _after(history: JobHistory, said: str, at: float | None) -> JobHistory:
    """Return the history with one more event, which may begin another run."""
    changes: dict[str, Any] = {"seen_at": at}
    queue, killed, term, exited = _QUEUE.search(said), _KILLED.match(said), _TERM.search(said), _EXITED.match(said)
    if queue is not None and history.queue is None:
        changes["queue"] = queue[1] or queue[2]
    if said.startswith(("Pending:", "Dispatched", "Started", "Starting")):
        has_started = not said.startswith("Pending:")
        changes |= {"outcome": None, "exit_code": None, "signal": None, "term": "", "ended_at": None}
        changes["started_at"] = at if has_started else None
        if said.startswith(("Pending:", "Dispatched")):
            changes["killed_by"] = None
    elif killed is not None:
        changes["killed_by"] = killed[1]
    elif said.startswith("Done successfully"):
        changes |= {"outcome": "DONE", "ended_at": at}
    elif exited is not None:
        changes |= {"outcome": "EXIT", "ended_at": at}
        changes["exit_code"] = int(exited[1]) if exited[1] else None
        changes["signal"] = int(exited[2]) if exited[2] else None
    if term is not None and (exited is not None or said.startswith("Completed")):
        changes["term"] = term[0]
    return attrs.evolve(history, **changes)


def run_limit_in(text: str) -> float | None:
    """Return the seconds of a run limit, as bhist and bqueues show it: a line of names, a line of values."""
    for names, values in re.findall(r"^ ([A-Z][A-Z ]*)\n +(\S.*)$", text, re.MULTILINE):
        timed = [name for name in names.split() if name in ("CPULIMIT", "RUNLIMIT")]
        minutes = _RUN_LIMITS.findall(values)
        if "RUNLIMIT" in timed and len(minutes) == len(timed):
            return 60.0 * float(minutes[timed.index("RUNLIMIT")])
    return None
