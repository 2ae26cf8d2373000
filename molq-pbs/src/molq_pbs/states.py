"""Say what PBS's letters, substates and special exit statuses mean to molq."""

from __future__ import annotations

import attrs

from molq.backend import JobState

# Source: qstat(1B) of OpenPBS 23.06, and of Torque for C. F, C, B and X are told by more than the letter.
LETTERS: dict[str, JobState] = {
    "E": JobState.RUNNING,
    "H": JobState.QUEUED,
    "M": JobState.QUEUED,
    "Q": JobState.QUEUED,
    "R": JobState.RUNNING,
    "S": JobState.RUNNING,
    "T": JobState.QUEUED,
    "U": JobState.RUNNING,
    "W": JobState.QUEUED,
}

FINISHED = "F"
COMPLETED = "C"
ARRAY_BEGUN = "B"
ELEMENT_EXPIRED = "X"
MOVED = "M"

# Source: src/include/job.h of OpenPBS, and recorded from 23.06.06.
TERMINATED, SUCCEEDED, FAILED = 91, 92, 93


@attrs.frozen
class Special:
    """What an exit status that no program can have means.

    Attributes:
        state: the state.
        cause: the word for what ended the job.
        sentence: the sentence for people.
    """

    state: JobState
    cause: str
    sentence: str


_MEMORY = Special(JobState.FAILED, "out_of_memory", "exceeded its memory limit (out of memory)")
_TIME = Special(JobState.TIMED_OUT, "timeout", "exceeded its time limit")
_CPU_TIME = Special(JobState.FAILED, "cpu_time", "exceeded its limit of CPU time")
_CPUS = Special(JobState.FAILED, "cpu_use", "used more CPUs than it asked for")
_NODE = Special(JobState.FAILED, "node_fail", "its node failed")
_HOOK = Special(JobState.FAILED, "launch", "was refused on its node by a hook of the site")


def _not_run(why: str) -> Special:
    return Special(JobState.FAILED, "launch", f"could not be run on its node: {why}")


# Source: src/include/job.h of OpenPBS; -20, -27 and -29 are recorded from 23.06.06, the others read and not seen.
OPENPBS_STATUSES: dict[int, Special] = {
    -1: _not_run("PBS failed before it staged files in"),
    -2: _not_run("PBS failed after it staged files in"),
    -3: _not_run("PBS failed, and may try again"),
    -4: _not_run("PBS's daemon on the node was started anew"),
    -5: _not_run("PBS's daemon on the node was started anew"),
    -6: _not_run("PBS's daemon on the node was started anew"),
    -7: _not_run("it could not be restarted from its checkpoint"),
    -10: _not_run("its user or group is not known there"),
    -13: _not_run("a password was wrong"),
    -14: _NODE,
    -16: _HOOK,
    -17: _HOOK,
    -18: _HOOK,
    -19: _HOOK,
    -20: _NODE,
    -21: _not_run("PBS found its own folders unsafe"),
    -22: _HOOK,
    -23: _not_run("it has no Kerberos credentials"),
    -24: _CPUS,
    -25: _CPUS,
    -26: _MEMORY,
    -27: _MEMORY,
    -28: _CPU_TIME,
    -29: _TIME,
}

# Source: Torque's administrator guide, "Job exit status"; read and not seen.
TORQUE_STATUSES: dict[int, Special] = {
    -1: _not_run("Torque failed before it staged files in"),
    -2: _not_run("Torque failed after it staged files in"),
    -3: _not_run("Torque failed, and may try again"),
    -4: _not_run("Torque's daemon on the node was started anew"),
    -5: _not_run("Torque's daemon on the node was started anew"),
    -6: _not_run("Torque's daemon on the node was started anew"),
    -7: _not_run("it could not be restarted from its checkpoint"),
    -8: _not_run("its command could not be executed"),
    -9: _not_run("its output could not be opened"),
    -10: _MEMORY,
    -11: _TIME,
    -12: _CPU_TIME,
}
