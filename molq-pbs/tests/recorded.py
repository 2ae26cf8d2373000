"""Read the recorded transcripts of a real OpenPBS in tests/data."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

FOLDER = Path(__file__).parent / "data" / "openpbs-23.06.06"
_BLOCK = re.compile(
    r"^(?:\$|root#) (?P<command>.*?)\n(?:env\+: (?P<env>.*?)\n)?exit: (?P<code>\d+|TIMED OUT[^\n]*?)   \([^)]*\)\n"
    r"stdout(?:: \(empty\)| \(\d+ bytes\):)\n(?P<out>.*?)^stderr(?:: \(empty\)| \((?P<size>\d+) bytes\):)\n",
    re.MULTILINE | re.DOTALL,
)


@attrs.frozen
class Block:
    """One command and what it answered."""

    command: str
    environment: str
    exit_code: int
    stdout: str
    stderr: str


def blocks(name: str) -> list[Block]:
    """Return the commands of a transcript, in order, but for those that were given up on."""
    text = (FOLDER / f"{name}.txt").read_text()
    return [
        Block(
            m["command"],
            m["env"] or "",
            int(m["code"]),
            m["out"],
            text.encode()[len(text[: m.end()].encode()) :][: int(m["size"] or 0)].decode(),
        )
        for m in _BLOCK.finditer(text)
        if m["code"].isdigit()
    ]


def block(name: str, command: str, occurrence: int = 0) -> Block:
    """Return what one command of a transcript answered."""
    found = [one for one in blocks(name) if one.command == command]
    assert found, f"{name} has no {command!r}"
    return found[occurrence]
