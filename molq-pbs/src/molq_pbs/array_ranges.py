"""Cover the indices of an array by one range, which is all that OpenPBS takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs


@attrs.frozen(kw_only=True)
class Covering:
    """A range that holds all indices that were asked for, and perhaps more.

    Attributes:
        first: the first index of the range.
        last: the last one.
        step: the distance of two neighbours.
        indices: what was asked for, in order.
    """

    first: int
    last: int
    step: int
    indices: tuple[int, ...]

    @property
    def is_exact(self) -> bool:
        """Whether the range holds nothing else."""
        return len(range(self.first, self.last + 1, self.step)) == len(self.indices)

    def __str__(self) -> str:
        """Return the range as ``qsub -J`` takes it."""
        return f"{self.first}-{self.last}" + (f":{self.step}" if self.step > 1 else "")


def cover(indices: Sequence[int]) -> Covering:
    """Return the smallest range over ``indices``, of which there is at least one.

    A range must have two elements: a single index gets a neighbour.
    """
    wanted = tuple(sorted(set(indices)))
    first, last = wanted[0], wanted[-1]
    if first == last:
        return Covering(first=first, last=first + 1, step=1, indices=wanted)
    step = math.gcd(*(index - first for index in wanted[1:]))
    return Covering(first=first, last=last, step=step, indices=wanted)
