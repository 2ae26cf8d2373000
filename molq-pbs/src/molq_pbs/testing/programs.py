"""Be one of the fake cluster's programs."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable

from molq.testing.fake_programs import Record
from molq_pbs.testing.cluster_file import ClusterFile
from molq_pbs.testing.fake_errors import misdirected, refused
from molq_pbs.testing.fake_qalter import qalter
from molq_pbs.testing.fake_qdel import qdel
from molq_pbs.testing.fake_qselect import qselect
from molq_pbs.testing.fake_qstat import qstat
from molq_pbs.testing.fake_qsub import qsub
from molq_pbs.testing.fake_tracejob import tracejob

_QUESTIONS: dict[str, Callable[[list[str], Record], int]] = {
    "qstat": qstat,
    "qdel": qdel,
    "qselect": qselect,
    "qalter": qalter,
    "tracejob": tracejob,
}
PROGRAMS = ("qsub", *_QUESTIONS)
_PATIENCE = 30.0
_VERSIONS = {"openpbs": "pbs_version = 23.06.06\n", "torque": "Version: 6.1.2\nCommit: unknown\n"}


def main(folder: str, name: str, argv: list[str]) -> int:
    """Run a program over the cluster in ``folder``; return its exit code, negative for a signal."""
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]  # it is a text file
    file = ClusterFile(folder)
    file.log_command([name, *argv])
    with file.opened() as cluster:
        answer, missing, dialect = cluster["answers"].get(name), cluster["cut_off"].get(name), cluster["dialect"]
    if argv == ["--version"]:
        sys.stdout.write(_VERSIONS[dialect])
        return 0
    if answer is not None:
        sys.stdout.write(answer["stdout"])
        sys.stderr.write(answer["stderr"])
        return int(answer["exit_code"])
    code = misdirected(name) if name != "tracejob" else None
    if code is not None:
        return code
    if missing is None:
        return _run(name, argv, file)
    real, sys.stdout = sys.stdout, io.StringIO()
    try:
        code, text = _run(name, argv, file), sys.stdout.getvalue()
    finally:
        sys.stdout = real
    sys.stdout.write(text[: max(0, len(text) - missing)])
    return code


def _run(name: str, argv: list[str], file: ClusterFile) -> int:
    if name == "qsub":
        return qsub(argv, file)
    # A program of PBS has no time-out of its own: it waits for as long as the server says nothing.
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and os.path.exists(file.path):
        with file.opened() as cluster:
            if cluster["server"] == "down" and name != "tracejob":
                return refused(name, cluster["host"])
            if cluster["server"] == "up" or name == "tracejob":
                return _QUESTIONS[name](argv, cluster)
        time.sleep(0.02)
    return 1
