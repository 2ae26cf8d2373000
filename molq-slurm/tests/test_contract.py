"""The contract for backends, on the fake Slurm and on a real one."""

from __future__ import annotations

import os

import pytest

from molq.backend import JobState
from molq.testing.contract import BackendContract

HOSTILE_VARIABLES = {
    "SQUEUE_FORMAT": "%i",
    "SQUEUE_FORMAT2": "JobID",
    "SQUEUE_STATES": "PD",
    "SQUEUE_PARTITION": "nosuch",
    "SQUEUE_USERS": "nobody",
    "SACCT_FORMAT": "JobID",
    "SLURM_TIME_FORMAT": "relative",
    "SLURM_BITSTR_LEN": "8",
    "SLURM_CLUSTERS": "nosuch",
    "SBATCH_PARTITION": "nosuch",
    "SBATCH_HOLD": "1",
    "SBATCH_WAIT": "1",
    "SBATCH_EXPORT": "NONE",
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_RESTART_COUNT": "3",
}


# Source: https://slurm.schedmd.com/squeue.html, "Job State Codes".
WORDS = {
    "PENDING": JobState.QUEUED,
    "CONFIGURING": JobState.QUEUED,
    "REQUEUED": JobState.QUEUED,
    "REQUEUE_HOLD": JobState.QUEUED,
    "RESV_DEL_HOLD": JobState.QUEUED,
    "SPECIAL_EXIT": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "COMPLETING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "STAGE_OUT": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
}


class TestOnFakeSlurm(BackendContract):
    scheduler = "slurm"
    words = WORDS
    hostile_variables = HOSTILE_VARIABLES

    @pytest.fixture
    def cluster(self, fake_slurm):
        return fake_slurm


class TestOnRealSlurm(BackendContract):
    scheduler = "slurm"
    hostile_variables = HOSTILE_VARIABLES

    @pytest.fixture
    def cluster(self, real_slurm, monkeypatch):
        monkeypatch.setenv("SLURM_CONF", str(real_slurm.conf))
        monkeypatch.setenv("PATH", os.environ["PATH"] + ":/usr/sbin")
        yield real_slurm
        real_slurm.come_back()
        real_slurm.cancel_all()
