"""Read a retry policy from the options of a command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from molq.errors import CommandError
from molq.policies import RetryEscalation, RetryPolicy
from molq.quantities import Duration, Memory


def policy_of(options: Mapping[str, Any], default: RetryPolicy | None) -> RetryPolicy | None:
    """Return the policy that the options make of ``default``; ``default`` itself if they say nothing.

    Raises:
        CommandError, ValueError: an option has no value that can be used.
    """
    base = default or RetryPolicy()
    changes: dict[str, Any] = {}
    if options["retries"] is not None:
        changes["max_attempts"] = options["retries"] + 1
    if options["retry_on"]:
        changes["retry_on_states"] = options["retry_on"]
    if options["retry_on_exit_code"]:
        changes["retry_on_exit_codes"] = options["retry_on_exit_code"]
    if options["retry_wait"] is not None:
        seconds = float(Duration.parse(options["retry_wait"]).seconds)
        longest = max(seconds, base.backoff.maximum_seconds)
        changes["backoff"] = attrs.evolve(base.backoff, initial_seconds=seconds, maximum_seconds=longest)
    escalate = base.escalate or RetryEscalation()
    if options["more_memory"] is not None:
        factor, cap = _factor("--more-memory", options["more_memory"])
        escalate = attrs.evolve(escalate, memory_factor=factor, memory_cap=Memory.parse(cap) if cap else None)
    if options["more_time"] is not None:
        factor, cap = _factor("--more-time", options["more_time"])
        escalate = attrs.evolve(escalate, time_factor=factor, time_cap=Duration.parse(cap) if cap else None)
    if escalate != (base.escalate or RetryEscalation()):
        changes["escalate"] = escalate
    if not changes:
        return default
    policy: RetryPolicy = attrs.evolve(base, **changes)
    if policy.max_attempts == 1 and options["retries"] is None:
        raise CommandError("say how often the job is to be tried again with --retries N")
    return policy


def _factor(option: str, text: str) -> tuple[float, str]:
    number, _, cap = text.partition(":")
    try:
        return float(number), cap
    except ValueError:
        raise CommandError(f"{option} takes FACTOR or FACTOR:CAP, such as 2 or 2:64G, not {text!r}") from None
