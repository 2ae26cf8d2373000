"""Render the shell code that runs one job and leaves evidence of how it went."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import attrs

from molq.backend import BackendDescription

PAYLOAD = "payload"
ENVIRONMENT = "environment"
CLAIM = "claim"
START = "start"
EXIT = "exit"
SIGNALLED = "after a signal"

# The claim is a symlink, since making one is atomic on every file system and shows whose it is. A launcher that has
# made it already says so in MOLQ_CLAIMED. `start` and `exit` are complete once they end in a newline: that needs no
# rename, and so no further process. Where the scheduler does not count its restarts, the script counts its own starts:
# the count tells an exit file from that of an earlier run. The trap keeps this shell alive to write `exit` while the
# payload, in which traps are reset, gets the signal too. `exec` runs the program even if a shell builtin has its name.
#
# A controller that died may, from an older state of its own, take a finished run for one that its node has lost, and
# start it anew under the same id. So a command that has ended by itself is not repeated. If a signal came first, it
# may have saved its work to go on in the next run; `exit` then says so.
_BODY = """\
molq_dir={job_dir}
MOLQ_JOB_ID={job_id}
export MOLQ_JOB_ID
molq_run="${{{id_variable}:?is not set: this script is for the scheduler to run}}"
molq_element={element}
molq_end() {{
    printf '%s %s\\n' "$1" "$2" >"$molq_dir/{exit}$molq_element"
    printf 'molq: %s\\n' "$2" >&2
    exit "$1"
}}
if [ "${{MOLQ_CLAIMED-}}" != "$MOLQ_JOB_ID" ]; then
    ln -s -- "$molq_run" "$molq_dir/{claim}$molq_element" 2>/dev/null
    molq_owner=$(readlink "$molq_dir/{claim}$molq_element")
    if [ "$molq_owner" != "$molq_run" ]; then
        printf 'molq: not run, since run %s has claimed this job, or %s cannot be written\\n' \\
            "${{molq_owner:-unknown}}" "$molq_dir" >&2
        exit 1
    fi
fi
unset MOLQ_CLAIMED
molq_code= molq_told=
if [ -e "$molq_dir/{exit}$molq_element" ] && read -r molq_code molq_told <"$molq_dir/{exit}$molq_element" &&
    [ -z "$molq_told" ]; then
    printf 'molq: not run again, since this job has ended with exit code %s before\\n' "$molq_code" >&2
    exit "$molq_code"
fi
{restarts}
[ ! -e "$molq_dir/{exit}$molq_element" ] || rm -f "$molq_dir/{exit}$molq_element"
read -r molq_host </proc/sys/kernel/hostname || molq_host=unknown
printf '%s %s %s %s\\n' "$molq_run" "$$" "${{molq_host:-unknown}}" "$molq_restarts" >"$molq_dir/{start}$molq_element"
molq_told=
trap 'molq_told=" {signalled}"' HUP INT TERM USR1 USR2 XCPU
cd {cwd} || molq_end 1 {cwd_problem}
({environment}exec {command}) </dev/null
molq_code=$?
printf '%s\\n' "$molq_code$molq_told" >"$molq_dir/{exit}$molq_element"
exit "$molq_code"
"""

# Such a controller may also start a run again with no higher count of restarts. It then ends as the first did, without
# running the command.
_READ_RESTARTS = """\
molq_restarts="${{{variable}:-0}}"
if [ -e "$molq_dir/{start}$molq_element" ]; then
    read -r molq_host molq_host molq_host molq_before <"$molq_dir/{start}$molq_element"
    if [ "${{molq_before:-0}}" -ge "$molq_restarts" ]; then
        printf 'molq: not run, since restart %s of this job was started before\\n' "$molq_restarts" >&2
        exit "${{molq_code:-1}}"
    fi
fi"""

_COUNT_STARTS = """\
molq_restarts=0
if [ -e "$molq_dir/{start}$molq_element" ]; then
    read -r molq_host molq_host molq_host molq_restarts <"$molq_dir/{start}$molq_element"
    molq_restarts=$((${{molq_restarts:-0}} + 1))
fi"""


@attrs.frozen(kw_only=True)
class JobLayout:
    """Where the job's script finds its parts.

    Attributes:
        job_id: molq's id.
        job_dir: the folder of the job's own files.
        cwd: the working directory of the command.
        has_environment: whether the folder holds a file of variables to set.
        is_array: whether each element of an array runs the script.
    """

    job_id: str
    job_dir: Path
    cwd: Path
    has_environment: bool
    is_array: bool


def render_body(layout: JobLayout, command: Sequence[str], description: BackendDescription) -> str:
    """Return the part of a job's script that is the same for every scheduler.

    Args:
        layout: where the job's parts are.
        command: the program to run and its arguments.
        description: names the variables in which the scheduler tells a job what it is.
    """
    index, restarts = description.array_index_variable, description.restart_count_variable
    return _BODY.format(
        job_dir=shlex.quote(str(layout.job_dir)),
        job_id=shlex.quote(layout.job_id),
        id_variable=description.job_id_variable,
        element=f'".${{{index}:?}}"' if layout.is_array and index else "''",
        restarts=(
            _READ_RESTARTS.format(variable=restarts, start=START, exit=EXIT)
            if restarts
            else _COUNT_STARTS.format(start=START)
        ),
        cwd=shlex.quote(str(layout.cwd)),
        cwd_problem=shlex.quote(f"cannot enter the working directory {str(layout.cwd)!r}"),
        environment=f'. "$molq_dir/{ENVIRONMENT}"; ' if layout.has_environment else "",
        command=shlex.join(command),
        signalled=SIGNALLED,
        claim=CLAIM,
        start=START,
        exit=EXIT,
    )


def payload_command(payload: bytes, path: Path) -> tuple[str, ...]:
    """Return how to run a script: by the interpreter that its ``#!`` line names, else by bash.

    The kernel would read the line in the same way: one interpreter and at most one argument. Not leaving it to the
    kernel lets a job's folder be on a file system that is mounted without execution.
    """
    first_line = payload.split(b"\n", 1)[0].rstrip(b"\r") if payload.startswith(b"#!") else b""
    interpreter = first_line[2:].decode(errors="surrogateescape").strip().split(None, 1)
    return (*interpreter, str(path)) if interpreter else ("bash", str(path))


def render_environment(variables: dict[str, str]) -> str:
    """Return shell code that exports ``variables``."""
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in variables.items())
