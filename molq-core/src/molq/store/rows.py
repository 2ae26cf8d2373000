"""Turn rows into records and back; the one place that knows which columns make which value."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from molq.array_elements import ElementReport
from molq.array_indices import expand_indices, format_indices
from molq.job_state import JobState
from molq.records import JobDependency, JobRecord, StatusTransition
from molq.store.log import warn
from molq.tracking import TrackedJob

RECORD_FIELDS = tuple(field.name for field in attrs.fields(JobRecord))
TRACKED_FIELDS = tuple(field.name for field in attrs.fields(TrackedJob))
_CONSTANT_FIELDS = frozenset(
    {
        *("job_id", "root_job_id", "attempt", "previous_attempt_job_id", "cluster_name", "scheduler", "revision"),
        *("job_dir", "created_at", "time_limit", "array_spec", "max_attempts"),
    }
)
CHANGING_FIELDS = tuple(name for name in TRACKED_FIELDS if name not in _CONSTANT_FIELDS)

ELEMENT_COLUMNS = "indices, native_state, state, exit_code, signal, cause"
RECORD_COLUMNS = ", ".join(RECORD_FIELDS)
TRACKED_COLUMNS = ", ".join(TRACKED_FIELDS)

_STATES = {state.value: state for state in JobState}

# SQLite lets a column hold values of any type, so a file that others have edited may surprise.
_TEXT = frozenset({str, bytes})
_NUMBER = frozenset({int, float})
_NOTHING = frozenset({type(None)})
_TYPES: dict[str, frozenset[type]] = {
    "str": _TEXT,
    "str | None": _TEXT | _NOTHING,
    "int": frozenset({int}),
    "int | None": frozenset({int}) | _NOTHING,
    "float": _NUMBER,
    "float | None": _NUMBER | _NOTHING,
    "JobState": frozenset({str}),
    "dict[str, str]": frozenset({str}),
}


def to_columns(value: JobRecord | TrackedJob) -> dict[str, Any]:
    """Return a value's fields as SQLite takes them."""
    columns = {field.name: as_column(getattr(value, field.name)) for field in attrs.fields(type(value))}
    columns["state"] = value.state.value
    if "metadata" in columns:
        columns["metadata"] = json.dumps(columns["metadata"])
    return columns


