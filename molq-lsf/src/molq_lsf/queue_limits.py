"""Ask bqueues how long its queues let jobs run."""

from __future__ import annotations

import re
from collections.abc import Collection

from molq.backend import Commands, SchedulerError
from molq_lsf.history import run_limit_in
from molq_lsf.options import LSFSchedulerOptions

_QUEUE = re.compile(r"^QUEUE: (\S+)$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*", re.ASCII)


def ask_run_limits(queues: Collection[str], options: LSFSchedulerOptions, commands: Commands) -> dict[str, float]:
    """Return the seconds that each of ``queues`` lets a job run, of those that have a limit and could be asked."""
    names = sorted(name for name in set(queues) if _NAME.fullmatch(name))
    if not names:
        return {}
    try:
        reply = commands.run([options.bqueues_path, "-l", *names], timeout=options.command_timeout.seconds)
    except SchedulerError:
        return {}
    _, *parts = _QUEUE.split(reply.stdout)
    limits = {name: run_limit_in(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}
    return {name: limit for name, limit in limits.items() if limit is not None}
