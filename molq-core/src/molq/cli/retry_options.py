"""Read a retry policy from the options of a command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from molq.cli.numbers import quantity
from molq.errors import CommandError
from molq.job_spec import JobResources
from molq.policies import RetryEscalation, RetryPolicy
from molq.quantities import Duration, Memory

_Quantity = TypeVar("_Quantity", Memory, Duration)


def policy_of(
    options: Mapping[str, Any], default: RetryPolicy | None, usual: JobResources | None = None
) -> RetryPolicy | None:
    """Return the policy that the options make of ``default``; ``default`` itself if they say nothing.

    Args:
        options: the options of the command line, by their names.
        default: the policy of the profile.
        usual: what a job asks for by the profile.

    Raises:
        CommandError, ValueError: an option has no value that can be used, or multiplies what the job does not ask for.
    """
    usual = usual or JobResources()
    _check_is_asked_for(options, "more_memory", "memory", usual.memory)
    _check_is_asked_for(options, "more_time", "time_limit", usual.time_limit)
    base = default or RetryPolicy()
    changes: dict[str, Any] = {}
    if options["retries"] is not None:
        changes["max_attempts"] = options["retries"] + 1
    if options["retry_on"]:
        changes["retry_on_states"] = options["retry_on"]
    if options["retry_on_exit_code"]:
        changes["retry_on_exit_codes"] = options["retry_on_exit_code"]
    if options["retry_wait"] is not None:
        seconds = float(quantity("--retry-wait", Duration, options["retry_wait"]).seconds)
        longest = max(seconds, base.backoff.maximum_seconds)
        changes["backoff"] = attrs.evolve(base.backoff, initial_seconds=seconds, maximum_seconds=longest)
    escalate = base.escalate or RetryEscalation()
    if options["more_memory"] is not None:
        factor, cap = _factor("--more-memory", Memory, options["more_memory"])
        escalate = attrs.evolve(escalate, memory_factor=factor, memory_cap=cap)
    if options["more_time"] is not None:
        factor, longest_time = _factor("--more-time", Duration, options["more_time"])
        escalate = attrs.evolve(escalate, time_factor=factor, time_cap=longest_time)
    if escalate != (base.escalate or RetryEscalation()):
        changes["escalate"] = escalate
    if not changes:
        return default
    policy: RetryPolicy = attrs.evolve(base, **changes)
    if policy.max_attempts == 1 and options["retries"] is None:
        raise CommandError("say how often the job is to be tried again with --retries N")
    return policy


def _check_is_asked_for(options: Mapping[str, Any], option: str, field: str, usual: object) -> None:
    if options[option] is not None and options[field] is None and usual is None:
        given_by = {"memory": "--memory", "time_limit": "--time"}[field]
        raise CommandError(
            f"--{option.replace('_', '-')} multiplies what {given_by} asks for, and the job asks for nothing; "
            f"give {given_by} too"
        )


def _factor(option: str, kind: type[_Quantity], text: str) -> tuple[float, _Quantity | None]:
    number, _, cap = text.partition(":")
    try:
        factor = float(number)
    except ValueError:
        raise CommandError(f"{option} takes FACTOR or FACTOR:CAP, such as 2 or 2:64G, not {text!r}") from None
    return factor, quantity(option, kind, cap) if cap else None
