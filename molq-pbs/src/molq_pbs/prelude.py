"""Render the shell code between PBS's directives and the job's body: what PBS itself does not do, or not well."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from molq.backend import SubmitRequest, expand_indices
from molq_pbs.array_ranges import Covering, cover
from molq_pbs.options import PBSSchedulerOptions
from molq_pbs.programs import TAG_VARIABLE

PBSRequest = SubmitRequest[PBSSchedulerOptions]

CANNOT_WRITE = 73
"""The exit code of a job that cannot open the files for its output; EX_CANTCREAT of sysexits.h."""

SUBMIT_ENVIRONMENT = "submit-environment"
"""The file in the job's folder that holds the environment of its submission as shell code."""

PBS_LOG = "pbs.log"
"""The file in the job's folder for what PBS itself writes, and what is written before the output is redirected."""

_SIMPLE_PATH = re.compile(r"/[A-Za-z0-9_./+=@%-]*", re.ASCII)
_INDEX = "PBS_ARRAY_INDEX"


def can_take_pbs_log(job_dir: Path) -> bool:
    """Tell whether the path of the job's folder needs no quotes, so that every part of PBS takes it."""
    return _SIMPLE_PATH.fullmatch(str(job_dir)) is not None


def render_prelude(request: PBSRequest) -> str:
    """Return shell code. Its first line holds nothing of the user's: with it PBS ends its search for directives."""
    return "".join(f"{line}\n" for line in _lines(request))


def _lines(request: PBSRequest) -> Iterator[str]:
    # A job that this one submits with all of its variables must not look like this one.
    yield f"unset {TAG_VARIABLE}"
    spec = request.scheduling.array_spec
    element = ""
    if spec is not None and request.options.is_torque:
        yield f"{_INDEX}=$PBS_ARRAYID"
        yield f"export {_INDEX}"
    if not can_take_pbs_log(request.job_dir):
        yield from _remove_kept_output(is_array=spec is not None)
    if spec is not None:
        if not request.options.is_torque:
            yield from _leave_out(cover(expand_indices(spec)))
        element = f'".${_INDEX}"'
    yield f"molq_pbs={shlex.quote(str(request.job_dir))}"
    yield f'[ ! -r "$molq_pbs/{SUBMIT_ENVIRONMENT}" ] || . "$molq_pbs/{SUBMIT_ENVIRONMENT}"'
    # Where qsub was called is no place that the user has chosen.
    yield f"PBS_O_WORKDIR={shlex.quote(str(request.cwd))}"
    yield "export PBS_O_WORKDIR"
    yield from _redirect(request, element)


def _leave_out(covering: Covering) -> Iterator[str]:
    """End the elements that were not asked for: PBS takes ranges only, and none of a single element."""
    if covering.is_exact:
        return
    yield f"case ${_INDEX} in"
    yield f"{'|'.join(map(str, covering.indices))}) ;;"
    yield "*) exit 0 ;;"
    yield "esac"


def _redirect(request: PBSRequest, element: str) -> Iterator[str]:
    """Send the output where it was asked to while the job runs: PBS would copy it there when the job is over."""
    yield f"molq_out={shlex.quote(str(request.stdout_path))}{element}"
    yield f"molq_err={shlex.quote(str(request.stderr_path))}{element}"
    for variable, path in (("molq_out", request.stdout_path), ("molq_err", request.stderr_path)):
        if path.parent != request.job_dir:
            # The first run begins the user's file anew; what PBS starts again goes on with it.
            yield f'[ -L "$molq_pbs/claim"{element} ] || printf "" >"${variable}" || exit {CANNOT_WRITE}'
        yield f'printf "" >>"${variable}" || exit {CANNOT_WRITE}'
    yield 'exec >>"$molq_out" 2>>"$molq_err"'
    yield "unset molq_pbs molq_out molq_err"


def _remove_kept_output(*, is_array: bool) -> Iterator[str]:
    yield 'molq_kept="$HOME/$PBS_JOBNAME.o${PBS_JOBID%%[!0-9]*}"'
    yield f'rm -f -- "$molq_kept{f".${_INDEX}" if is_array else ""}"'
    yield "unset molq_kept"
