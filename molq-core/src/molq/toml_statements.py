"""Cut the text of a TOML file into statements, each with its place and what it says."""

from __future__ import annotations

import enum
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

Path = tuple[str, ...]

# Not as str.splitlines does it, to which some characters within a text are ends of lines too.
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class EditError(ValueError):
    """The text is written in a way in which this value cannot be changed alone."""


class Kind(enum.Enum):
    """What a statement is; trivia are comments and empty lines."""

    HEADER = enum.auto()
    PAIR = enum.auto()
    TRIVIA = enum.auto()


@attrs.frozen
class Statement:
    """A line of TOML, or the lines that a value takes.

    Attributes:
        text: its characters, with the end of the line.
        kind: what it is.
        table: the table that it is in, or whose header it is.
        plain: for a pair, what it amounts to by itself.
    """

    text: str
    kind: Kind
    table: Path
    plain: Mapping[str, Any]


def statements(text: str) -> Iterator[Statement]:
    """Yield the statements of a text that is TOML; together they are the whole text."""
    table: Path = ()
    pending = ""
    for line in _LINE.findall(text):
        pending += line
        try:
            plain = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            # The value goes on in the next line.
            continue
        if not plain:
            kind = Kind.TRIVIA
        elif pending.lstrip().startswith("["):
            kind, table = Kind.HEADER, (*_chain(plain),)
        else:
            kind = Kind.PAIR
        yield Statement(pending, kind, table, plain)
        pending = ""
    if pending:
        raise EditError("the end of the file is missing")


def _chain(plain: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of a header, of which each table has but one."""
    inner: Any = plain
    while inner:
        ((key, inner),) = inner.items()
        yield key
        if isinstance(inner, list):
            return


def depth_of(plain: Any, keys: Sequence[str]) -> int:
    """Return how many of the keys lead into a value."""
    for depth, key in enumerate(keys):
        if not isinstance(plain, Mapping) or key not in plain:
            return depth
        plain = plain[key]
    return len(keys)
