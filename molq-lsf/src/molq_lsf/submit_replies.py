"""Tell from bsub's reply whether the job was taken, surely not taken, or may have been."""

from __future__ import annotations

import re

from molq.backend import CommandReply, SubmitDeferred, SubmitReceipt, SubmitRejected, SubmitUnconfirmed

# Scripts of the site (esub) may print other lines around it.
_ACCEPTED = re.compile(r"\bJob <([1-9]\d{0,9})> is submitted to (?:default )?queue <", re.ASCII)
_NOT_SUBMITTED = re.compile(r"^(.+?)\.? Job not submitted\.?$", re.MULTILINE)
_USAGE = re.compile(r"^bsub: (?:illegal|invalid|unrecognized) option|^bsub: option requires an argument", re.MULTILINE)

# What the daemon says when it has refused the job, alone or behind the value that is wrong. Source: recorded from
# OpenLava 2.2, and the list of messages in its library, but for those of a lost connection and of internal errors:
# after these the job may run.
_REFUSALS = frozenset(
    {
        "Bad argument",
        "Bad CPU limit specification",
        "Bad host name, host group name or cluster name",
        "Bad host specification",
        "Bad job name",
        "Bad resource name",
        "Bad resource requirement syntax",
        "Bad time specification",
        "Bad user group name",
        "Bad user priority",
        "Bad/empty job group name",
        "Cannot exceed queue's hard limit(s)",
        "Cannot exceed queue's resource reservation",
        "Dependency condition syntax error",
        "Dependent arrays do not have the same size",
        "Empty job",
        "Host or host group is not used by the queue",
        "Input file not allowed with pseudo-terminal",
        "Interactive job cannot be rerunnable",
        "Invoker is not in specified project group",
        "Job array does not exist",
        "Job array index error",
        "Job array index too large",
        "Job group does not exist",
        "Job priority control undefined",
        "No command is specified",
        "No command is specified in the script file",
        "No matching job found",
        "No such queue",
        "No such user/host group",
        "No user is defined in the lsb.users file",
        "Not enough host(s) currently eligible",
        "Queue does not accept EXCLUSIVE jobs",
        "Queue does not accept interactive jobs",
        "Queue name must be specified",
        "Queue only accepts interactive jobs",
        "Request aborted by esub",
        "Request from non-LSF host rejected",
        "Root job submission is disabled",
        "Start time is later than termination time",
        "The number of processors must be a positive integer",
        "The specified reservation does not exist",
        "Too few processors requested",
        "Too many processors requested",
        "Unknown batch system error number 131",
        "Unknown cluster name or cluster master",
        "Unknown user",
        "User cannot use the queue",
        "User not in the specified user group",
        "User permission denied",
    }
)

# What bsub says of a value before it has sent anything. Source: recorded from OpenLava 2.2; the errors of IBM's LSF in
# a resource requirement string as clients of it list them.
_REFUSAL_FORMS = re.compile(
    r".*Bad \w+ specification|Bad argument for option -.*|.*value should be a positive integer"
    r"|Error (?:in|near) .*|.*cannot be used in the resource requirement section.*|lsb_init: .*",
    re.DOTALL,
)

# What the daemon says when it may take the same job later. Source: as above.
_DEFERRALS = frozenset(
    {
        "Job limit of the queue has been reached",
        "No job Id can be used now",
        "Not activated because queue windows are closed",
        "Pending job threshold reached",
        "Queue does not have enough per-host job slots",
        "Queue does not have enough per-processor job slots",
        "Queue does not have enough per-user job slots",
        "Queue has been closed",
        "The destination queue has reached its job limit",
        "The modification/creation violates the job group limit",
        "User or one of user's groups does not have enough job slots",
    }
)


def read_submit_reply(reply: CommandReply) -> SubmitReceipt:
    """Return the receipt in bsub's reply.

    Its exit code proves nothing: a bsub that was killed may have told the id before.

    Raises:
        SubmitRejected: a text that is known to mean no.
        SubmitDeferred: a text that is known to mean not now.
        SubmitUnconfirmed: anything else. "Connection reset by peer" is among it.
    """
    ids = set(_ACCEPTED.findall(f"{reply.stdout}\n{reply.stderr}"))
    if len(ids) == 1:
        return SubmitReceipt(scheduler_job_id=ids.pop())
    said = reply.stderr.strip() or reply.stdout.strip() or "it said nothing"
    if not ids and reply.exit_code != 0:
        refusals = _NOT_SUBMITTED.findall(reply.stderr)
        if refusals and _is_among(refusals[-1], _DEFERRALS):
            raise SubmitDeferred(said)
        if refusals and (_is_among(refusals[-1], _REFUSALS) or _REFUSAL_FORMS.fullmatch(refusals[-1])):
            raise SubmitRejected(said)
        if not refusals and _USAGE.search(reply.stderr):
            raise SubmitRejected(said)
    code = "an unknown exit code" if reply.exit_code is None else f"exit code {reply.exit_code}"
    raise SubmitUnconfirmed(f"bsub ended with {code}: {said}")


def _is_among(words: str, known: frozenset[str]) -> bool:
    """Tell whether these are known words, perhaps behind the value that is wrong: ``nosuch: No such queue``."""
    return words in known or words.rpartition(": ")[2] in known
