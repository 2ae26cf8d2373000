"""Tell from sbatch's reply whether the job was taken, surely not taken, or may have been."""

from __future__ import annotations

import re

from molq.backend import CommandReply, SubmitDeferred, SubmitReceipt, SubmitRejected, SubmitUnconfirmed

_ACCEPTED = re.compile(r"([1-9]\d{0,9})(?:;\S+)?", re.ASCII)  # `5;lab` with --clusters
_FAILED = re.compile(r"^sbatch: error: (?:Batch job submission failed|Batch submission failed): (.+)$", re.MULTILINE)

# What the controller says when it has refused the job. Source: the messages of libslurm 22.05.8 that a submission can
# end in, but for those of a lost connection: after these the job may run.
_REFUSALS = frozenset(
    {
        "Access denied to requested reservation",
        "Access/permission denied",
        "Burst Buffer permission denied",
        "Burst Buffer request invalid",
        "CPU count specification invalid",
        "Duplicate generic resource (gres) specification",
        "Invalid GRES specification (with and without type identification)",
        "Invalid Trackable RESource (TRES) specification",
        "Invalid account or account/partition combination specified",
        "Invalid cluster name",
        "Invalid feature specification",
        "Invalid generic resource (gres) specification",
        "Invalid group id",
        "Invalid job array specification",
        "Invalid license specification",
        "Invalid mcs_label specified",
        "Invalid --nice value",
        "Invalid node name specified",
        "Invalid partition name specified",
        "Invalid preferred feature specification",
        "Invalid qos specification",
        "Invalid time-min specification (exceeds job's time or other limits)",
        "Invalid user id",
        "Invalid wckey specification",
        "Job dependency problem",
        "Job script not specified",
        "Job size specification needs to be provided",
        "Memory required by task is not available",
        "More processors requested than permitted",
        "Multiple partition job request not supported when a partition is set in the association",
        "No partition specified or system default partition",
        "Node count specification invalid",
        "Only batch jobs are accepted or processed",
        "Pathname of a file, directory or other parameter too long",
        "Requested GRES option unsupported by configured SelectType plugin",
        "Requested more tasks than available processors",
        "Requested node configuration is not available",
        "Requested nodes not in this partition",
        "Requested operation not supported on this system",
        "Requested reservation is invalid",
        "Requested time limit is invalid (missing or exceeds some limit)",
        "System submissions disabled",
        "Task count specification invalid",
        "Task distribution specification invalid",
        "Time limit specification required, but not provided",
        "User's group not permitted to use this partition",
    }
)

# What it says when it may take the same job later. Source: as above.
_DEFERRALS = frozenset(
    {
        "Burst Buffer resource limit exceeded",
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "Requested account has breached requested QOS usage threshold",
        "Requested operation is presently disabled",
        "Requested partition configuration not available now",
        "Requested reservation not usable now",
        "Required partition not available (inactive or drain)",
        "Resource temporarily unavailable",
        "Unable to contact slurm controller (connect failure)",
        "Unable to create job record, try again",
    }
)

# What sbatch says before it has sent anything. Source: recorded from 22.05.8.
_NEVER_SENT = re.compile(
    r"^sbatch: (?:"
    r"unrecognized option |invalid option |option .* requires an argument"
    r"|error: (?:Invalid --?[\w-]+ specification|Invalid generic resource \(gres\) specification"
    r"|Invalid argument|Invalid directive found in batch script|Invalid numeric value"
    r"|Unable to open file |Batch script is empty|Batch script contains |This does not look like a batch script"
    r"|slurm_send_node_msg: auth_g_create: REQUEST_SUBMIT_BATCH_JOB has authentication error"
    r"|cli_filter plugin terminated with error)"
    r"|fatal: (?:Unable to process configuration file|Could not establish a configuration source)"
    r")",
    re.MULTILINE,
)


def read_submit_reply(reply: CommandReply) -> SubmitReceipt:
    """Return the receipt in the reply of ``sbatch --parsable``.

    Raises:
        SubmitRejected: a text that is known to mean no.
        SubmitDeferred: a text that is known to mean not now.
        SubmitUnconfirmed: anything else. "Socket timed out" is among it: such jobs do run.
    """
    ids = [match[1] for line in reply.stdout.split("\n") if (match := _ACCEPTED.fullmatch(line.strip()))]
    # A wrapper of the site may greet before and after, but only one line can be the id.
    if len(ids) == 1 and reply.exit_code in (0, None):
        return SubmitReceipt(scheduler_job_id=ids[0])
    said = reply.stderr.strip() or reply.stdout.strip() or "it said nothing"
    if not ids and reply.exit_code != 0:
        refusals = [text.strip() for text in _FAILED.findall(reply.stderr)]
        if refusals and refusals[-1] in _REFUSALS:
            raise SubmitRejected(said)
        if refusals and refusals[-1] in _DEFERRALS:
            raise SubmitDeferred(said)
        if _NEVER_SENT.search(reply.stderr) and (not refusals or refusals == ["Protocol authentication error"]):
            raise SubmitRejected(said)
    code = "an unknown exit code" if reply.exit_code is None else f"exit code {reply.exit_code}"
    raise SubmitUnconfirmed(f"sbatch ended with {code}: {said}")
