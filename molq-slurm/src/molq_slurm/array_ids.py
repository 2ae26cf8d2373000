"""Read the indices of job arrays as Slurm writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LARGEST_ARRAY = 4_000_001  # the highest MaxArraySize that Slurm takes: https://slurm.schedmd.com/slurm.conf.html
_PART = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?", re.ASCII)


def parse_indices(text: str) -> tuple[int, ...] | None:
    """Return the indices in ``"2-9%2"``, ``"0,3-5,20"``, ``"0-9:3"`` or ``"[0-4]"``; None if it is something else.

    A list that Slurm has cut short (``"0-1,4,..."``) is something else.
    """
    spec = text.removeprefix("[").removesuffix("]").partition("%")[0]
    indices: list[int] = []
    for part in spec.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return None
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if step < 1 or last < first or len(indices) + (last - first) // step >= _LARGEST_ARRAY:
            return None
        indices.extend(range(first, last + 1, step))
    return tuple(indices)


def format_indices(indices: Iterable[int]) -> str:
    """Return indices in short: ``"0-2,7"``."""
    parts: list[list[int]] = []
    for index in sorted(set(indices)):
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
