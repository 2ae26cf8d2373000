"""Say what PBS's programs say when something is wrong. Recorded from OpenPBS 23.06.06; Torque's is from its sources."""

from __future__ import annotations

import os
import sys

UNKNOWN_JOB = {"openpbs": "Unknown Job Id", "torque": "Unknown Job Id Error"}
JOB_IS_OVER = "qstat: {} Job has finished, use -x or -H to obtain historical job information"
HISTORY_OFF = "qstat: PBS is not configured to maintain job history {}"
_REFUSED_CODES = {"qstat": 255}
_PBSCONF = "pbsconf error: pbs conf variables not found: PBS_HOME PBS_EXEC PBS_SERVER\nNo such file or directory\n"


def say(text: str, code: int) -> int:
    """Write a message and return the exit code."""
    sys.stderr.write(f"{text}\n")
    return code


def misdirected(name: str) -> int | None:
    """Answer in place of a program whose environment names no server, or none that exists; else return None."""
    configuration, server = os.environ.get("PBS_CONF_FILE"), os.environ.get("PBS_SERVER")
    if configuration is not None and not os.path.exists(configuration):
        return say(f"{_PBSCONF}{name}: cannot connect to server  (errno=0)", 255)
    if server is not None:
        return say(f"Unknown Host.\n{name}: cannot connect to server {server} (errno=15008)", _code(name, 160))
    return None


def refused(name: str, host: str) -> int:
    """Answer in place of a program that reaches no server."""
    if name == "qdel":
        return say(f"Connection refused\nCouldn't connect to cluster: {host}", 162)
    return say(f"Connection refused\n{name}: cannot connect to server {host} (errno=15010)", _code(name, 162))


def _code(name: str, usual: int) -> int:
    return _REFUSED_CODES.get(name, usual)
