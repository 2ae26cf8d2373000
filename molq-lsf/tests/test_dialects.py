"""Whose LSF it is, as its programs tell."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from molq.backend import CommandFailedError, CommandReply, SchedulerError
from molq_lsf.dialects import dialect_in, find_dialect
from molq_lsf.options import LSFSchedulerOptions


class Program:
    """A program that says one thing."""

    environment = MappingProxyType({})

    def __init__(self, stderr, exit_code=0):
        self.reply = CommandReply(exit_code=exit_code, stdout="", stderr=stderr)

    def run(self, argv, *, stdin=None, timeout=None):
        return self.reply


@pytest.mark.parametrize(
    ("version", "dialect"),
    [
        ("openlava project 2.2, Nov 22 2026", "openlava"),
        ("IBM Spectrum LSF Standard 10.1.0.9, Oct 16 2019\nCopyright International Business Machines", "spectrum"),
        ("Platform LSF 9.1.3.0, Jul 04 2014", "spectrum"),
        ("IBM Spectrum LSF Suite for Enterprise 10.2.0.6", "spectrum"),
        ("Platform LSF HPC 7 Update 6, Aug 24 2009", "spectrum"),
        ("LSF daemon (LIM) not responding ... still trying\nopenlava project 2.2, Nov 22 2026", "openlava"),
        ("bjobs 3.1", None),
        ("", None),
    ],
)
def test_a_version_tells_whose_lsf_it_is(version, dialect):
    assert dialect_in(version) == dialect


@pytest.mark.parametrize(
    "said",
    [
        "lsb_init: Failed in an LSF library call: Unable to open file lsf.conf\n",
        "LSF daemon (LIM) not responding ... still trying\n",
        "Failed in an LSF library call: Failed in sending/receiving a message: Connection reset by peer\n",
    ],
)
def test_a_failure_that_names_lsf_is_no_version_of_ibms(said):
    """OpenLava says this too, and would take IBM's options for something else."""
    with pytest.raises(CommandFailedError):
        find_dialect("bsub", LSFSchedulerOptions(), Program(said, 255))


def test_a_version_that_nobody_knows_is_asked_to_be_set():
    with pytest.raises(SchedulerError, match="set the option dialect"):
        find_dialect("bsub", LSFSchedulerOptions(), Program("bsub 3.1\n"))
