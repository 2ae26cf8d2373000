"""Decide when a scheduler may be asked again. Pure."""

from __future__ import annotations

from molq.backend import BackendDescription
from molq.store import ClusterHealth

_GROWTH = 4.0
"""How many times as old as it was at the last poll the youngest job may be at the next."""


def next_poll_at(
    description: BackendDescription, health: ClusterHealth, youngest: float, *, in_a_hurry: bool = False
) -> float:
    """Return when the next poll of a cluster is due, in seconds since the epoch.

    Every process computes the same from what the store holds, so that many of them ask as often as one.

    Args:
        description: says how close together and how far apart polls may be.
        health: says when the scheduler was last asked.
        youngest: when the youngest active job was submitted.
        in_a_hurry: whether the end of a job is known, but not how it ended.
    """
    shortest, longest = description.shortest_poll, description.longest_poll
    asked_at = health.asked_at
    if asked_at is None:
        return youngest + shortest
    if in_a_hurry:
        return asked_at + shortest
    if asked_at < youngest:
        return max(asked_at, youngest) + shortest
    return asked_at + min(max(_GROWTH * (asked_at - youngest), shortest), longest)
