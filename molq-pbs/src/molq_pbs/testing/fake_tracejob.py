"""Answer as tracejob of OpenPBS 23.06.06 does, from the fake server's logs."""

from __future__ import annotations

import sys
import time

from molq.testing.fake_programs import Record
from molq_pbs.testing.cluster_file import full_id
from molq_pbs.testing.fake_errors import say


def tracejob(argv: list[str], cluster: Record) -> int:
    """Print the server's lines about jobs."""
    days, operands, rest = "1", [], list(argv)
    while rest:
        word = rest.pop(0)
        if word == "-n":
            days = rest.pop(0)
        elif not word.startswith("-"):
            operands.append(word)
    code = 0
    for operand in operands:
        shown = full_id(cluster, operand)
        lines = cluster["logs"].get(shown)
        if not lines:
            past = f"{days} day{'' if days == '1' else 's'}"
            code = say(f"\ntracejob: Couldn't find Job Id {shown} in logs of past {past}\n", 1)
            continue
        sys.stdout.write(f"\nJob: {shown}\n\n")
        for at, words in lines:
            sys.stdout.write(f"{time.strftime('%m/%d/%Y %H:%M:%S', time.localtime(at)):<20} S    {words}\n")
    return code
