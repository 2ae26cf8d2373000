"""Say what LSF's state words and termination reasons mean to molq."""

from __future__ import annotations

import attrs

from molq.backend import JobState

# Source: bjobs(1) of OpenLava 2.2 and IBM Spectrum LSF 10.1, "Job states". A job whose host is out of reach (UNKWN), or
# that was to be killed there (ZOMBI), may come back.
STATES: dict[str, JobState] = {
    "DONE": JobState.SUCCEEDED,
    "EXIT": JobState.FAILED,
    "PEND": JobState.QUEUED,
    "PROV": JobState.QUEUED,
    "PSUSP": JobState.QUEUED,
    "RUN": JobState.RUNNING,
    "SSUSP": JobState.RUNNING,
    "UNKWN": JobState.RUNNING,
    "USUSP": JobState.RUNNING,
    "WAIT": JobState.QUEUED,
    "ZOMBI": JobState.RUNNING,
}

NOTES: dict[str, str] = {
    "SSUSP": "it is suspended by LSF",
    "UNKWN": "its host is out of reach",
    "USUSP": "it is suspended by its user or an administrator",
    "ZOMBI": "it was to be killed, but its host is out of reach",
}
"""What a state word tells of an active job, if nothing else does."""


@attrs.frozen
class Termination:
    """What a termination reason means.

    Attributes:
        state: the state.
        cause: the word for what ended the job.
        sentence: the sentence for people; None if molq's own for the cause does.
    """

    state: JobState
    cause: str
    sentence: str | None = None


# Source: https://www.ibm.com/docs/SSWRJV_10.1.0/lsf_admin/termination_reasons_lsf.html. TERM_UNKNOWN, TERM_OTHER,
# TERM_EXTERNAL_SIGNAL and TERM_ZOMBIE tell no more than the exit code beside them.
TERMINATIONS: dict[str, Termination] = {
    "TERM_ADMIN": Termination(JobState.CANCELLED, "cancelled", "was cancelled by an administrator"),
    "TERM_BUCKET_KILL": Termination(JobState.CANCELLED, "cancelled"),
    "TERM_CHKPNT": Termination(JobState.FAILED, "checkpoint", "was ended after a checkpoint"),
    "TERM_CPULIMIT": Termination(JobState.FAILED, "cpu_limit", "exceeded its limit of CPU time"),
    "TERM_CSM_ALLOC": Termination(JobState.FAILED, "launch", "LSF could not allocate its hosts"),
    "TERM_CWD_NOTEXIST": Termination(JobState.FAILED, "launch", "its working directory is not there on its host"),
    "TERM_DATA": Termination(JobState.FAILED, "launch", "its data could not be staged"),
    "TERM_DEADLINE": Termination(JobState.FAILED, "deadline", "could not end before its deadline"),
    "TERM_FORCE_ADMIN": Termination(JobState.CANCELLED, "cancelled", "was cancelled by an administrator"),
    "TERM_FORCE_OWNER": Termination(JobState.CANCELLED, "cancelled", "was cancelled by its owner"),
    "TERM_KUBE": Termination(JobState.FAILED, "launch", "LSF ended it for Kubernetes"),
    "TERM_LOAD": Termination(JobState.FAILED, "load", "was ended since the load of its host was too high"),
    "TERM_MC_RECALL": Termination(JobState.FAILED, "recall", "was recalled from another cluster"),
    "TERM_MEMLIMIT": Termination(JobState.FAILED, "out_of_memory"),
    "TERM_ORPHAN_SYSTEM": Termination(
        JobState.CANCELLED, "cancelled", "was cancelled by LSF, since what it waited for can never happen"
    ),
    "TERM_OWNER": Termination(JobState.CANCELLED, "cancelled", "was cancelled by its owner"),
    "TERM_PREEMPT": Termination(JobState.FAILED, "preempted"),
    "TERM_PRE_EXEC_FAIL": Termination(JobState.FAILED, "launch", "its pre-execution command failed too often"),
    "TERM_PROCESSLIMIT": Termination(JobState.FAILED, "process_limit", "exceeded its limit of processes"),
    "TERM_RC": Termination(JobState.FAILED, "preempted", "its host was taken back by its cloud"),
    "TERM_REMOVE_HUNG_JOB": Termination(JobState.FAILED, "node_fail", "was removed, since its host did not answer"),
    "TERM_REQUEUE_ADMIN": Termination(JobState.FAILED, "requeued", "was ended by an administrator to be run again"),
    "TERM_REQUEUE_OWNER": Termination(JobState.FAILED, "requeued", "was ended by its owner to be run again"),
    "TERM_RMS": Termination(JobState.FAILED, "launch", "was ended by an error of the resource manager"),
    "TERM_RUNLIMIT": Termination(JobState.TIMED_OUT, "timeout"),
    "TERM_SLURM": Termination(JobState.FAILED, "node_fail"),
    "TERM_SWAP": Termination(JobState.FAILED, "swap_limit", "exceeded its limit of swap space"),
    "TERM_THREADLIMIT": Termination(JobState.FAILED, "thread_limit", "exceeded its limit of threads"),
    "TERM_WINDOW": Termination(JobState.FAILED, "window", "was ended since its queue closed"),
}
