"""Read the indices of job arrays as Slurm writes them."""

from __future__ import annotations

from molq.backend import expand_indices


def parse_indices(text: str) -> tuple[int, ...] | None:
    """Return the indices in ``"2-9%2"``, ``"0,3-5,20"``, ``"0-9:3"`` or ``"[0-4]"``; None if it is something else.

    A list that Slurm has cut short (``"0-1,4,..."``) is something else.
    """
    try:
        return expand_indices(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
