"""What is wrong with a plain value, as a sentence with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

_ALIKE = 0.72
"""How alike a word must be to be meant: ``que`` is ``queue``, and ``memory_flag`` is not ``memory``."""


@attrs.frozen
class Problem:
    """What is wrong with one value.

    Attributes:
        path: the keys and indices that lead to the value.
        wanted: what would be right.
        found: the value, for people; empty if the sentence has it already, or if it may be a secret.
    """

    path: tuple[str | int, ...]
    wanted: str
    found: str = ""

    @property
    def sentence(self) -> str:
        """What is wrong, and what would be right."""
        return f"{self.wanted}, not {self.found}" if self.found else self.wanted

    def under(self, key: str | int) -> Problem:
        """Return the problem as the table or list around it has it."""
        return attrs.evolve(self, path=(key, *self.path))


class PlainValueError(ValueError):
    """A plain value does not fit.

    Attributes:
        problems: everything that is wrong with it.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.sentence for problem in self.problems))


def refusal(wanted: str, found: str = "") -> PlainValueError:
    """Return the error for one value that does not fit."""
    return PlainValueError([Problem((), wanted, found)])


def nearest(word: object, known: Iterable[str]) -> str | None:
    """Return what a misspelt word may have meant."""
    # Slow to import, and most words are spelt right.
    import difflib

    close = difflib.get_close_matches(str(word), [*known], n=1, cutoff=_ALIKE)
    return close[0] if close else None


def suggestion(word: object, known: Iterable[str]) -> str:
    """Return what a misspelt word may have meant, or else the words that there are."""
    words = [*known]
    if meant := nearest(word, words):
        return f"did you mean {meant!r}?"
    return f"there are {', '.join(words)}" if words else "there are none"


def shown(plain: object) -> str:
    """Return a value as TOML has it, in short; a text and a number are easily taken for one another."""
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, Mapping):
        return "a table"
    if isinstance(plain, list | tuple):
        return "a list"
    return repr(plain) if isinstance(plain, str | int | float) or plain is None else str(plain)
