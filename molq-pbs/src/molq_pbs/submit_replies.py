"""Tell from qsub's reply whether the job was taken, surely not taken, or may have been."""

from __future__ import annotations

import re

from molq.backend import CommandReply, SubmitDeferred, SubmitReceipt, SubmitRejected, SubmitUnconfirmed

_ACCEPTED = re.compile(r"[1-9]\d{0,17}(?:\[\])?\.[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)

# What qsub says when it has sent nothing, or the server has refused the job. Source: recorded from OpenPBS 23.06.06.
_REFUSALS = re.compile(
    r"^qsub: (?:"
    r"\"-lresource=\" cannot be used with "
    r"|Array job exceeds server or queue size limit$"
    r"|Bad UID for job execution"
    r"|Cannot be used with select or place: "
    r"|Error \(15002\) submitting job$"
    r"|Illegal attribute or resource value"
    r"|Job name is too long"
    r"|Job violates queue and/or server resource limits"
    r"|Unknown queue"
    r"|Unknown resource"
    r"| ?cannot submit non-rerunable Array Job"
    r"|cannot send environment with the job$"
    r"|directive error: "
    r"|illegal -\w value$"
    r"|invalid option -- "
    r"|opening script file:"
    r"|script contains cr, lf$"
    r"|script file:"
    r"|script not a file$"
    r")",
    re.MULTILINE,
)

# The same of Torque, and what its server says within brackets. Source: Torque's pbs_error_db.h; read and not seen.
_TORQUE_REFUSALS = re.compile(
    r"^qsub: (?:submit error \()?(?:"
    r"Access to queue is denied"
    r"|Bad UID for job execution"
    r"|Illegal attribute or resource value"
    r"|Job exceeds queue resource limits"
    r"|Unauthorized Request"
    r"|Undefined attribute"
    r"|Unknown queue"
    r"|Unknown resource type"
    r")",
    re.MULTILINE,
)

# What it says when it may take the same job later. Source: as above; "Maximum number" is read and not seen.
_DEFERRALS = re.compile(
    r"^qsub: (?:submit error \()?(?:"
    r"Maximum number of jobs already in (?:queue|use)"
    r"|Queue is not enabled"
    r"|would exceed .+ limit"
    r")",
    re.MULTILINE,
)

_NO_CONNECTION = re.compile(r"^qsub: cannot connect to server \S* ?\(errno=(\d+)\)", re.MULTILINE)
_NOT_NOW = "15010"
"""How qsub numbers a connection that the server's machine has refused; the other numbers mean wrong settings."""

_REFUSED_BY_HOOK = 32
"""How qsub ends when a hook of the site has refused the job, which it does in words of its own before the server takes
anything. Source: pbs_error.h and req_quejob.c of OpenPBS; read and not seen."""


def read_submit_reply(reply: CommandReply) -> SubmitReceipt:
    """Return the receipt in the reply of qsub.

    Raises:
        SubmitRejected: a text that is known to mean no.
        SubmitDeferred: a text that is known to mean not now.
        SubmitUnconfirmed: anything else: a qsub that was given up on may have submitted the job.
    """
    lines = [line.strip() for line in reply.stdout.split("\n")]
    ids = [line for line in lines if _ACCEPTED.fullmatch(line)]
    # A wrapper of the site may greet before and after, but only one line can be the id.
    if len(ids) == 1 and reply.exit_code in (0, None):
        return SubmitReceipt(scheduler_job_id=ids[0])
    said = _said(reply)
    if not ids and reply.exit_code != 0:
        connection = _NO_CONNECTION.search(reply.stderr)
        if connection and connection[1] != _NOT_NOW:
            raise SubmitRejected(said)
        if connection or _DEFERRALS.search(reply.stderr):
            raise SubmitDeferred(said)
        if _REFUSALS.search(reply.stderr) or _TORQUE_REFUSALS.search(reply.stderr):
            raise SubmitRejected(said)
        if reply.exit_code == _REFUSED_BY_HOOK and reply.stderr.startswith("qsub: "):
            raise SubmitRejected(said)
    code = "an unknown exit code" if reply.exit_code is None else f"exit code {reply.exit_code}"
    raise SubmitUnconfirmed(f"qsub ended with {code}: {said}")


def _said(reply: CommandReply) -> str:
    """Return what qsub said, without the usage that follows a mistake."""
    text = reply.stderr.strip() or reply.stdout.strip()
    return re.split(r"^usage:", text, maxsplit=1, flags=re.MULTILINE)[0].strip() or "it said nothing"
