"""Read the recorded transcripts of a real Slurm in tests/data."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

FOLDER = Path(__file__).parent / "data" / "slurm-22.05.8"
_BLOCK = re.compile(
    r"^=== cmd(?P<user> \[as \w+\])?\n(?P<command>.*?)\n(?:=== stdin\n.*?)?=== exit (?P<code>\d+) \([^)]*\)\n"
    r"=== stdout\n(?P<out>.*?)^=== stderr\n(?P<err>.*?)^=== end(?P<cut> \(no final newline\))?$",
    re.MULTILINE | re.DOTALL,
)


@attrs.frozen
class Block:
    """One command and what it answered."""

    command: str
    exit_code: int
    stdout: str
    stderr: str


def blocks(name: str) -> list[Block]:
    """Return the commands of a transcript, in order."""
    text = (FOLDER / f"{name}.txt").read_text()
    return [Block(m["command"], int(m["code"]), m["out"], m["err"]) for m in _BLOCK.finditer(text)]


def block(name: str, command: str, occurrence: int = 0) -> Block:
    """Return what one command of a transcript answered."""
    found = [one for one in blocks(name) if one.command == command]
    assert found, f"{name} has no {command!r}"
    return found[occurrence]
