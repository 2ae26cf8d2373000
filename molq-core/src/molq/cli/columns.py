"""Lay out rows of cells in columns, within the width of a terminal if there is one."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence

_GAP = "  "
_NARROWEST = 8
_ROOM_FOR_THE_LAST = 30


def shortened(text: str, width: int) -> str:
    """Return a text that is cut, with a mark, if it is wider than this."""
    return text if len(text) <= width else text[: width - 1] + "…"


def laid_out(rows: Sequence[Sequence[str]], width: int | None, to_cut: Collection[int] = ()) -> Iterator[str]:
    """Yield the lines of a table.

    Args:
        rows: the cells, each of one line.
        width: the columns that the terminal has; None for as many as it takes.
        to_cut: the columns that may be cut where there is not enough room; of the others nothing is lost, since the
            last one goes on in further lines.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    room = None
    if width is not None and _total(widths) > width:
        _cut(widths, width, to_cut)
        room = width - (_total(widths) - widths[-1])
    for row in rows:
        cells = [
            shortened(cell, w) if i in to_cut else cell for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        *first, last = cells
        head = "".join(cell.ljust(w) + _GAP for cell, w in zip(first, widths, strict=False))
        for number, part in enumerate(_wrapped(last, room)):
            yield (head + part if number == 0 else " " * len(head) + part).rstrip()


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _cut(widths: list[int], width: int, to_cut: Collection[int]) -> None:
    """Take from the columns that may be cut, the widest first, until there is some room for the last."""
    missing = _total(widths) - widths[-1] + min(widths[-1], _ROOM_FOR_THE_LAST) - width
    while missing > 0 and (wide := [i for i in to_cut if widths[i] > _NARROWEST]):
        widths[max(wide, key=widths.__getitem__)] -= 1
        missing -= 1


def _wrapped(text: str, room: int | None) -> list[str]:
    if room is None or len(text) <= room or room < _NARROWEST:
        return [text]
    # What has no spaces, such as a path, stays whole so that it can be copied.
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
