"""Use the LSF of this machine in the tests, as far as a real one can be driven."""

from __future__ import annotations

import os
import re
import subprocess
import time

from molq_lsf import LSFSchedulerOptions

# The contract calls its jobs so; all else is somebody's work.
_CONTRACTS_OWN = re.compile(r"^(\d+) .*[ .]contract(?:\[\d+\])? +[A-Z][a-z]{2} ", re.MULTILINE)
QUEUE = os.environ.get("MOLQ_LIVE_QUEUE")
IS_WANTED = os.environ.get("MOLQ_LIVE") == "lsf"


class RealLSF:
    """The LSF whose programs are in PATH; jobs go to its default queue, or to that of ``MOLQ_LIVE_QUEUE``."""

    options = LSFSchedulerOptions(extra_bsub_flags=("-q", QUEUE) if QUEUE else ())
    patience = 120.0

    def run(self, job_id: str) -> None:
        """Wait until a job is over."""
        self._wait(job_id, lambda state: state in ("DONE", "EXIT"))

    def start(self, job_id: str) -> None:
        """Wait until a job has started."""
        self._wait(job_id, lambda state: state not in ("PEND", "PSUSP"))

    def cancel_all(self) -> None:
        """End what tests have left behind."""
        listed = subprocess.run(["bjobs", "-w"], capture_output=True, check=False, text=True, timeout=60)
        ours = set(_CONTRACTS_OWN.findall(listed.stdout))
        if ours:
            subprocess.run(["bkill", *ours], check=False, capture_output=True, timeout=60)

    def _wait(self, job_id: str, is_so: object) -> None:
        until = time.monotonic() + self.patience
        while True:
            done = subprocess.run(
                ["bjobs", "-a", "-w", job_id], capture_output=True, check=False, text=True, timeout=60
            )
            states = [line.split()[2] for line in done.stdout.splitlines()[1:] if line[:1].isdigit()]
            if states and all(map(is_so, states)):
                return
            assert time.monotonic() < until, f"job {job_id} is still {states}: {done.stderr}"
            time.sleep(0.2)
