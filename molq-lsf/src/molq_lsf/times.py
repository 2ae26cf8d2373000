"""Read the times that LSF prints, which have no year."""

from __future__ import annotations

import re
import time

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TIME = re.compile(r"(\w{3}) (\w{3}) {1,2}(\d{1,2}) (\d{2}):(\d{2}):(\d{2})(?: (\d{4}))?", re.ASCII)
_AHEAD = 86_400.0
_YEARS = 11
"""How many years the same date can be apart until it falls on the same day of the week again."""


def read_time(text: str, now: float) -> float | None:
    """Return ``Sun Nov 22 16:59:43``, in this machine's time zone, in seconds since the epoch; None if it is none.

    Without a year it is the latest such time that is not a day or more ahead of ``now``: the day of the week tells.
    """
    match = _TIME.fullmatch(text)
    if match is None or match[2] not in _MONTHS or match[1] not in _DAYS:
        return None
    month, (day, hour, minute, second) = _MONTHS.index(match[2]) + 1, map(int, match.groups()[2:6])
    latest = time.localtime(now + _AHEAD).tm_year
    for year in [int(match[7])] if match[7] else range(latest, latest - _YEARS, -1):
        try:
            at = time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
        except (OverflowError, ValueError):
            return None
        read = time.localtime(at)
        if at <= now + _AHEAD and read.tm_mday == day and _DAYS[read.tm_wday] == match[1]:
            return at
    return None
