"""The contract for backends, on the fake PBS in both dialects and on a real one."""

from __future__ import annotations

import os

import pytest
from pbs_tests_real_pbs import RealPBS, why_not

from molq.backend import JobState
from molq.testing.contract import BackendContract

HOSTILE_VARIABLES = {
    "PBS_DPREFIX": "#NOTHING",
    "PBS_JOBID": "7.elsewhere",
    "PBS_ARRAY_INDEX": "7",
    "PBS_ARRAYID": "7",
    "PBS_JOBNAME": "outer",
    "PBS_O_WORKDIR": "/nowhere",
    "PBS_ENVIRONMENT": "PBS_BATCH",
    "MOLQ_TAG": "another",
    "IFS": ":",
}

# Source: qstat(1B) of OpenPBS 23.06, "job_state".
WORDS = {
    "Q": JobState.QUEUED,
    "H": JobState.QUEUED,
    "W": JobState.QUEUED,
    "T": JobState.QUEUED,
    "M": JobState.QUEUED,
    "R": JobState.RUNNING,
    "E": JobState.RUNNING,
    "S": JobState.RUNNING,
    "U": JobState.RUNNING,
}


class TestOnFakePBS(BackendContract):
    scheduler = "pbs"
    words = WORDS
    hostile_variables = HOSTILE_VARIABLES
    cancels_one_by_one = True

    @pytest.fixture
    def cluster(self, fake_pbs):
        return fake_pbs


class TestOnFakeTorque(BackendContract):
    scheduler = "pbs"
    words = WORDS
    hostile_variables = HOSTILE_VARIABLES
    cancels_one_by_one = True

    @pytest.fixture
    def cluster(self, fake_torque):
        return fake_torque


@pytest.mark.live
class TestOnRealPBS(BackendContract):
    scheduler = "pbs"
    hostile_variables = HOSTILE_VARIABLES
    cancels_one_by_one = True

    @pytest.fixture
    def cluster(self, tmp_path):
        if os.environ.get("MOLQ_LIVE") != "pbs":
            pytest.skip("set MOLQ_LIVE=pbs to run this on the PBS of this machine")
        reason = why_not()
        if reason:
            pytest.skip(reason)
        pbs = RealPBS(tmp_path)
        yield pbs
        pbs.cancel_all()
