"""The contract for backends, on both fakes and on a real LSF."""

from __future__ import annotations

import pytest
from lsf_tests_real_lsf import IS_WANTED, QUEUE, RealLSF

from molq.backend import JobScheduling, JobState
from molq.testing.contract import BackendContract

HOSTILE_VARIABLES = {
    "LSB_BJOBS_FORMAT": "jobid",
    "LSB_BJOBS_PENDREASON_LEVEL": "3",
    "LSB_DISPLAY_YEAR": "Y",
    "LSB_DEFAULTQUEUE": "nosuch",
    "LSB_DEFAULTPROJECT": "nosuch",
    "BSUB_QUIET": "1",
    "BSUB_STDERR": "y",
    "LSB_JOBID": "77",
    "LSB_JOBINDEX": "7",
    "LSB_JOBNAME": "outer",
    "LSB_QUEUE": "nosuch",
    "LS_SUBCWD": "/nosuch",
}

# Source: bjobs(1) of OpenLava 2.2 and of IBM Spectrum LSF 10.1, "Job states".
WORDS = {
    "PEND": JobState.QUEUED,
    "PROV": JobState.QUEUED,
    "PSUSP": JobState.QUEUED,
    "WAIT": JobState.QUEUED,
    "RUN": JobState.RUNNING,
    "SSUSP": JobState.RUNNING,
    "UNKWN": JobState.RUNNING,
    "USUSP": JobState.RUNNING,
    "ZOMBI": JobState.RUNNING,
}


class TestOnFakeOpenLava(BackendContract):
    scheduler = "lsf"
    words = WORDS
    hostile_variables = HOSTILE_VARIABLES

    @pytest.fixture
    def cluster(self, fake_lsf):
        return fake_lsf


class TestOnFakeSpectrum(BackendContract):
    scheduler = "lsf"
    words = WORDS
    hostile_variables = HOSTILE_VARIABLES

    @pytest.fixture
    def cluster(self, fake_spectrum):
        return fake_spectrum


if IS_WANTED:

    @pytest.mark.live
    class TestOnRealLSF(BackendContract):
        scheduler = "lsf"
        hostile_variables = HOSTILE_VARIABLES
        # A queue that is set wins over the one that is asked for.
        refused = JobScheduling(dependency="done(") if QUEUE else BackendContract.refused

        @pytest.fixture
        def cluster(self):
            lsf = RealLSF()
            yield lsf
            lsf.cancel_all()
