"""Be one of the fake cluster's programs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from molq.testing.fake_programs import Record
from molq_lsf.testing.cluster_file import ClusterFile
from molq_lsf.testing.fake_bhist import bhist
from molq_lsf.testing.fake_bjobs import bjobs
from molq_lsf.testing.fake_bsub import bsub, die
from molq_lsf.testing.fake_control import bkill, bmod, bqueues, lsid
from molq_lsf.testing.versions import VERSIONS

PROGRAMS: dict[str, Callable[[list[str], Record], int]] = {
    "bsub": bsub,
    "bjobs": bjobs,
    "bkill": bkill,
    "bhist": bhist,
    "bmod": bmod,
    "bqueues": bqueues,
    "lsid": lsid,
}
_READ_FILES = frozenset({"bhist", "lsid"})  # these need no batch daemon
_STILL_TRYING = "batch system daemon not responding ... still trying\n"
_RESET = "Failed in an LSF library call: Failed in sending/receiving a message: Connection reset by peer"
_LONGEST_WAIT = 60.0  # the real ones wait for ever; a test must leave nothing behind


def main(folder: str, name: str, argv: list[str]) -> int:
    """Run a program over the cluster in ``folder``; return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]  # both are text files
    file = ClusterFile(folder)
    file.log_command([name, *argv])
    if argv == ["-V"]:
        with file.opened() as cluster:
            sys.stderr.write(f"{VERSIONS[cluster['dialect']]}\n")
        return 0
    if name not in _READ_FILES and not _wait_for_daemon(file):
        return 255
    with file.opened() as cluster:
        answer = cluster["answers"].get(name)
        if answer is None and cluster["daemon"] == "down" and name not in _READ_FILES:
            sys.stderr.write(_RESET + (". Job not submitted.\n" if name == "bsub" else "\n"))
            return 255
        code = PROGRAMS[name](argv, cluster) if answer is None else int(answer["exit_code"])
        must_die = cluster.pop("kill_me", False)
    if must_die:
        die()
    if answer is not None:
        sys.stdout.write(answer["stdout"])
        sys.stderr.write(answer["stderr"])
    return code


def _wait_for_daemon(file: ClusterFile) -> bool:
    """Wait while the daemon hangs, as the real programs do; tell whether it answers in the end."""
    until = time.monotonic() + _LONGEST_WAIT
    has_complained = False
    while time.monotonic() < until and os.path.exists(file.path):
        with file.opened() as cluster:
            if cluster["daemon"] != "hung":
                return True
        if not has_complained:
            sys.stderr.write(_STILL_TRYING)
            sys.stderr.flush()
            has_complained = True
        time.sleep(0.05)
    return not has_complained
