"""Print the files of an array's elements as they grow."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TextIO

from molq.cli.following import LogReader


def element_announcer() -> Callable[[int], None]:
    """Return what says on standard error which element is the next to be heard, once each time that it changes."""
    heard: list[int] = []

    def announce(index: int) -> None:
        if heard != [index]:
            heard[:] = [index]
            print(f"molq: element {index}:", file=sys.stderr)

    return announce


class ElementLogs:
    """Copies what is new in the files of an array's elements to a stream.

    Args:
        path: the path of their files, without the index that each has at its end.
        indices: the elements.
        stream: where their text goes.
        raw: whether control characters are passed on.
        announce: is called with an element's index before its text is copied.
    """

    def __init__(
        self, path: str, indices: Iterable[int], stream: TextIO, *, raw: bool, announce: Callable[[int], None]
    ) -> None:
        self._folder, name = os.path.split(path)
        self._announce = announce
        self._readers = {f"{name}.{i}": (i, LogReader(f"{path}.{i}", stream, raw=raw)) for i in indices}

    def pump(self) -> None:
        """Copy what has been written since the last call, by the elements' indices."""
        for index, reader in sorted(self._with_news(), key=lambda found: found[0]):
            self._announce(index)
            reader.pump()

    def _with_news(self) -> list[tuple[int, LogReader]]:
        # One look into the folder: to open the files of a thousand elements in each turn would take too long.
        try:
            with os.scandir(self._folder) as entries:
                sizes = {entry.name: entry.stat().st_size for entry in entries if entry.name in self._readers}
        except OSError:
            return []
        found = [(size, *self._readers[name]) for name, size in sizes.items()]
        return [(index, reader) for size, index, reader in found if size > reader.position]
