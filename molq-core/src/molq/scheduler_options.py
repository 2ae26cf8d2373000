"""Read a backend's options from ``KEY=VALUE`` arguments."""

from __future__ import annotations

from collections.abc import Sequence

from molq.backend import SchedulerOptions
from molq.discovery import load_backend
from molq.errors import ConfigError
from molq.snapshots import parse_option


def parse_options(scheduler: str, pairs: Sequence[str]) -> SchedulerOptions | None:
    """Return the options that ``pairs`` set; None if there are none.

    Raises:
        ConfigError: a pair has no ``=``, or the backend has no such option, or not with this value.
    """
    if not pairs:
        return None
    kind = load_backend(scheduler).description.options_class
    values = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator:
            raise ConfigError(f"-o takes KEY=VALUE, not {pair!r}")
        values[key] = parse_option(kind, key, text)
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the options of {scheduler!r} cannot be used: {error}") from error
