"""Wake the agent of a queue, and start one if there is none."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping

from molq_local.place import Place

# All that an interpreter may need to start; anything more could be mistaken for a job's, or be a secret.
_KEPT_VARIABLES = ("HOME", "LD_LIBRARY_PATH", "PATH", "TMPDIR")


_ATTEMPTS = 3


class AgentError(Exception):
    """There is no agent, and none could be started."""


def is_awake(place: Place) -> bool:
    """Tell whether the queue has an agent: somebody who reads its pipe."""
    try:
        os.close(os.open(place.wake, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def wake(place: Place) -> bool:
    """Tell the agent to look at the queue; return whether there is one."""
    if not is_awake(place):
        return False
    # Open for reading too: if the agent goes at this very moment, writing must not raise SIGPIPE here.
    with contextlib.suppress(OSError):
        descriptor = os.open(place.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"\0")  # a full pipe wakes it as well
        finally:
            os.close(descriptor)
    return True


def ensure_agent(place: Place, idle_seconds: float, environment: Mapping[str, str]) -> None:
    """Wake the agent, or start one.

    Raises:
        AgentError: it does not start.
    """
    # More than once, since a starting agent may be killed as well.
    for _ in range(_ATTEMPTS):
        if wake(place) or _start(place, idle_seconds, environment):
            return
    raise AgentError(f"the agent of the local queue does not start; its log {place.log!r} tells why")


def _start(place: Place, idle_seconds: float, environment: Mapping[str, str]) -> bool:
    if not sys.executable:
        raise AgentError("the agent of the local queue cannot start: this Python does not know its own program")
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "daemon.py")
    # -I and -S: neither the submitter's environment nor what is installed beside molq has a say in the agent.
    argv = (sys.executable, "-I", "-S", program, place.folder, str(idle_seconds))
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    try:
        pid = os.posix_spawn(
            sys.executable,
            argv,
            {name: environment[name] for name in _KEPT_VARIABLES if name in environment},
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, place.log, log_flags, 0o600),
            ),
            setsid=True,
        )
    except OSError as error:
        raise AgentError(f"the agent of the local queue does not start: {error.strerror}") from error
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    except ChildProcessError:  # the program at hand reaps all its children by itself
        return True
