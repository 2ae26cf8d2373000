"""Use the PBS of this machine for the contract, as far as a real one can be driven by a user."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

from molq_pbs import PBSSchedulerOptions

PROGRAMS = ("qsub", "qstat", "qdel", "qselect", "qalter")


def why_not() -> str | None:
    """Return why there is no real PBS for tests here."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"a real PBS needs {', '.join(missing)}"
    if os.getuid() == 0:
        return "PBS's daemons do not see the processes of root, so that these tests are for an ordinary user"
    return None


class RealPBS:
    """The PBS whose programs are in PATH. The test's folder must be seen by its nodes."""

    options = PBSSchedulerOptions(dialect="openpbs")
    patience = 120.0

    def __init__(self) -> None:
        self._before = set(self._select())

    def run(self, job_id: str) -> None:
        """Wait until a job is over."""
        self._wait(job_id, lambda state: state in ("F", ""))

    def start(self, job_id: str) -> None:
        """Wait until a job has started."""
        self._wait(job_id, lambda state: state in ("R", "E", "F", ""))

    def cancel_all(self) -> None:
        """End what tests have left behind, one by one."""
        for job_id in set(self._select()) - self._before:
            subprocess.run(["qdel", job_id], check=False, capture_output=True)

    def _select(self) -> list[str]:
        user = os.environ.get("USER", "")
        done = subprocess.run(["qselect", "-u", user], check=False, capture_output=True, text=True)
        return done.stdout.split()

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
