"""Change the file of profiles: set a key, unset one, or begin a file."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import attrs

from molq.config import profile_kinds, profile_problems
from molq.config_file import config_path, read_text, replace_text
from molq.errors import ConfigError, ConfigFileError
from molq.plain_problems import PlainValueError, Problem, suggestion
from molq.plain_values import field_kinds, inner_kind, is_class, read
from molq.profile_file import ProfileFile, problem_lines
from molq.toml_edits import remove, set_value
from molq.toml_statements import EditError
from molq.typed_text import from_text


@attrs.frozen
class Edit:
    """What an edit did.

    Attributes:
        path: the file.
        value: the value that is set; None if something was unset.
        left: what is still wrong with the profile, and was before.
        is_secret: whether the value may be one, which must not be shown.
    """

    path: Path
    value: Any = attrs.field(repr=False)
    left: tuple[Problem, ...]
    is_secret: bool = False


def set_key(name: str, key: str, text: str, path: str | os.PathLike[str] | None = None) -> Edit:
    """Set one key of a profile, which is made if need be.

    Args:
        name: the profile.
        key: the key, with dots: ``defaults.resources.memory``.
        text: the value, as somebody typed it.
        path: the file; by default ``config.toml`` in ``MOLQ_HOME``.

    Raises:
        ConfigError: there is no such key, the text is no value for it, or the profile could not be loaded then. The
            file was not changed.
    """
    file = _read(path)
    _check_scheduler_first(name, key, file)
    table = file.tables.get(name, {})
    keys = tuple(key.split("."))
    # A new scheduler decides which options there are.
    after = {**table, "scheduler": text} if keys == ("scheduler",) and isinstance(table, Mapping) else table
    kinds = profile_kinds(after)[0]
    kind = _kind_of(keys, kinds)
    value = from_text(text, kind)
    try:
        read(value, kind)
    except PlainValueError as error:
        raise ConfigError("; ".join(f"{key}: {problem.sentence}" for problem in error.problems)) from error
    left = _rewrite(file, name, lambda text: set_value(text, ("profiles", name, *keys), value))
    return Edit(file.path, value, left, is_secret=_may_be_secret(keys, kinds))


def unset_key(name: str, key: str | None, path: str | os.PathLike[str] | None = None) -> Edit:
    """Take one key out of a profile, or a table of keys, or without a ``key`` the whole profile.

    Raises:
        ConfigError: it is not there, or the profile could not be loaded then. The file was not changed.
    """
    file = _read(path)
    inner = file.table(name)
    keys = tuple(key.split(".")) if key is not None else ()
    for depth, part in enumerate(keys):
        if not isinstance(inner, Mapping) or part not in inner:
            have = suggestion(part, inner) if isinstance(inner, Mapping) and inner else "there is nothing below it"
            where = ".".join(keys[:depth]) or f"profile {name!r}"
            raise ConfigError(f"{where} does not set {part!r}; {have}")
        inner = inner[part]
    left = _rewrite(file, name, lambda text: remove(text, ("profiles", name, *keys)))
    return Edit(file.path, None, left)


def begin_file(text: str, path: str | os.PathLike[str] | None = None) -> Path:
    """Write a new file, and return its path.

    Raises:
        ConfigError: there is one already, which is left as it is.
    """
    place = config_path(path)
    if os.path.lexists(place):
        raise ConfigFileError(
            f"{str(place)!r} is there already; it was left as it is. Begin a profile in it with: "
            "molq profile set NAME scheduler SCHEDULER",
            path=place,
        )
    replace_text(place, text, None)
    return place


def _read(path: str | os.PathLike[str] | None) -> ProfileFile:
    """Read the file, which need not be there."""
    place = config_path(path)
    return ProfileFile.of_text(place, read_text(place))


def _rewrite(file: ProfileFile, name: str, edit: Callable[[str], str]) -> tuple[Problem, ...]:
    """Write the file anew, unless the profile would be wrong in a way in which it was not; return what is left."""
    try:
        new = edit(file.text or "")
    except EditError as error:
        raise ConfigFileError(f"{str(file.path)!r}: {error}; edit the file by hand", path=file.path) from error
    before = _problems(name, file)
    after = _problems(name, ProfileFile.of_text(file.path, new))
    if added := problem_lines(problem for problem in after if problem not in before):
        raise ConfigFileError(
            f"{str(file.path)!r} was left as it is: {'; '.join(added)}", path=file.path, problems=added
        )
    if new != file.text:
        replace_text(file.path, new, file.text)
    return after


def _problems(name: str, file: ProfileFile) -> tuple[Problem, ...]:
    return profile_problems(name, file.tables[name]) if name in file.tables else ()


def _check_scheduler_first(name: str, key: str, file: ProfileFile) -> None:
    """Refuse to begin a profile with another key: most often its name is misspelt."""
    if name in file.tables or key == "scheduler":
        return
    have = f" ({suggestion(name, file.tables)})" if file.tables else ""
    begin = shlex.join(["molq", "profile", "set", name, "scheduler"])
    raise ConfigFileError(
        f"there is no profile {name!r} in {str(file.path)!r}{have}; begin one with: {begin} SCHEDULER", path=file.path
    )


def _may_be_secret(keys: tuple[str, ...], kinds: Mapping[str, Any]) -> bool:
    """Tell whether a key is in a field that its class does not show, as it is with variables."""
    for key, below in itertools.pairwise(keys):
        kind = inner_kind(kinds[key])
        if not is_class(kind):
            return False
        if not attrs.fields_dict(kind)[below].repr:
            return True
        kinds = field_kinds(kind)
    return False


def _kind_of(keys: tuple[str, ...], kinds: Mapping[str, Any]) -> Any:
    """Return the type of a key's value.

    Raises:
        ConfigError: there is no such key, or it is a table.
    """
    kind: Any = None
    for depth, key in enumerate(keys):
        where = ".".join(keys[:depth]) or "a profile"
        if key not in kinds:
            raise ConfigError(f"{where} has no key {key!r}; {suggestion(key, kinds)}")
        kind = inner_kind(kinds[key])
        rest = keys[depth + 1 :]
        if kind is Any:
            raise ConfigError(f"the backend that knows {key} is not installed, or scheduler is not set; set that first")
        if is_class(kind):
            kinds = field_kinds(kind)
            if not rest:
                raise ConfigError(f"{'.'.join(keys)} is a table; set a key in it: {', '.join(kinds)}")
        elif get_origin(kind) is dict:
            if not rest:
                raise ConfigError(f"{'.'.join(keys)} is a table; set a name in it: {'.'.join(keys)}.NAME")
            kinds = dict.fromkeys(rest[:1], get_args(kind)[1])
        elif get_origin(kind) is tuple and is_class(get_args(kind)[0]):
            raise ConfigError(f"{'.'.join(keys)} is a list of tables; edit the file to set it")
        elif rest:
            raise ConfigError(f"{'.'.join(keys[: depth + 1])} is a value, and has no key {rest[0]!r}")
    return kind
