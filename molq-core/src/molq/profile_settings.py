"""List all settings of a profile, with what the file leaves at its default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from molq.config import MolqProfile, load_profile, profile_kinds
from molq.job_spec import SubmitorDefaults
from molq.plain_values import field_kinds, inner_kind, is_class, to_plain
from molq.profile_file import ProfileFile

_HIDDEN = "(not shown)"


@attrs.frozen
class Setting:
    """One setting of a profile.

    Attributes:
        key: its key, as ``molq profile set`` takes it.
        value: the value that holds, as a plain one.
        is_set: whether the file sets it.
    """

    key: str
    value: Any
    is_set: bool


def settings_of(name: str, path: str | os.PathLike[str] | None = None) -> list[Setting]:
    """Return the settings of a profile, in the order of the reference.

    Raises:
        ConfigError: there is no such profile, or something in it is wrong.
    """
    profile = load_profile(name, path)
    table = ProfileFile.read(path).table(name)
    kinds, _ = profile_kinds(table)
    return [*_settings(profile, kinds, table, "")]


def _settings(value: Any, kinds: Mapping[str, Any], table: Any, prefix: str) -> Iterator[Setting]:
    for name, kind in kinds.items():
        part = getattr(value, name)
        is_set = isinstance(table, Mapping) and name in table
        inner = inner_kind(kind)
        field = attrs.fields_dict(type(value))[name]
        # Elsewhere, None is not the same as a table of defaults.
        is_whole = isinstance(value, MolqProfile | SubmitorDefaults)
        if is_class(inner) and (part is not None or is_whole):
            below = table[name] if is_set else {}
            yield from _settings(inner() if part is None else part, field_kinds(inner), below, f"{prefix}{name}.")
        elif isinstance(part, dict):
            shown = part if field.repr else dict.fromkeys(part, _HIDDEN)
            yield from (Setting(f"{prefix}{name}.{key}", text, is_set) for key, text in shown.items())
        else:
            yield Setting(prefix + name, to_plain(part), is_set)
