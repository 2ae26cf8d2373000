"""Give fake schedulers what they share: a file of their state, and executables that read and change it.

It imports nothing of weight: each call of a fake program imports it anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]
"""A part of the state, such as a job."""

_RUNNER = """\
import os, signal, sys
sys.path[:0] = {sources!r}
from {package}.testing.programs import main
code = main({folder!r}, sys.argv[1], sys.argv[2:])
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
_WRAPPER = '#!/bin/sh\nexec "{python}" -IS "{runner}" {name} "$@"\n'


class FakeFile:
    """The file of a fake scheduler, held locked while it is open.

    Args:
        folder: where it is.
        new: the state of a scheduler to which nothing has happened yet.
    """

    def __init__(self, folder: str, new: Record) -> None:
        self.path = os.path.join(folder, "cluster.json")
        self._log = os.path.join(folder, "commands.log")
        self._new = new

    @contextlib.contextmanager
    def opened(self) -> Iterator[Record]:
        """Give the state, and write it back if it has changed."""
        with open(f"{self.path}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            text = self._text()
            state: Record = json.loads(text)
            yield state
            changed = json.dumps(state)
            if changed != text:
                with open(f"{self.path}.new", "w") as new:
                    new.write(changed)
                os.replace(f"{self.path}.new", self.path)

    def log_command(self, words: list[str]) -> None:
        """Remember that a program was run."""
        with open(self._log, "a") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            log.write(json.dumps(words) + "\n")

    def commands(self) -> list[list[str]]:
        """Return the programs that were run, with their arguments."""
        try:
            with open(self._log) as log:
                return [json.loads(line) for line in log]
        except FileNotFoundError:
            return []

    def _text(self) -> str:
        try:
            with open(self.path) as file:
                return file.read()
        except FileNotFoundError:
            return json.dumps(self._new)


def install_programs(package: str, names: Iterable[str], folder: Path) -> Path:
    """Make executables below a fake scheduler's folder, and return their folder.

    Args:
        package: whose ``testing.programs.main(folder, name, argv)`` each of them calls; a negative exit code is a death
            by that signal.
        names: what they are called.
        folder: the fake scheduler's folder.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    modules = (sys.modules[package], sys.modules["molq"])
    sources = [str(Path(str(module.__file__)).parent.parent) for module in modules]
    runner = programs / "runner.py"
    runner.write_text(_RUNNER.format(sources=sources, package=package, folder=str(folder)))
    for name in names:
        path = programs / name
        path.write_text(_WRAPPER.format(python=sys.executable, runner=runner, name=name))
        path.chmod(0o755)
    return programs
