"""What a user can set about the local queue."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import attrs

from molq.backend import Duration, Memory, SchedulerOptions


def _refuse(attribute: attrs.Attribute[Any], value: object, wanted: str) -> ValueError:
    return ValueError(f"LocalSchedulerOptions.{attribute.name} must be {wanted}, not {value!r}")


def _positive_count(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31):
        raise _refuse(attribute, value, "a whole number of at least 1")


def _some_memory(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (isinstance(value, Memory) and value.bytes):
        raise _refuse(attribute, value, "a Memory of more than 0 bytes, such as Memory.parse('8G')")


def _folder(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str | Path) or not os.fspath(value) or "\0" in os.fspath(value):
        raise _refuse(attribute, value, "the path of a folder")


def _absolute(value: Any) -> Any:
    # Whoever polls may be in another folder than the submitter was.
    if isinstance(value, str | Path) and os.fspath(value):
        return Path(os.path.abspath(os.path.expanduser(value)))
    return value


def _length_of_time(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Duration):
        raise _refuse(attribute, value, "a Duration, such as Duration.parse('10s')")


def _seconds(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:  # type: ignore[arg-type, operator]  # is_number says so
        raise _refuse(attribute, value, "a number of seconds, 0 or more")


@attrs.frozen(kw_only=True)
class LocalSchedulerOptions(SchedulerOptions):
    """How the queue of this machine works. The values of the submission hold for its job.

    Args:
        max_concurrent: how many jobs may run at a time when the job starts; default: as many as the CPUs allow.
        cpu_count: CPUs that running jobs may take together; default: those that this process may use.
        memory: memory that running jobs may ask for together; default: all of this machine's.
        state_dir: the folder of the queue; default ``$MOLQ_HOME/local``, or ``~/.molq/local``. Each folder is a
            queue of its own.
        kill_grace: how long a job that is ended may take to end by itself, between SIGTERM and SIGKILL.
            Default 10 seconds.
        idle_seconds: how long the queue's process stays after its last job. Default 5.

    Raises:
        ValueError: a value is of the wrong kind or out of range.
    """

    max_concurrent: int | None = attrs.field(default=None, validator=_positive_count)
    cpu_count: int | None = attrs.field(default=None, validator=_positive_count)
    memory: Memory | None = attrs.field(default=None, validator=_some_memory)
    state_dir: Path | str | None = attrs.field(default=None, converter=_absolute, validator=_folder)
    kill_grace: Duration = attrs.field(default=Duration(10), validator=_length_of_time)
    idle_seconds: float = attrs.field(default=5.0, validator=_seconds)

    def cpu_capacity(self) -> int:
        """Return the CPUs that running jobs may take together."""
        if self.cpu_count is not None:
            return self.cpu_count
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    def memory_capacity(self) -> int:
        """Return the bytes that running jobs may ask for together."""
        if self.memory is not None:
            return self.memory.bytes
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def folder(self) -> str:
        """Return the absolute path of the queue's folder."""
        if self.state_dir is not None:
            return os.fspath(self.state_dir)
        home = os.environ.get("MOLQ_HOME") or os.path.join("~", ".molq")
        return os.path.abspath(os.path.join(os.path.expanduser(home), "local"))
