"""Say what Slurm's state words mean to molq."""

from __future__ import annotations

import re

import attrs

from molq.backend import JobState


@attrs.frozen
class Meaning:
    """What a state word means.

    Attributes:
        state: the state.
        cause: the word for what ended the job, if the state word alone tells.
        sentence: the sentence for people, likewise.
    """

    state: JobState
    cause: str | None = None
    sentence: str | None = None


# Source: https://slurm.schedmd.com/job_state_codes.html, and what squeue 22.05.8 lists as valid for --states.
MEANINGS: dict[str, Meaning] = {
    "BOOT_FAIL": Meaning(JobState.FAILED, "boot_fail", "its node did not boot"),
    "CANCELLED": Meaning(JobState.CANCELLED, "cancelled"),
    "COMPLETED": Meaning(JobState.SUCCEEDED),
    "COMPLETING": Meaning(JobState.RUNNING),
    "CONFIGURING": Meaning(JobState.QUEUED),
    "DEADLINE": Meaning(JobState.FAILED, "deadline", "could not end before its deadline"),
    "EXPEDITING": Meaning(JobState.QUEUED),
    "FAILED": Meaning(JobState.FAILED),
    "LAUNCH_FAILED": Meaning(JobState.QUEUED),
    "NODE_FAIL": Meaning(JobState.FAILED, "node_fail", "its node failed"),
    "OUT_OF_MEMORY": Meaning(JobState.FAILED, "out_of_memory", "exceeded its memory limit (out of memory)"),
    "PENDING": Meaning(JobState.QUEUED),
    "POWER_UP_NODE": Meaning(JobState.QUEUED),
    "PREEMPTED": Meaning(JobState.FAILED, "preempted", "was preempted by another job"),
    "RECONFIG_FAIL": Meaning(JobState.QUEUED),
    "REQUEUED": Meaning(JobState.QUEUED),
    "REQUEUE_FED": Meaning(JobState.QUEUED),
    "REQUEUE_HOLD": Meaning(JobState.QUEUED),
    "RESIZING": Meaning(JobState.RUNNING),
    "RESV_DEL_HOLD": Meaning(JobState.QUEUED),
    "REVOKED": Meaning(JobState.RUNNING),  # another cluster of the federation runs it
    "RUNNING": Meaning(JobState.RUNNING),
    "SIGNALING": Meaning(JobState.RUNNING),
    "SPECIAL_EXIT": Meaning(JobState.QUEUED),
    "STAGE_OUT": Meaning(JobState.RUNNING),
    "STOPPED": Meaning(JobState.RUNNING),
    "SUSPENDED": Meaning(JobState.RUNNING),
    "TIMEOUT": Meaning(JobState.TIMED_OUT, "timeout", "exceeded its time limit"),
    "UPDATE_DB": Meaning(JobState.RUNNING),
}

_WORD = re.compile(r"([A-Z][A-Z_]{1,30})(?:\+| by (\d{1,10}))?", re.ASCII)


def split_word(text: str) -> tuple[str, int | None] | None:
    """Return the state word in ``text`` and the uid of who cancelled the job, if it is there.

    sacct prints ``CANCELLED by 1003``, and ``CANCELLED+`` where the column is narrow. None if this is no state word.
    """
    match = _WORD.fullmatch(text)
    if match is None:
        return None
    return match[1], int(match[2]) if match[2] else None
