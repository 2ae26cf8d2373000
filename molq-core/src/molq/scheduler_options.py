"""Read a backend's options from ``KEY=VALUE`` arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from molq.backend import SchedulerOptions
from molq.discovery import load_backend
from molq.errors import ConfigError
from molq.plain_problems import PlainValueError
from molq.plain_values import field_kinds, read
from molq.typed_text import from_text


def parse_options(
    scheduler: str, pairs: Sequence[str], base: SchedulerOptions | None = None
) -> SchedulerOptions | None:
    """Return the options that ``pairs`` set, over those of ``base``; ``base`` itself if there are none.

    Raises:
        ConfigError: a pair has no ``=``, or the backend has no such option, or not with this value.
    """
    if not pairs:
        return base
    kind = load_backend(scheduler).description.options_class
    values = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator:
            raise ConfigError(f"-o takes KEY=VALUE, not {pair!r}")
        values[key] = parse_option(kind, key, text)
    try:
        return attrs.evolve(base or kind(), **values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the options of {scheduler!r} cannot be used: {error}") from error


def parse_option(options_class: type[SchedulerOptions], name: str, text: str) -> Any:
    """Return the value of one option that somebody typed; commas separate the parts of a tuple.

    Raises:
        ConfigError: there is no such option, or the text is no value for it.
    """
    kinds = field_kinds(options_class)
    if name not in kinds:
        raise ConfigError(f"{options_class.__name__} has no option {name!r}; it has {', '.join(kinds)}")
    try:
        return read(from_text(text, kinds[name]), kinds[name])
    except PlainValueError as error:
        raise ConfigError(
            f"{text!r} is no value for the option {name!r} of {options_class.__name__}: {error}"
        ) from error
