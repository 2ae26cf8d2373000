"""Tell which plain value somebody meant who typed a text."""

from __future__ import annotations

import re
from typing import Any, get_args, get_origin

from molq.plain_values import inner_kind

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def from_text(text: str, kind: Any) -> Any:
    """Return what somebody typed as the plain value that ``kind`` is read from.

    Commas separate the parts of a tuple; a list in brackets is read as TOML. What is no such value stays a text.
    """
    kind = inner_kind(kind)
    if kind is bool:
        return _WORDS.get(text.lower(), text)
    if kind in (int, float) and _WHOLE.fullmatch(text):
        return int(text)
    if kind is float:
        try:
            return float(text)
        except ValueError:
            return text
    if get_origin(kind) is tuple:
        if text.startswith("["):
            import tomllib  # slow, and seldom needed

            try:
                return tomllib.loads(f"list = {text}")["list"]
            except ValueError:
                return text
        return [from_text(part.strip(), get_args(kind)[0]) for part in text.split(",")] if text else []
    return text
