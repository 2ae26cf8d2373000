"""Use the PBS of this machine for the contract, as far as a real one can be driven by a user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

from molq_pbs import PBSSchedulerOptions

PROGRAMS = ("qsub", "qstat", "qdel", "qselect", "qalter")


def why_not() -> str | None:
    """Return why there is no real PBS for tests here."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"a real PBS needs {', '.join(missing)}"
    if os.getuid() == 0:
        return "PBS's daemons do not see the processes of root, so that these tests are for an ordinary user"
    if "history" in subprocess.run(["qstat", "-x"], check=False, capture_output=True, text=True).stderr:
        return "this PBS keeps no history of jobs, so that nothing can be seen of how they ended"
    return None


class RealPBS:
    """The PBS whose programs are in PATH.

    Args:
        folder: the test's own, which the nodes must see.
    """

    options = PBSSchedulerOptions(dialect="openpbs")
    patience = 120.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, job_id: str) -> None:
        """Wait until a job is over."""
        self._wait(job_id, lambda state: state in ("F", ""))

    def start(self, job_id: str) -> None:
        """Wait until a job has started."""
        self._wait(job_id, lambda state: state in ("R", "E", "F", ""))

    def cancel_all(self) -> None:
        """End what the test has left behind, one by one, and nothing else of this user's."""
        user = pwd.getpwuid(os.getuid()).pw_name
        for job_id in subprocess.run(
            ["qselect", "-u", user], check=False, capture_output=True, text=True
        ).stdout.split():
            shown = subprocess.run(["qstat", "-f", "-w", job_id], check=False, capture_output=True, text=True).stdout
            if f"{self._folder}/" in shown:
                subprocess.run(["qdel", job_id], check=False, capture_output=True)

    def _wait(self, job_id: str, is_so: object) -> None:
        until = time.monotonic() + self.patience
        while True:
            done = subprocess.run(["qstat", "-x", job_id], check=False, capture_output=True, text=True)
            rows = [line.split() for line in done.stdout.splitlines()[2:]]
            state = rows[0][4] if rows and len(rows[0]) > 4 else ""
            if is_so(state):
                return
            assert time.monotonic() < until, f"job {job_id} is still {state!r}: {done.stderr}"
            time.sleep(0.5)
