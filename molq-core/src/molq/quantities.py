"""Quantities that job requests are made of: memory and time."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import ClassVar

import attrs

_LARGEST = 2**63 - 1
_UNIT_BYTES = {"B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_MEMORY = re.compile(r"(\d{1,20})(?:\.(\d{1,20}))? ?(?:([KMGTP])(?:I?B)?|B)?", re.IGNORECASE | re.ASCII)

_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_NUMBER = r"\d{1,20}"
_DURATION_UNITS = re.compile(
    rf"(?:({_NUMBER})d)?(?:({_NUMBER})h)?(?:({_NUMBER})m)?(?:({_NUMBER})s)?", re.IGNORECASE | re.ASCII
)
_DURATION_CLOCK = re.compile(rf"(?:({_NUMBER}):)?({_NUMBER}):(\d{{2}})", re.ASCII)
_DURATION_DAYS = re.compile(rf"({_NUMBER})-(\d{{1,2}})(?::(\d{{2}}))?(?::(\d{{2}}))?", re.ASCII)


def _whole(quantity: str, amount: float, unit: int) -> int:
    """Return ``amount`` units as a whole number, rounded up. A float means the decimal number that it prints as."""
    is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if not is_number or not 0 <= amount <= _LARGEST // unit:
        raise ValueError(f"{quantity} takes a number from 0 to {_LARGEST // unit}, such as 4 or 1.5, not {amount!r}")
    # In binary, 1.1 hours are a little more than 3960 seconds and would be rounded up to 3961.
    return amount * unit if isinstance(amount, int) else math.ceil(Fraction(repr(float(amount))) * unit)


def _check_range(quantity: type[Memory | Duration], unit: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        name = quantity.__name__
        raise ValueError(
            f"{name} takes a whole number of {unit} from 0 to 2**63-1, not {value!r}; "
            f"for text there is {name}.parse: {quantity.example}"
        )


@attrs.frozen(order=True)
class Memory:
    """An amount of memory, kept in bytes. Units are powers of 1024.

    Args:
        bytes: the amount, from 0 to 2**63-1.

    Raises:
        ValueError: the amount is negative, too large or no whole number.
    """

    example: ClassVar[str] = "write it as '8G', '512M' or '1.5T'; a bare number is bytes"

    bytes: int = attrs.field()

    @bytes.validator  # noqa: A003 - the reference stores bytes, so that is the field's name
    def _in_range(self, _attribute: object, value: int) -> None:
        _check_range(Memory, "bytes", value)

    @classmethod
    def kb(cls, n: float) -> Memory:
        """Return ``n`` kibibytes (1024 bytes each), rounded up to a whole byte."""
        return cls(_whole("Memory.kb", n, _UNIT_BYTES["K"]))

    @classmethod
    def mb(cls, n: float) -> Memory:
        """Return ``n`` mebibytes (1024**2 bytes each), rounded up to a whole byte."""
        return cls(_whole("Memory.mb", n, _UNIT_BYTES["M"]))

    @classmethod
    def gb(cls, n: float) -> Memory:
        """Return ``n`` gibibytes (1024**3 bytes each), rounded up to a whole byte."""
        return cls(_whole("Memory.gb", n, _UNIT_BYTES["G"]))

    @classmethod
    def tb(cls, n: float) -> Memory:
        """Return ``n`` tebibytes (1024**4 bytes each), rounded up to a whole byte."""
        return cls(_whole("Memory.tb", n, _UNIT_BYTES["T"]))

    @classmethod
    def parse(cls, text: str) -> Memory:
        """Read ``8G``, ``8GB``, ``8GiB``, ``512M``, ``1.5T`` or a bare number of bytes, in any case.

        Raises:
            ValueError: ``text`` is something else, or too large.
        """
        match = _MEMORY.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"{text!r} is no amount of memory: {cls.example}")
        whole, fraction, letter = match.groups(default="")
        if fraction and not letter:
            raise ValueError(f"{text!r} has a part of a byte: {cls.example}")
        unit = _UNIT_BYTES[letter.upper() or "B"]
        amount = int(whole) * unit
        if fraction:
            amount += -(-int(fraction) * unit // 10 ** len(fraction))
        if amount > _LARGEST:
            raise ValueError(f"{text!r} is too much memory: the largest amount is 8191P; {cls.example}")
        return cls(amount)

    def __str__(self) -> str:
        """Return the shortest exact form, which ``parse`` reads back: ``'32G'``, ``'1536M'``, ``'1000B'``."""
        letter = self._largest_exact_unit("PTGMK")
        return f"{self.bytes // _UNIT_BYTES[letter]}{letter}"

    def to_slurm(self) -> str:
        """Return the value for Slurm's ``--mem``, always with a unit: a bare number would mean megabytes there.

        Slurm's smallest unit is the kilobyte; less is rounded up.
        Source: https://slurm.schedmd.com/sbatch.html, ``--mem``.
        """
        rounded = self.to_lsf_kb() * _UNIT_BYTES["K"]
        letter = next((u for u in "TGM" if rounded and rounded % _UNIT_BYTES[u] == 0), "K")
        return f"{rounded // _UNIT_BYTES[letter]}{letter}"

    def to_pbs(self) -> str:
        """Return the value for PBS's ``mem=``: ``'32gb'``, ``'1536mb'``, ``'1000b'``.

        Source: PBS Professional Reference Guide, "Formats: size".
        """
        letter = self._largest_exact_unit("TGMK")
        return f"{self.bytes // _UNIT_BYTES[letter]}{letter.lower().replace('b', '')}b"

    def to_lsf_kb(self) -> int:
        """Return whole kilobytes, rounded up. Which unit LSF expects is the site's ``LSF_UNIT_FOR_LIMITS``."""
        return -(-self.bytes // _UNIT_BYTES["K"])

    def _largest_exact_unit(self, letters: str) -> str:
        return next((u for u in letters if self.bytes and self.bytes % _UNIT_BYTES[u] == 0), "B")


@attrs.frozen(order=True)
class Duration:
    """A length of time, kept in whole seconds.

    Args:
        seconds: the length, from 0 to 2**63-1.

    Raises:
        ValueError: the length is negative, too large or no whole number.
    """

    example: ClassVar[str] = "write it as '2h30m', '90m', '04:00:00' or '1-12:00:00'; a bare number is seconds"

    seconds: int = attrs.field()

    @seconds.validator
    def _in_range(self, _attribute: object, value: int) -> None:
        _check_range(Duration, "seconds", value)

    @classmethod
    def minutes(cls, n: float) -> Duration:
        """Return ``n`` minutes, rounded up to a whole second."""
        return cls(_whole("Duration.minutes", n, _UNIT_SECONDS["m"]))

    @classmethod
    def hours(cls, n: float) -> Duration:
        """Return ``n`` hours, rounded up to a whole second."""
        return cls(_whole("Duration.hours", n, _UNIT_SECONDS["h"]))

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read ``2h30m``, ``90m``, ``45s``, ``2d``, ``[HH:]MM:SS``, ``D-HH[:MM[:SS]]`` or a bare number of seconds.

        Raises:
            ValueError: ``text`` is something else, or too large.
        """
        seconds = _parse_seconds(text.strip()) if isinstance(text, str) else None
        if seconds is None:
            raise ValueError(f"{text!r} is no length of time: {cls.example}")
        if seconds > _LARGEST:
            raise ValueError(f"{text!r} is too long a time; {cls.example}")
        return cls(seconds)

    def __str__(self) -> str:
        """Return the shortest form in units, which ``parse`` reads back: ``'2h30m'``, ``'1d12h'``, ``'0s'``."""
        parts, rest = [], self.seconds
        for letter, unit in _UNIT_SECONDS.items():
            count, rest = divmod(rest, unit)
            if count:
                parts.append(f"{count}{letter}")
        return "".join(parts) or "0s"

    def to_slurm(self) -> str:
        """Return ``[D-]HH:MM:SS`` for Slurm's ``--time``. Source: https://slurm.schedmd.com/sbatch.html."""
        days, rest = divmod(self.seconds, _UNIT_SECONDS["d"])
        clock = Duration(rest).to_pbs()
        return f"{days}-{clock}" if days else clock

    def to_pbs(self) -> str:
        """Return ``HH:MM:SS``, with as many hours as it takes, for PBS's ``walltime=``.

        Source: PBS Professional Reference Guide, "Formats: duration".
        """
        minutes, seconds = divmod(self.seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours:02}:{minutes:02}:{seconds:02}"

    def to_lsf_minutes(self) -> int:
        """Return whole minutes, rounded up, for LSF's ``-W``."""
        return -(-self.seconds // 60)


def _parse_seconds(text: str) -> int | None:
    if re.fullmatch(_NUMBER, text, re.ASCII):
        return int(text)
    if text and (match := _DURATION_UNITS.fullmatch(text)):
        amounts = match.groups(default="0")
        return sum(int(n) * unit for n, unit in zip(amounts, _UNIT_SECONDS.values(), strict=True))
    if match := _DURATION_CLOCK.fullmatch(text):
        hours, minutes, seconds = (int(n) for n in match.groups(default="0"))
        minutes_fit = match[1] is None or minutes < 60
        return hours * 3600 + minutes * 60 + seconds if minutes_fit and seconds < 60 else None
    if match := _DURATION_DAYS.fullmatch(text):
        days, hours, minutes, seconds = (int(n) for n in match.groups(default="0"))
        fits = hours < 24 and minutes < 60 and seconds < 60
        return days * 86_400 + hours * 3600 + minutes * 60 + seconds if fits else None
    return None
