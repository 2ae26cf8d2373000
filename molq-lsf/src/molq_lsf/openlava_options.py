"""Say which options OpenLava's bsub has: it takes those that it lacks for something else."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Source: bsub(1) of OpenLava 2.2, and the table of options in its source.
_WITH_VALUE = frozenset({*"CDEFJLMPRSWabcefikmnopqstuvw", "is", "sp"})
_ALONE = frozenset({*"BHIKNVhrx", "Ip", "Is", "Zs"})
_GLUED_NUMBER = re.compile(r"[A-Za-z]\d\S*", re.ASCII)


def first_misread(flags: Iterable[str]) -> str | None:
    """Return the first word that OpenLava would not take for what it is meant; None if there is none.

    ``-app fluent`` would be ``-a pp`` and the command ``fluent``, and the script would not be read.
    """
    words = iter(flags)
    for word in words:
        name = word[1:] if word.startswith("-") else ""
        if name in _WITH_VALUE:
            next(words, None)
        elif name not in _ALONE and not (_GLUED_NUMBER.fullmatch(name) and name[0] in _WITH_VALUE):
            return word
    return None
