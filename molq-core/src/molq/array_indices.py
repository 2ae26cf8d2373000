"""Read and write the indices of job arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable

LARGEST_ARRAY = 4_000_001
"""The most elements of an array: the highest MaxArraySize of Slurm, the largest of the schedulers."""

_PART = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?", re.ASCII)
_LIMIT = re.compile(r"[1-9]\d{0,8}", re.ASCII)


def expand_indices(spec: str) -> tuple[int, ...]:
    """Return the indices in ``"0-9"``, ``"1,3,5-7"``, ``"0-99:2"`` or ``"0-99%4"``, each once and in order.

    Raises:
        ValueError: it is something else, has more than ``LARGEST_ARRAY`` indices, or a range goes backwards.
    """
    return tuple(sorted({index for found in _ranges(spec) for index in found}))


def are_indices(value: object) -> bool:
    """Tell whether ``expand_indices`` takes this."""
    try:
        return isinstance(value, str) and bool(_ranges(value))
    except ValueError:
        return False


def format_indices(indices: Iterable[int]) -> str:
    """Return indices in short: ``"0-2,7"``."""
    runs: list[list[int]] = []
    for index in sorted(set(indices)):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def limit_in(spec: str) -> str:
    """Return the part of ``spec`` that limits how many elements run at once, such as ``"%4"``; ``""`` without one."""
    _, percent, limit = spec.partition("%")
    return percent + limit


def _ranges(spec: str) -> list[range]:
    listed, percent, limit = spec.partition("%")
    ranges = [_range(part) for part in listed.split(",")]
    if not all(ranges) or (percent and not _LIMIT.fullmatch(limit)):
        raise ValueError(f"{spec!r} are no indices; write them as '0-9', '1,3,5-7', '0-99:2' or '0-99%4'")
    if sum(map(len, ranges)) > LARGEST_ARRAY:
        raise ValueError(f"{spec!r} has more than the {LARGEST_ARRAY} indices that an array may have")
    return ranges


def _range(part: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        return range(0)
    first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
    return range(first, last + 1, step) if step else range(0)
