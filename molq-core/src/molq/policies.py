"""Policies for what follows a job's end: retries and retention."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import attrs

from molq.job_state import JobState
from molq.quantities import Duration, Memory

MOST_ATTEMPTS = 1_000_000
"""The most attempts that a policy may ask for."""

_Check = Callable[[object, "attrs.Attribute[Any]", Any], None]


def _refuse(instance: object, attribute: attrs.Attribute[Any], value: object, wanted: str) -> ValueError:
    return ValueError(f"{type(instance).__name__}.{attribute.name} must be {wanted}, not {value!r}")


def _at_least(smallest: float, *, whole: bool = False, most: float = float("inf")) -> _Check:
    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        kind = int if whole else (int, float)
        is_number = isinstance(value, kind) and not isinstance(value, bool)
        if not is_number or not smallest <= value < float("inf"):
            number = "whole number" if whole else "number"
            raise _refuse(instance, attribute, value, f"a {number} of at least {smallest}")
        if value > most:
            raise _refuse(instance, attribute, value, f"at most {most}")

    return check


def _a(kind: type, wanted: str) -> _Check:
    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise _refuse(instance, attribute, value, wanted)

    return check


def _states(value: Iterable[JobState | str]) -> tuple[JobState, ...]:
    try:
        return tuple(JobState(state) for state in ((value,) if isinstance(value, str) else value))
    except (TypeError, ValueError):
        raise ValueError(
            f"RetryPolicy.retry_on_states takes a tuple of states, such as ('failed', 'timed_out'), not {value!r}"
        ) from None


def _codes(value: Iterable[int] | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(value)
    except TypeError:
        raise ValueError(
            f"RetryPolicy.retry_on_exit_codes takes a tuple of numbers, such as (75, 137), not {value!r}"
        ) from None


@attrs.frozen
class RetryBackoff:
    """How long to wait before the next attempt.

    Args:
        mode: ``"fixed"`` waits ``initial_seconds`` each time; ``"exponential"`` multiplies by ``factor`` each time.
        initial_seconds: the wait before the second attempt, in seconds. Default 5.
        maximum_seconds: the longest wait, in seconds. Default 300.
        factor: what each wait is multiplied by. Default 2.

    Raises:
        ValueError: a value is out of range.
    """

    mode: Literal["fixed", "exponential"] = attrs.field(default="exponential")
    initial_seconds: float = attrs.field(default=5.0, validator=_at_least(0))
    maximum_seconds: float = attrs.field(default=300.0, validator=_at_least(0))
    factor: float = attrs.field(default=2.0, validator=_at_least(1))

    @mode.validator
    def _is_known(self, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in ("fixed", "exponential"):
            raise _refuse(self, attribute, value, "'fixed' or 'exponential'")

    def seconds_before(self, attempt: int) -> float:
        """Return the wait in seconds before ``attempt`` (2 is the first retry)."""
        if self.mode == "fixed" or self.initial_seconds == 0:
            return min(self.initial_seconds, self.maximum_seconds)
        try:
            return min(self.initial_seconds * float(self.factor) ** (attempt - 2), self.maximum_seconds)
        except OverflowError:
            return self.maximum_seconds


def _optional_factor(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 1 < value < float("inf")):
        raise _refuse(instance, attribute, value, "a number of more than 1, such as 2 or 1.5")


def _optional(kind: type) -> _Check:
    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None and not isinstance(value, kind):
            raise _refuse(instance, attribute, value, f"a {kind.__name__}")

    return check


@attrs.frozen
class RetryEscalation:
    """What the next attempt asks for more of, if the last one had too little. Requests without a limit stay without.

    Args:
        memory_factor: after the cause ``"out_of_memory"``, the memory is multiplied by this. Default: it stays.
        memory_cap: the most memory that is asked for in this way.
        time_factor: after a time limit, the time limit is multiplied by this. Default: it stays.
        time_cap: the longest time limit that is asked for in this way.

    Raises:
        ValueError: a factor is not more than 1, or a cap is of the wrong kind.
    """

    memory_factor: float | None = attrs.field(default=None, validator=_optional_factor)
    memory_cap: Memory | None = attrs.field(default=None, validator=_optional(Memory))
    time_factor: float | None = attrs.field(default=None, validator=_optional_factor)
    time_cap: Duration | None = attrs.field(default=None, validator=_optional(Duration))


@attrs.frozen
class RetryPolicy:
    """When an ended job is tried again.

    Args:
        max_attempts: how many attempts there are in all; 1 (the default) means no retry, and 1000000 is the most.
        retry_on_states: the end states that are tried again. Default: failed and timed out.
        retry_on_exit_codes: if given, a failed job is tried again only after one of these exit codes.
        backoff: how long to wait before each further attempt.
        escalate: what the next attempt asks for more of after it ran out of memory or of time. Default: of nothing.

    Raises:
        ValueError: a value is out of range, or a state is not one that a job can be retried from.
    """

    max_attempts: int = attrs.field(default=1, validator=_at_least(1, whole=True, most=MOST_ATTEMPTS))
    retry_on_states: tuple[JobState, ...] = attrs.field(
        default=(JobState.FAILED, JobState.TIMED_OUT), converter=_states
    )
    retry_on_exit_codes: tuple[int, ...] | None = attrs.field(default=None, converter=_codes)
    backoff: RetryBackoff = attrs.field(factory=RetryBackoff, validator=_a(RetryBackoff, "a RetryBackoff"))
    escalate: RetryEscalation | None = attrs.field(default=None, validator=_optional(RetryEscalation))

    @retry_on_states.validator
    def _states_are_retryable(self, _attribute: object, states: tuple[JobState, ...]) -> None:
        for state in states:
            if not state.is_terminal or state in (JobState.SUCCEEDED, JobState.CANCELLED):
                raise ValueError(
                    f"RetryPolicy.retry_on_states cannot hold {state.value!r}: "
                    "only failed, timed_out and lost are retried"
                )

    @retry_on_exit_codes.validator
    def _codes_are_exit_codes(self, _attribute: object, codes: tuple[int, ...] | None) -> None:
        for code in codes or ():
            if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255:
                raise ValueError(f"RetryPolicy.retry_on_exit_codes takes numbers from 0 to 255, not {code!r}")


@attrs.frozen
class RetentionPolicy:
    """How long finished jobs leave traces.

    Args:
        keep_job_dirs_for_days: days after its end until a job's folder may be deleted. Default 30.
        keep_terminal_records_for_days: days after its end until a job's record may be deleted; it stays at least as
            long as the folder. Default 90.
        keep_failed_job_dirs: whether folders of jobs that did not succeed are kept with their record. Default True.

    Raises:
        ValueError: a number of days is negative or no whole number.
    """

    keep_job_dirs_for_days: int = attrs.field(default=30, validator=_at_least(0, whole=True))
    keep_terminal_records_for_days: int = attrs.field(default=90, validator=_at_least(0, whole=True))
    keep_failed_job_dirs: bool = attrs.field(default=True, validator=_a(bool, "True or False"))
