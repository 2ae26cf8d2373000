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
    r"|cannot form a valid job name from the script name"
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
    r"|Bad GID for job execution"
    r"|Bad UID for job execution"
    r"|Illegal attribute or resource value"
    r"|Invalid Account"
    r"|Job exceeds queue resource limits"
    r"|Job rejected by all possible destinations"
    r"|No default queue"
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
    r"Maximum number of jobs\b.* already in "
    r"|Queue is not enabled"
    r"|would exceed\b.* limit\b"
    r")",
    re.MULTILINE,
)

# The numbers by which OpenPBS refuses a request in words that sites and releases change. Its qsub ends with the lowest
# eight bits. Those below 32 would mean other things too. Not here are 15010, 15011, 15031 and 15161, after which the
# server may have the job. Source: pbs_error.h of OpenPBS; the first six recorded from OpenPBS 23.06.06, the others
# read and not seen.
_REFUSING_NUMBERS = frozenset(
    {
        15002,  # undefined attribute
        15014,  # illegal attribute or resource value
        15018,  # unknown queue
        15023,  # bad UID for job execution
        15035,  # unknown resource
        15036,  # job violates queue and/or server resource limits
        15003,  # attribute is read only
        15004,  # invalid request
        15007,  # unauthorized request
        15008,  # access from host not allowed
        15019,  # invalid credential
        15020,  # expired credential
        15022,  # access to queue is denied
        15024,  # job routing over too many hops
        15029,  # no support for requested service
        15037,  # no default queue
        15038,  # job is not rerunnable
        15039,  # job rejected by all possible destinations
        15045,  # bad GID for job execution
        15048,  # resource limit exceeds allowable
        15049,  # invalid account
        15054,  # invalid job dependency
        15055,  # duplicate entry in list
        15084,  # unknown reservation
        15136,  # a hook of the site, in words of its own
        15144,  # attribute value is out of range
        15156,  # job and reservation have conflicting specification
        15173,  # job name is too long
        15175,  # the script is too large
    }
)
_DEFERRING_NUMBERS = frozenset(
    {
        15021,  # queue is not enabled
        15033,  # no free connections
        15044,  # resource temporarily unavailable
        15046,  # maximum number of jobs already in queue
        15060,  # server shutting down
        15142,  # a limit of jobs
        15143,  # a limit of resources
        15208,  # try again later
    }
)
_REFUSING_CODES = frozenset(number % 256 for number in _REFUSING_NUMBERS)
_DEFERRING_CODES = frozenset(number % 256 for number in _DEFERRING_NUMBERS)

_OWN_WORDS = re.compile(r"^qsub: (?!submit error)", re.MULTILINE)
_NO_CONNECTION = re.compile(r"^qsub: cannot connect to server \S* ?\(errno=(\d+)\)", re.MULTILINE)
_WRONG_SETTINGS = frozenset({"0", "15007", "15008", "15019", "15034"})
"""How qsub numbers a connection that will not come about later either: it may not, or there is no such server."""


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
        if connection:
            raise SubmitRejected(said) if connection[1] in _WRONG_SETTINGS else SubmitDeferred(said)
        # Torque numbers its errors otherwise.
        code = reply.exit_code if _OWN_WORDS.search(reply.stderr) else None
        if _DEFERRALS.search(reply.stderr) or code in _DEFERRING_CODES:
            raise SubmitDeferred(said)
        if _REFUSALS.search(reply.stderr) or _TORQUE_REFUSALS.search(reply.stderr) or code in _REFUSING_CODES:
            raise SubmitRejected(said)
    how = "an unknown exit code" if reply.exit_code is None else f"exit code {reply.exit_code}"
    raise SubmitUnconfirmed(f"qsub ended with {how}: {said}")


def _said(reply: CommandReply) -> str:
    """Return what qsub said, without the usage that follows a mistake."""
    text = reply.stderr.strip() or reply.stdout.strip()
    return re.split(r"^usage:", text, maxsplit=1, flags=re.MULTILINE)[0].strip() or "it said nothing"
