"""Read what a job's own script left in its folder: the second source where Slurm has forgotten."""

from __future__ import annotations

import os
import re
from pathlib import Path

from molq_slurm.array_ids import parse_indices

_EXIT = re.compile(rb"(\d{1,3})(?: [^\n]*)?\n")
_ARRAY = re.compile(r'^#SBATCH --array="?([0-9,:%-]+)"?$', re.MULTILINE)
_LONGEST_HEADER = 64 * 1024


def exit_code(job_dir: Path, element: int | None = None) -> int | None:
    """Return the exit code in the job's exit file; None if there is none or it is not complete."""
    content = _read(job_dir / ("exit" if element is None else f"exit.{element}"), 4096)
    match = _EXIT.fullmatch(content)
    return int(match[1]) if match else None


def ended_elements(job_dir: Path) -> frozenset[int]:
    """Return the indices of the elements that have an exit file."""
    return _indices_of(job_dir, "exit.")


def started_elements(job_dir: Path) -> frozenset[int] | None:
    """Return the indices of the elements that have started; None if the folder cannot be read."""
    return _indices_of(job_dir, "claim.") if job_dir.is_dir() else None


def array_indices(job_dir: Path) -> tuple[int, ...] | None:
    """Return the indices of an array, as its script asks for them; None if that cannot be read."""
    match = _ARRAY.search(_read(job_dir / "job.sh", _LONGEST_HEADER).decode(errors="replace"))
    return parse_indices(match[1]) if match else None


def _indices_of(job_dir: Path, prefix: str) -> frozenset[int]:
    try:
        names = os.listdir(job_dir)
    except OSError:
        return frozenset()
    tails = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return frozenset(int(tail) for tail in tails if tail.isascii() and tail.isdigit())


def _read(path: Path, limit: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, limit)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
