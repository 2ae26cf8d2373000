"""The grammar of each kind of field in a request: what is let in can do no harm where schedulers read it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from molq.errors import ConfigError
from molq.quantities import Duration, Memory

_LONGEST_VARIABLE = 128 * 1024
"""The most bytes of one variable, with its name, that Linux gives to a program (MAX_ARG_STRLEN)."""

_ENV_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_GPU_TYPE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,10}", re.ASCII)
# Surrogates are half characters: the database takes none, and files only those that stand for a byte (dc80-dcff).
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNWRITABLE = re.compile(r"[\x00\ud800-\udc7f\udd00-\udfff]")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_SHELL = re.compile(r"[\"'`$\\]")

_Check = Callable[[object, "attrs.Attribute[Any]", Any], None]


def refusal(instance: object, attribute: attrs.Attribute[Any], value: object, wanted: str) -> ValueError:
    """Return the error for a field's wrong value, with what would be right."""
    return ValueError(f"{type(instance).__name__}.{attribute.name} must be {wanted}, not {value!r}")


def check_positive_int(instance: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    """Accept whole numbers from 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise refusal(instance, attribute, value, "a whole number of at least 1")


def is_word(value: object) -> bool:
    """Tell whether this can stand behind ``--option=`` or in a directive: one word that is no option itself."""
    if not isinstance(value, str) or value.split() != [value] or value.startswith("-"):
        return False
    return not _CONTROL.search(value) and not _SHELL.search(value)


def check_word(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Accept one word that no shell and no option parser takes for anything else."""
    if value is not None and not is_word(value):
        raise refusal(instance, attribute, value, "one word without spaces, quotes, '$', '\\' or a leading '-'")


def check_address(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Accept an e-mail address."""
    # An apostrophe is a letter of names, and so of addresses.
    if value is not None and not is_word(value.replace("'", "x") if isinstance(value, str) else value):
        raise refusal(instance, attribute, value, "an address such as 'me@example.org'")


def check_priority(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Accept a word or a whole number."""
    if value is not None and not is_word(value) and not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise refusal(instance, attribute, value, "a text of one word or number, such as 'high', '100' or '-10'")


def check_gpu_type(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Accept the name of a kind of GPU."""
    # What separates the parts of a request, such as ':' in Slurm's gpu:a100:2, would change it.
    if value is not None and not (isinstance(value, str) and _GPU_TYPE.fullmatch(value)):
        raise refusal(instance, attribute, value, "a kind of GPU in letters, digits, '_', '.' and '-', such as 'a100'")


def check_line(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Accept one line of text."""
    if value is not None and (not isinstance(value, str) or not value.strip() or _CONTROL.search(value)):
        raise refusal(instance, attribute, value, "one line of text without control characters")


def check_text(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Accept any text that can be written to a file."""
    if value is not None and (not isinstance(value, str) or not value or _UNWRITABLE.search(value)):
        raise refusal(instance, attribute, value, "a text that is not empty and has no NUL or half a character")


def check_name(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Accept any text that can be stored."""
    if value is not None and (not isinstance(value, str) or not value.strip() or _UNSTORABLE.search(value)):
        raise refusal(instance, attribute, value, "a text that is not blank and has no NUL or half a character")


def check_bool(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept True and False."""
    if not isinstance(value, bool):
        raise refusal(instance, attribute, value, "True or False")


def check_quantity(kind: type[Memory | Duration]) -> _Check:
    """Return a check that accepts quantities of one kind that are more than zero."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None:
            return
        if not isinstance(value, kind):
            raise refusal(instance, attribute, value, f"a {kind.__name__}, such as {kind.__name__}.parse(…)")
        if value == kind(0):
            raise ValueError(f"{type(instance).__name__}.{attribute.name} must be more than 0")

    return check


def convert_script_path(value: str | os.PathLike[str] | None) -> Path | None:
    """Return the path of a script."""
    if value is None:
        return None
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str) or not path or _UNWRITABLE.search(path):
        raise ValueError(f"Script.path takes the path of a file, such as 'train.sh', not {value!r}")
    return Path(path)


def convert_env(value: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return a copy of variables that a program can be given."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"JobExecution.env must be a dictionary of texts, not a {type(value).__name__}")
    for key, text in value.items():
        if not isinstance(key, str) or not _ENV_KEY.fullmatch(key):
            raise ValueError(
                f"JobExecution.env has the name {key!r}: names are letters, digits and _, and start with no digit"
            )
        if not isinstance(text, str) or _UNWRITABLE.search(text):
            # The value itself may be a secret, so it is not repeated here.
            raise ValueError(f"JobExecution.env[{key!r}] must be a text without NUL or half a character")
        if len(key) + len(os.fsencode(text)) + 2 > _LONGEST_VARIABLE:
            raise ValueError(
                f"JobExecution.env[{key!r}] is longer than the {_LONGEST_VARIABLE} bytes that Linux takes; use a file"
            )
    return dict(value)


def check_optional(kind: type) -> _Check:
    """Return a check that accepts values of one kind, and None."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None and not isinstance(value, kind):
            raise ValueError(_not_of(kind, f"{type(instance).__name__}.{attribute.name}", value))

    return check


def check_argument(name: str, value: object, *kinds: type, wanted: str | None = None) -> None:
    """Accept an argument of some kinds, and None.

    Args:
        name: the argument's name.
        value: what was given.
        kinds: what is accepted.
        wanted: what is accepted, in words; by default the name of the first kind.

    Raises:
        ConfigError: it is of another kind; the sentence says of which, and what is right.
    """
    if value is not None and not isinstance(value, kinds):
        raise ConfigError(_not_of(kinds[0], name, value, wanted))


def check_seconds(name: str, value: float | None) -> None:
    """Accept a number of seconds, also one without end, and None.

    Raises:
        ConfigError: it is something else.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    if value is not None and not is_number:
        raise ConfigError(f"{name} must be a number of seconds, not {_shown(value)}")


def checked_ids(name: str, value: object) -> tuple[str, ...]:
    """Return ids of jobs, which are in a list or the like; none for None.

    Raises:
        ConfigError: it is something else.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        raise ConfigError(f"{name} takes a list of job ids, such as [{value!r}]")
    if not isinstance(value, Iterable):
        raise ConfigError(f"{name} takes a list of job ids, not {_shown(value)}")
    job_ids = tuple(value)
    for job_id in job_ids:
        if not is_word(job_id):
            hint = "; give its job_id" if hasattr(job_id, "job_id") else ""
            raise ConfigError(f"{name} takes a list of job ids, not of {_shown(job_id)}{hint}")
    return job_ids


def _not_of(kind: type, name: str, value: object, wanted: str | None = None) -> str:
    # The value itself may hold an environment, so it is not repeated here.
    return f"{name} must be {wanted or _named(kind)}, not {_named(type(value))}"


def _shown(value: object) -> str:
    """Return a plain value, and of any other the kind."""
    return repr(value) if value is None or isinstance(value, str | int | float) else _named(type(value))


def _named(kind: type) -> str:
    name = kind.__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
