"""Read numbers from the command line, and refuse others in words that name what is taken."""

from __future__ import annotations

import re
from typing import TypeVar

import click

from molq.errors import CommandError
from molq.quantities import Duration, Memory

_Quantity = TypeVar("_Quantity", Memory, Duration)

_LEAST_MEMORY = Memory.mb(1)

_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def quantity(option: str, kind: type[_Quantity], text: str) -> _Quantity:
    """Return the quantity that an option has for a value.

    Raises:
        CommandError: it is none, or so little memory that a unit is missing.
    """
    try:
        amount = kind.parse(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from error
    if isinstance(amount, Memory) and amount < _LEAST_MEMORY:
        raise CommandError(f"{option}: {text!r} is less than a megabyte of memory: {kind.example}")
    return amount


class WholeNumber(click.ParamType):  # type: ignore[type-arg]  # older releases of click have none
    """A whole number.

    Args:
        least: the smallest that is taken.
        most: the largest.
    """

    name = "n"

    def __init__(self, least: int, most: int = 1_000_000_000) -> None:
        self._least = least
        self._most = most

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; a default is one already."""
        if isinstance(value, int):
            return value
        if not _WHOLE.fullmatch(value) or not self._least <= int(value) <= self._most:
            self.fail(f"{value!r} is no whole number from {self._least} to {self._most}", param, ctx)
        return int(value)


class Seconds(click.ParamType):  # type: ignore[type-arg]  # older releases of click have none
    """A number of seconds, which may have a part of one.

    Args:
        least: the smallest that is taken.
        most: the largest.
    """

    name = "seconds"

    def __init__(self, least: float, most: float) -> None:
        self._least = least
        self._most = most

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; a default is one already."""
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        # No comparison holds for what is no number.
        if not self._least <= number <= self._most:
            self.fail(f"{value!r} is no number of seconds from {self._least:g} to {self._most:g}", param, ctx)
        return number
