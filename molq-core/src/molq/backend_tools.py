"""What backends share: lists that fit a command line, and checks of options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import attrs

from molq.field_rules import refusal

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def chunked(texts: Iterable[str], longest: int, *, overhead: int = 1) -> Iterator[list[str]]:
    """Split texts into lists that are short enough for one command.

    Args:
        texts: what is split, such as ids.
        longest: the most letters of one list.
        overhead: the letters that each text takes beside its own.
    """
    part: list[str] = []
    length = 0
    for text in texts:
        if part and length + len(text) + overhead > longest:
            yield part
            part, length = [], 0
        part.append(text)
        length += len(text) + overhead
    if part:
        yield part


def check_program(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept the name or path of a program as an option's value."""
    if not isinstance(value, str) or not value or value.startswith("-") or _CONTROL.search(value):
        raise refusal(instance, attribute, value, "the name or path of a program")


def check_one_of(kind: object) -> Any:
    """Return a check that accepts the members of a ``Literal`` as an option's value."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        choices = get_args(kind)
        if value not in choices:
            raise refusal(instance, attribute, value, f"one of {', '.join(map(repr, choices))}")

    return check


def as_tuple(value: object) -> object:
    """Return a list as a tuple, and all else as it is: what an option with several values is converted by."""
    return tuple(value) if isinstance(value, list) else value
