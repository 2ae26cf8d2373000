"""The tables of profiles in the file that has them, before they are read, and how its mistakes are told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from molq.config_file import config_path, parse, read_text
from molq.errors import ConfigFileError
from molq.plain_problems import Problem, suggestion
from molq.toml_keys import dotted


@attrs.frozen
class ProfileFile:
    """A file of profiles as it was read.

    Attributes:
        path: where it is.
        text: its text; None if there is no such file.
        tables: the profiles' tables, by name.
        strangers: what else is in the file, which is wrong there.
    """

    path: Path
    text: str | None
    tables: Mapping[str, object]
    strangers: tuple[Problem, ...]

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None = None) -> ProfileFile:
        """Read a file.

        Args:
            path: the file, which must be there; by default ``config.toml`` in ``MOLQ_HOME``, which need not be.

        Raises:
            ConfigFileError: it cannot be read, is not TOML or could have been written by somebody else.
        """
        place = config_path(path)
        text = read_text(place)
        if text is None and path is not None:
            raise ConfigFileError(f"there is no file {str(place)!r} with profiles; check the path", path=place)
        return cls.of_text(place, text)

    @classmethod
    def of_text(cls, place: Path, text: str | None) -> ProfileFile:
        """Return the file that has this text.

        Raises:
            ConfigFileError: it is not TOML, or has no tables of profiles.
        """
        plain = parse(text or "", place)
        tables: Any = plain.pop("profiles", {})
        strangers = tuple(Problem((key,), f"there is no such key; {suggestion(key, ['profiles'])}") for key in plain)
        if not isinstance(tables, dict):
            raise config_error(place, [Problem(("profiles",), "must be a table, which is written [profiles.NAME]")])
        return cls(place, text, tables, strangers)

    def table(self, name: str) -> object:
        """Return the table of a profile.

        Raises:
            ConfigFileError: there is none, which lists those there are.
        """
        if name in self.tables:
            return self.tables[name]
        if self.tables:
            hint = suggestion(name, self.tables)
            rest = "" if hint.startswith("there are") else f" There are {', '.join(self.tables)}"
            what = f"; {hint}{rest}"
        elif self.text is None:
            what = ": there is no such file; begin one with: molq profile init"
        else:
            what = ": it has no profile" + ("" if self.strangers else "; see: molq profile --help")
        told = "".join(f"; {dotted(problem.path)}: {problem.sentence}" for problem in self.strangers)
        raise ConfigFileError(f"there is no profile {name!r} in {str(self.path)!r}{what}{told}", path=self.path)

    def error(self, problems: Iterable[Problem]) -> ConfigFileError:
        """Return the error that tells what is wrong with the file."""
        return config_error(self.path, problems)


def config_error(path: Path, problems: Iterable[Problem]) -> ConfigFileError:
    """Return the error that tells what is wrong with a file, one mistake a line if there are several."""
    lines = problem_lines(problems)
    if len(lines) == 1:
        return ConfigFileError(f"{str(path)!r}: {lines[0]}", path=path, problems=lines)
    told = "".join(f"\n  {line}" for line in lines)
    return ConfigFileError(f"{str(path)!r} has {len(lines)} mistakes:{told}", path=path, problems=lines)


def problem_lines(problems: Iterable[Problem]) -> list[str]:
    """Return a sentence for each problem, which begins with its key."""
    return [f"{dotted(problem.path)}: {problem.sentence}" for problem in problems]
