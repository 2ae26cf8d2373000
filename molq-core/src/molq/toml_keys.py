"""Write the keys of TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def dotted(path: Iterable[str | int]) -> str:
    """Return a path of keys and indices as people read it: ``profiles.gpu.retry.retry_on_states[1]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{quoted(part)}"
    return text.removeprefix(".")


def quoted(key: str) -> str:
    """Return one key, in quotes if it needs them."""
    # The escapes of JSON are those of TOML, but that TOML escapes DEL too.
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")
