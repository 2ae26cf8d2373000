"""Print for people and for programs; the one place where texts from elsewhere reach the terminal."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import click

from molq.cli.columns import laid_out, shortened
from molq.records import JobRecord

# Control characters could rewrite the terminal, bidi marks reorder what is read, and bytes of a path that are no text
# (which are surrogates in Python) cannot be printed everywhere.
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INVISIBLE_IN_LINE = re.compile(_INVISIBLE.pattern[:-1] + r"\t\n]")

SHORT_ID = 8
_LONGEST_NAME = 30
_LONGEST_COMMAND = 40


def visible(text: str, *, keep_lines: bool = False) -> str:
    """Return ``text`` with every character that a terminal would act on spelled out."""
    pattern = _INVISIBLE if keep_lines else _INVISIBLE_IN_LINE
    return pattern.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def show_warnings() -> None:
    """Have what the engine warns of reach people in the same form as errors do."""
    import logging

    logging.basicConfig(format="molq: %(message)s")


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo(_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def plain(value: Any) -> dict[str, Any]:
    """Return an attrs value's fields for JSON."""
    return attrs.asdict(value)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, to_stderr: bool = False) -> None:
    """Print rows in columns that are as wide as they need to be, or on a terminal as it has room for."""
    cells = [list(header), *([visible(cell) for cell in row] for row in rows)]
    is_terminal = (sys.stderr if to_stderr else sys.stdout).isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    # Of the others nothing may be lost: ids and keys are there to be typed, and sentences to be read.
    to_cut = (_NAME, _COMMAND) if header is JOB_HEADER else ()
    for line in laid_out(cells, width, to_cut):
        click.echo(line, err=to_stderr)


def job_row(record: JobRecord, now: float) -> tuple[str, ...]:
    """Return a job's cells in the table of jobs, under the id that it was submitted by."""
    told = record.failure_reason or record.reason or ""
    is_told = record.attempt == 1 or told.startswith("attempt ")
    note = told if is_told else "; ".join(filter(None, (f"attempt {record.attempt}", told)))
    return (
        record.root_job_id[:SHORT_ID],
        shortened(record.job_name or "", _LONGEST_NAME),
        record.cluster_name,
        record.scheduler_job_id or "-",
        record.state.value,
        elapsed(record, now),
        shortened(record.command_display, _LONGEST_COMMAND),
        note,
    )


def latest_of(records: Iterable[JobRecord]) -> list[JobRecord]:
    """Return the latest attempt of each family among ``records``, which are oldest first."""
    return list({record.root_job_id: record for record in records}.values())


JOB_HEADER = ("ID", "NAME", "CLUSTER", "SCHEDULER ID", "STATE", "TIME", "COMMAND", "NOTE")
_NAME, _COMMAND = JOB_HEADER.index("NAME"), JOB_HEADER.index("COMMAND")


def elapsed(record: JobRecord, now: float) -> str:
    """Return how long a job has run or ran."""
    if record.started_at is None:
        return "-"
    return span((record.finished_at or now) - record.started_at)


def span(seconds: float) -> str:
    """Return a length of time for people: ``0.3s``, ``42s``, ``5m12s``, ``3h04m``, ``2d03h``."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def clock(timestamp: float | None) -> str:
    """Return a time of day in the user's time zone."""
    return "-" if timestamp is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp))


def size(count: int) -> str:
    """Return a number of bytes for people: ``0 B``, ``12 KiB``, ``3.4 GiB``."""
    amount, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        del units[0]
    return f"{amount:.0f} {units[0]}" if amount >= 10 or units[0] == "B" else f"{amount:.1f} {units[0]}"
