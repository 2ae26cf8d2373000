"""Ask bjobs, which knows every job that is not over and, for an hour or so, those that are."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import attrs

from molq.backend import CommandReply, Commands, SchedulerError, command_failed
from molq_lsf.dialects import Dialect
from molq_lsf.options import LSFSchedulerOptions
from molq_lsf.programs import chunks, could_not_ask, knows_not_the_options, meaningful_lines
from molq_lsf.tags import index_in_name, tag_in_description, tag_in_name

# The only text of other people's making stands last. Source of the names: bjobs(1) of IBM Spectrum LSF 10.1, -o.
_FIELDS = ("jobid", "jobindex", "stat", "exit_code", "exit_reason", "suspend_reason", "job_description", "pend_reason")
_DELIMITER = "^"
_WORD = re.compile(r"[A-Z_]{2,32}", re.ASCII)
_TERM = re.compile(r"TERM_[A-Z_]+", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)
_ID = re.compile(r"([1-9]\d{0,9})(?:\[(\d{1,9})\])?", re.ASCII)
_NOT_FOUND = re.compile(r"^Job <([1-9]\d*)(?:\[\d+\])?> is not found", re.MULTILINE)
_NOTHING_FOUND = re.compile(r"^No (?:unfinished |matching )?job found", re.MULTILINE)
_HEADER = re.compile(r"^JOBID\s+USER\s+STAT\s+QUEUE\s+FROM_HOST\s+EXEC_HOST\s+JOB_NAME\s+SUBMIT_TIME\s*$", re.MULTILINE)
_DATE = re.compile(r"[A-Z][a-z]{2} \d{1,2} \d{2}:\d{2}", re.ASCII)


class JobRow(NamedTuple):
    """What bjobs says of a job, or of one element of an array. A tuple, since a poll makes thousands.

    Attributes:
        job_id: the id by which jobs are asked for; that of the array for its elements.
        element: the element's index; None if this is no array.
        state: the state word.
        tag: whose it is; None if this listing can't show it.
        exit_code: the exit code, if it is listed.
        term: the termination reason, such as ``"TERM_OWNER"``; empty if there is none.
        reason: why it waits or is suspended; empty if that is not known.
    """

    job_id: str
    element: int | None
    state: str
    tag: str | None
    exit_code: int | None = None
    term: str = ""
    reason: str = ""


@attrs.frozen
class QueueListing:
    """What bjobs said.

    Attributes:
        rows: the lines about each job that was asked for and is there.
        not_found: jobs of which it said that it does not know them.
    """

    rows: Mapping[str, tuple[JobRow, ...]]
    not_found: frozenset[str]


def ask_queue(
    job_ids: Collection[str], dialect: Dialect, options: LSFSchedulerOptions, commands: Commands
) -> QueueListing:
    """Return what bjobs knows of jobs.

    Its exit code is not looked at: it depends on the site, and is that of a failure if one of many ids is unknown.

    Raises:
        SchedulerError: it could not be asked, or its answer cannot be an answer.
    """
    rows: dict[str, tuple[JobRow, ...]] = {}
    not_found: set[str] = set()
    for part in chunks(job_ids):
        listing = _ask(part, dialect, options, commands)
        rows.update(listing.rows)
        not_found |= listing.not_found
    return QueueListing(rows=rows, not_found=frozenset(not_found))


def ask_all(dialect: Dialect, options: LSFSchedulerOptions, commands: Commands) -> Iterable[JobRow]:
    """Return all of this user's jobs that bjobs knows.

    Raises:
        SchedulerError: as ``ask_queue``.
    """
    return [row for rows in _ask((), dialect, options, commands).rows.values() for row in rows]


def _ask(job_ids: Collection[str], dialect: Dialect, options: LSFSchedulerOptions, commands: Commands) -> QueueListing:
    program = options.bjobs_path
    if dialect == "spectrum":
        fields = " ".join(_FIELDS)
        argv = [program, "-a", "-json", "-o", fields, *job_ids]
        reply = commands.run(argv, timeout=options.command_timeout.seconds)
        if not knows_not_the_options(reply):
            records = _records(reply.stdout)
            told = f"{reply.stderr}\n{_errors(records)}"
            if records == [] and not reply.stderr.strip():
                told = "No job found"  # which IBM's LSF says with -json by an empty list alone
            return _listing(argv, reply, told, job_ids, None if records is None else tuple(_rows_of(records)))
        argv = [program, "-a", "-noheader", "-o", f"{fields} delimiter='{_DELIMITER}'", *job_ids]
        reply = commands.run(argv, timeout=options.command_timeout.seconds)
        if not knows_not_the_options(reply):
            return _listing(argv, reply, _words(reply), job_ids, _delimited(reply.stdout))
    argv = [program, "-a", "-w", *job_ids]
    reply = commands.run(argv, timeout=options.command_timeout.seconds)
    rows = parse_wide(reply.stdout, has_tags=dialect == "openlava")
    return _listing(argv, reply, _words(reply), job_ids, rows)


def _listing(
    argv: list[str], reply: CommandReply, told: str, job_ids: Collection[str], found: tuple[JobRow, ...] | None
) -> QueueListing:
    """Return the listing in a reply.

    Args:
        argv: the command.
        reply: its reply.
        told: what it said in words, line by line.
        job_ids: what was asked for; empty for all jobs.
        found: the rows in its standard output; None if that is no list.

    Raises:
        SchedulerError: it says nothing of any of them.
    """
    wanted = frozenset(job_ids)
    rows: dict[str, list[JobRow]] = {}
    for row in found or ():
        if row.job_id in wanted or not job_ids:
            rows.setdefault(row.job_id, []).append(row)
    not_found = frozenset(_NOT_FOUND.findall(told)) & wanted
    finds_nothing = _NOTHING_FOUND.search(told) is not None and not rows
    if finds_nothing:
        not_found = wanted
    # An empty answer was seen to come by mistake, so that it says of no job that it is gone.
    is_empty = bool(wanted) and reply.exit_code == 0 and not f"{reply.stdout}{reply.stderr}".strip()
    is_answer = rows or not_found or finds_nothing or is_empty or (not wanted and found is not None)
    if not is_answer:
        if reply.exit_code != 0 or could_not_ask(reply) or reply.stderr.strip():
            raise command_failed(argv, reply)
        raise SchedulerError(f"bjobs's answer is no list of jobs: {' '.join(reply.stdout.split())[:200]!r}")
    return QueueListing(
        rows={job_id: tuple(listed) for job_id, listed in rows.items()}, not_found=not_found - rows.keys()
    )


def _words(reply: CommandReply) -> str:
    return f"{reply.stderr}\n{reply.stdout}"


def parse_wide(text: str, *, has_tags: bool) -> tuple[JobRow, ...] | None:
    """Return the rows of ``bjobs -w``; None if it has no header and so is no list.

    With ``-p`` the reasons why jobs wait stand below them.

    Args:
        text: what bjobs wrote.
        has_tags: whether names carry tags.
    """
    header = _HEADER.search(text)
    if header is None:
        return None
    rows: list[JobRow] = []
    for line in meaningful_lines(text[header.end() :]):
        row = _wide_row(line, has_tags=has_tags)
        if row is not None:
            rows.append(row)
        elif line.startswith(" ") and line.strip() and rows:
            reason = "; ".join(filter(None, (rows[-1].reason, line.strip().rstrip(";"))))
            rows[-1] = rows[-1]._replace(reason=reason)
    return tuple(rows)


def _wide_row(line: str, *, has_tags: bool) -> JobRow | None:
    """Return the row in a line; None if it is none. The name, which may be empty or hold blanks, has no fixed width."""
    fields = line.split(None, 6)
    if len(fields) < 7 or not _NUMBER.fullmatch(fields[0]) or not _WORD.fullmatch(fields[2]):
        return None
    words = fields[6].rsplit(None, 3)
    if not _DATE.fullmatch(" ".join(words[-3:])):
        return None
    name = words[0] if len(words) > 3 else ""
    return JobRow(fields[0], index_in_name(name), fields[2], tag_in_name(name) if has_tags else None)


def _records(text: str) -> list[Any] | None:
    """Return the records of ``bjobs -json -o``; None if there are none.

    Raises:
        SchedulerError: they are cut off or garbled.
    """
    start = text.find("{")  # lines that ask to wait may stand before it
    if start < 0:
        return None
    try:
        answer, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise SchedulerError(f"bjobs's answer is no JSON: {error}") from error
    records = answer.get("RECORDS")
    return records if isinstance(records, list) else None


def _errors(records: Iterable[Any] | None) -> str:
    return "\n".join(str(record["ERROR"]) for record in records or () if isinstance(record, dict) and "ERROR" in record)


def _rows_of(records: Iterable[Any]) -> Iterator[JobRow]:
    for record in records:
        if not isinstance(record, dict) or "ERROR" in record:
            continue
        row = _row([str(record.get(name.upper(), "")) for name in _FIELDS])
        if row is not None:
            yield row


def _delimited(text: str) -> tuple[JobRow, ...]:
    rows = (line.split(_DELIMITER, len(_FIELDS) - 1) for line in meaningful_lines(text))
    return tuple(row for fields in rows if len(fields) == len(_FIELDS) and (row := _row(fields)) is not None)


def _row(values: list[str]) -> JobRow | None:
    """Return the row of ``_FIELDS``; None if these are none. What is not known is empty, or ``-`` in lines."""
    job_id, index, state, code, exit_reason, suspended, description, waits = (
        "" if value.strip() == "-" else value.strip() for value in values
    )
    match, term = _ID.fullmatch(job_id), _TERM.match(exit_reason)
    if match is None or not _WORD.fullmatch(state):
        return None
    element = match[2] or (index if _NUMBER.fullmatch(index) else "0")
    return JobRow(
        match[1],
        int(element) or None,
        state,
        tag_in_description(description),
        int(code) if _NUMBER.fullmatch(code) else None,
        term[0] if term else "",
        "; ".join(part for part in (waits.rstrip(";"), suspended.rstrip(";")) if part),
    )
