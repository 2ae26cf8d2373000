"""Read the recorded transcripts of a real OpenLava in tests/data."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

FOLDER = Path(__file__).parent / "data" / "openlava-2.2"
_BLOCK = re.compile(
    r"^\$ (?P<command>(?:[^\n]|\n(?!--- ))*)\n(?:--- stdin\n(?P<stdin>.*?))?^--- exit code: (?P<code>-?\d+)[^\n]*\n"
    r"--- stdout\n(?P<out>.*?)^--- stderr\n(?P<err>.*?)(?=^\n^(?:\$|#) |^\n\Z|\Z)",
    re.MULTILINE | re.DOTALL,
)


@attrs.frozen
class Block:
    """One command and what it answered."""

    command: str
    stdin: str | None
    exit_code: int
    stdout: str
    stderr: str


def blocks(name: str) -> list[Block]:
    """Return the commands of a transcript, in order."""
    text = (FOLDER / f"{name}.txt").read_text()
    return [Block(m["command"], m["stdin"], int(m["code"]), m["out"], m["err"]) for m in _BLOCK.finditer(text)]


def block(name: str, command: str, occurrence: int = 0) -> Block:
    """Return what one command of a transcript answered."""
    found = [one for one in blocks(name) if one.command == command]
    assert found, f"{name} has no {command!r}"
    return found[occurrence]
