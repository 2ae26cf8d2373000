"""Keep the environment of a submission in a file that only its user can read, for the job to start from.

qsub could hand it on itself, but not as well: ``-v`` garbles values, and with ``-V`` every user of the cluster can read
them all in the list of jobs.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from molq.backend import SubmitRejected
from molq_pbs.prelude import SUBMIT_ENVIRONMENT

# What describes the machine, the session or the shell that is left, and what PBS sets for the job itself.
_LEFT_BEHIND = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "SHELL", "MAIL", "HOSTNAME", "TMPDIR", "NCPUS"),
        *("PWD", "OLDPWD", "SHLVL", "_", "XDG_RUNTIME_DIR", "XDG_SESSION_ID", "DBUS_SESSION_BUS_ADDRESS"),
        *("IFS", "OPTIND", "UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO", "BASH_ENV", "ENV"),
    }
)
# What PBS, or a hook of the site, gives to a job according to its request. Where neither does, the user's own is right.
_GIVEN_BY_PBS = frozenset(
    {
        *("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"),
        *("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"),
    }
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_UMASK = re.compile(r"^Umask:\s*([0-7]{3,4})$", re.MULTILINE)


def render_environment(variables: Mapping[str, str], umask: str | None) -> str:
    """Return shell code that sets ``umask`` and exports ``variables``, but for those that a job has of its own."""
    lines = [f"umask {umask}"] if umask else []
    lines += [
        f"{_unless_given(name)}export {name}={shlex.quote(value)}"
        for name, value in variables.items()
        if _NAME.fullmatch(name) and name not in _LEFT_BEHIND and not name.startswith("PBS_")
    ]
    return "".join(f"{line}\n" for line in lines)


def _unless_given(name: str) -> str:
    return f'[ -n "${{{name}+set}}" ] || ' if name in _GIVEN_BY_PBS else ""


def write_environment(job_dir: Path, variables: Mapping[str, str]) -> None:
    """Write the file into the job's folder, unless it is there.

    Raises:
        SubmitRejected: it cannot be written, so nothing was submitted.
    """
    content = os.fsencode(render_environment(variables, _umask()))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with suppress(FileExistsError), open(os.open(job_dir / SUBMIT_ENVIRONMENT, flags, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise SubmitRejected(
            f"the environment of the job cannot be kept in {str(job_dir)!r}: {error.strerror}"
        ) from error


def _umask() -> str | None:
    """Return this process's umask: PBS starts jobs with 077. Asking the system for it would change it for a moment."""
    try:
        with open("/proc/self/status") as status:
            match = _UMASK.search(status.read())
    except OSError:
        return None
    return match[1] if match else None