def as_column(value: Any) -> Any:
    """Return a value as SQLite takes it: a path that is not UTF-8 is no text to it, so that one is kept as bytes."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode(errors="surrogatepass")
    return value


def newly_tracked(record: JobRecord, columns: Mapping[str, Any]) -> TrackedJob:
    """Return what reconciliation would read of a job whose row was just added with some more ``columns``."""
    fields: dict[str, Any] = {name: getattr(record, name, None) for name in TRACKED_FIELDS}
    return TrackedJob(**{**fields, "revision": 0, "restarts": 0, "missed_polls": 0, "missed_seconds": 0.0, **columns})


def records(rows: Iterable[tuple[Any, ...]]) -> Iterator[JobRecord]:
    """Return the records in rows of ``RECORD_COLUMNS``. A row that cannot be read is logged and left out."""
    for row in rows:
        fields = readable_fields(JobRecord, RECORD_FIELDS, row)
        if fields is None:
            continue
        metadata = _metadata(fields["metadata"])
        if metadata is None:
            warn("the metadata of job %r cannot be read: %r", fields["job_id"], fields["metadata"])
            continue
        fields["metadata"] = metadata
        yield JobRecord(**fields)


def tracked_jobs(rows: Iterable[tuple[Any, ...]]) -> Iterator[TrackedJob]:
    """Return the jobs in rows of ``TRACKED_COLUMNS``; an unreadable one is logged and left out."""
    for row in rows:
        fields = readable_fields(TrackedJob, TRACKED_FIELDS, row)
        if fields is not None:
            yield TrackedJob(**fields)


def states(rows: Iterable[tuple[str, object]]) -> dict[str, JobState]:
    """Return the states in rows of (job_id, state), without those that molq does not know."""
    return {job_id: _STATES[state] for job_id, state in rows if isinstance(state, str) and state in _STATES}


def transitions(rows: Iterable[tuple[Any, ...]]) -> Iterator[StatusTransition]:
    """Return the transitions in rows of (job_id, old_state, new_state, timestamp, reason)."""
    for _, transition in numbered_transitions((0, *row) for row in rows):
        yield transition


def numbered_transitions(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, StatusTransition]]:
    """Return transitions with their numbers, which come first in each row; an unreadable one is logged and left out."""
    for number, job_id, old, new, timestamp, reason in rows:
        try:
            states = (None if old is None else JobState(old), JobState(new))
        except ValueError:
            warn("transition %s of job %r cannot be read: from %r to %r", number, job_id, old, new)
            continue
        yield number, StatusTransition(as_text(job_id), *states, timestamp, as_text(reason))


def dependencies(rows: Iterable[tuple[Any, ...]]) -> Iterator[JobDependency]:
    """Return the edges in rows of (job_id, dependency_job_id, dependency_type, scheduler_dependency)."""
    for row in rows:
        yield JobDependency(*row)


def elements(rows: Iterable[tuple[Any, ...]]) -> Iterator[ElementReport]:
    """Return the elements in rows of (job_id, ``ELEMENT_COLUMNS``); an unreadable one is logged and left out."""
    for job_id, spec, native_state, state, exit_code, signal, cause in rows:
        try:
            known = None if state is None else JobState(state)
            indices = expand_indices(as_text(spec))
        except (ValueError, AttributeError):
            warn("the elements %r of job %r cannot be read", spec, job_id)
            continue
        for index in indices:
            yield ElementReport(
                index=index, native_state=native_state, state=known, exit_code=exit_code, signal=signal, cause=cause
            )


def element_rows(job_id: str, found: Sequence[ElementReport]) -> list[tuple[Any, ...]]:
    """Return elements as rows of (job_id, ``ELEMENT_COLUMNS``): those that are alike are one."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for e in found:
        facts = (e.native_state, None if e.state is None else e.state.value, e.exit_code, e.signal, e.cause)
        alike.setdefault(facts, []).append(e.index)
    return [(job_id, format_indices(indices), *facts) for facts, indices in alike.items()]


def changed_columns(old: TrackedJob, new: TrackedJob) -> dict[str, Any]:
    """Return the columns in which ``new`` differs from ``old``."""
    columns = {
        name: as_column(getattr(new, name)) for name in CHANGING_FIELDS if getattr(new, name) != getattr(old, name)
    }
    if "state" in columns:
        columns["state"] = new.state.value
    return columns


def readable_fields(kind: type, names: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any] | None:
    """Return a row as the fields of a value that has a job's state; None, and a line in the log, if it cannot be one.

    Args:
        kind: the value's class.
        names: the names of its fields, in the row's order, which is that of the class.
        row: as SQLite gives it.
    """
    types = tuple(map(type, row))
    fields = dict(zip(names, row, strict=True))
    state = _STATES.get(fields["state"])
    wrong = _wrong_field(kind, types) or ("state" if state is None else None)
    if wrong is not None:
        warn("the row of job %r cannot be read: its %s is %r", fields["job_id"], wrong, fields[wrong])
        return None
    if bytes in types:
        fields = {name: as_text(value) for name, value in fields.items()}
    fields["state"] = state
    return fields


# Rows come in few combinations of types, so most are judged by one look-up.
@functools.lru_cache(maxsize=1024)
def _wrong_field(kind: type, types: tuple[type, ...]) -> str | None:
    for field, found in zip(attrs.fields(kind), types, strict=True):
        if found not in _TYPES[str(field.type)]:
            return str(field.name)
    return None


def _metadata(text: str) -> dict[str, str] | None:
    if text == "{}":  # most jobs have none
        return {}
    try:
        metadata = json.loads(text)
    except ValueError:
        return None
    is_sound = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    return metadata if is_sound else None


def as_text(value: Any) -> Any:
    """Return what ``as_column`` was given."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return value.decode(errors="replace")
