"""Ask sacct, which alone knows jobs that the controller has forgotten."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping

import attrs

from molq.backend import Commands, SchedulerError, words_of
from molq_slurm.options import SlurmSchedulerOptions
from molq_slurm.programs import SEPARATOR, TIMEOUT, chunks, cluster_flags, listing, read_time
from molq_slurm.states import split_word

# SubmitLine, the only text of other people's making, stands last. Source of the names: sacct(1) of 22.05.8, --format.
_COLUMNS = "JobIDRaw,JobID,State,ExitCode,Submit,Start,End,TimelimitRaw,NodeList,SubmitLine"
_OLD_COLUMNS = _COLUMNS.removesuffix(",SubmitLine")  # before 21.08 there is no SubmitLine
_FREE_TEXT = _COLUMNS.count(",")
_DISABLED = "Slurm accounting storage is disabled"
_UNKNOWN_COLUMN = "Invalid field requested"
_JOB_ID = re.compile(r"(\d{1,10})(?:_(\d{1,9}|\[[^\]]*\])|\+(\d{1,5}))?", re.ASCII)
_EXIT_CODE = re.compile(r"(\d{1,5}):(\d{1,5})", re.ASCII)


class Source(enum.Enum):
    """How it stands with accounting."""

    ANSWERED = "answered"
    DISABLED = "disabled"
    FAILED = "failed"


@attrs.frozen
class AccountRow:
    """One line of sacct: a job, or one or several elements of an array.

    Attributes:
        job_id: the id by which jobs are asked for; that of the array for its elements.
        indices: the element or elements; None if the line does not tell any.
        state: the state word.
        cancelled_by: the uid of who cancelled it.
        exit_code: the exit code, of which accounting has subtracted 128 if it was 128 or more.
        signal: the signal.
        submitted_at: when it was submitted.
        started_at: when it started.
        ended_at: when it ended.
        time_limit: seconds that it may run.
        nodes: the nodes that it had.
        submit_line: the command that submitted it; empty if accounting does not know it yet.
    """

    job_id: str
    indices: str | None
    state: str
    cancelled_by: int | None
    exit_code: int | None
    signal: int | None
    submitted_at: float | None
    started_at: float | None
    ended_at: float | None
    time_limit: float
    nodes: str
    submit_line: str


@attrs.frozen
class Accounts:
    """What accounting said.

    Attributes:
        source: whether it could be asked.
        rows: the lines about each job that was asked for and is there.
        problem: what it said if it could not be asked.
    """

    source: Source
    rows: Mapping[str, tuple[AccountRow, ...]] = attrs.field(factory=dict)
    problem: str = ""


def ask_accounts(job_ids: Collection[str], options: SlurmSchedulerOptions, commands: Commands) -> Accounts:
    """Return what accounting knows of jobs. That it cannot be asked is an answer too, and no error."""
    rows: dict[str, tuple[AccountRow, ...]] = {}
    for part in chunks(job_ids):
        source, text = run_sacct([f"--jobs={','.join(part)}"], options, commands)
        if source is not Source.ANSWERED:
            return Accounts(source, problem=text)
        rows.update(parse_accounts(text, part))
    return Accounts(Source.ANSWERED, rows)


def run_sacct(
    selection: list[str], options: SlurmSchedulerOptions, commands: Commands, *, columns: str = _COLUMNS
) -> tuple[Source, str]:
    """Return whether sacct answered, and its lines, or else what it said."""
    argv = listing(
        options.sacct_path,
        *cluster_flags(options),
        "--allocations",
        "--noheader",
        "--parsable2",
        f"--delimiter={SEPARATOR}",
        f"--format={columns}",
        *selection,
    )
    try:
        reply = commands.run(argv, timeout=TIMEOUT)
    except SchedulerError as error:
        return Source.FAILED, str(error)
    if reply.exit_code == 0 and (reply.stdout or "error" not in reply.stderr):
        is_cut = reply.stdout and not reply.stdout.endswith("\n")
        return (Source.FAILED, "sacct's answer is cut off") if is_cut else (Source.ANSWERED, reply.stdout)
    if _DISABLED in reply.stderr:
        return Source.DISABLED, _DISABLED
    if _UNKNOWN_COLUMN in reply.stderr and columns == _COLUMNS:
        return run_sacct(selection, options, commands, columns=_OLD_COLUMNS)
    return Source.FAILED, words_of(reply)


def parse_accounts(text: str, job_ids: Collection[str]) -> dict[str, tuple[AccountRow, ...]]:
    """Return the rows of ``job_ids``. Lines that are none, such as the rest of a command line, are passed over."""
    wanted = frozenset(job_ids)
    rows: dict[str, list[AccountRow]] = {}
    for line in text.split("\n"):
        row = parse_line(line)
        if row is not None and row.job_id in wanted:
            rows.setdefault(row.job_id, []).append(row)
    return {job_id: tuple(found) for job_id, found in rows.items()}


def parse_line(line: str) -> AccountRow | None:
    """Return one line of sacct; None if it is none."""
    fields = line.split(SEPARATOR, _FREE_TEXT)
    if len(fields) < _FREE_TEXT:
        return None
    _, job_id, state, exit_code, submitted, started, ended, limit, nodes = fields[:_FREE_TEXT]
    match, word, code = _JOB_ID.fullmatch(job_id), split_word(state), _EXIT_CODE.fullmatch(exit_code)
    # Of the components of a heterogeneous job, the first one runs the script.
    if match is None or word is None or (match[3] is not None and int(match[3]) > 0):
        return None
    return AccountRow(
        job_id=match[1],
        indices=match[2],
        state=word[0],
        cancelled_by=word[1],
        exit_code=int(code[1]) if code else None,
        signal=int(code[2]) if code else None,
        submitted_at=read_time(submitted),
        started_at=read_time(started),
        ended_at=read_time(ended),
        time_limit=60.0 * int(limit) if limit.isascii() and limit.isdigit() else 0.0,
        nodes=nodes,
        submit_line=fields[_FREE_TEXT] if len(fields) > _FREE_TEXT else "",
    )
