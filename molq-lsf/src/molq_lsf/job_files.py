"""Read what a job's own script left in its folder: LSF's word is no proof that it came to its end."""

from __future__ import annotations

import os
import re
from pathlib import Path

import attrs

_EXIT = re.compile(rb"(\d{1,3})(?: ([^\n]*))?\n")
_AFTER_SIGNAL = b"after a signal"


@attrs.frozen
class ExitFile:
    """The command ended.

    Attributes:
        code: its exit code as a shell reports it.
        was_signalled: whether a signal told the job to end before it did.
    """

    code: int
    was_signalled: bool


def read_exit(job_dir: Path, element: int | None = None) -> ExitFile | None:
    """Return how the command ended; None if that is not written, or not yet as a whole."""
    match = _EXIT.fullmatch(_read(job_dir / _named("exit", element)))
    return ExitFile(int(match[1]), match[2] == _AFTER_SIGNAL) if match else None


def has_folder(job_dir: Path) -> bool:
    """Tell whether a job's folder is there, so that what its script wrote there would be seen."""
    return job_dir.is_dir()


def has_started(job_dir: Path, element: int | None = None) -> bool:
    """Tell whether the script has started, by the file that it wrote then."""
    return (job_dir / _named("start", element)).exists()


def _named(name: str, element: int | None) -> str:
    return name if element is None else f"{name}.{element}"


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
