"""Bring up a real Slurm of its own for the tests, and drive it as far as a real one can be driven."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from molq_slurm import SlurmSchedulerOptions

LAB = Path(__file__).parent / "slurm_lab"
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "slurmdbd", "mariadbd")
_FIRST_PORT, _LAST_PORT, _SPAN = 20_000, 30_000, 30


def why_not() -> str | None:
    """Return why a real Slurm cannot be brought up here."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        return f"a real Slurm needs {', '.join(missing)}"
    return None if os.getuid() == 0 else "several slurmds can only be started by root"


class RealSlurm:
    """A real Slurm with four nodes on this machine, in a folder and on ports of its own."""

    options = SlurmSchedulerOptions()

    def __init__(self, folder: Path) -> None:
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))},
            "SLURM_LAB_DIR": str(folder),
            "SLURM_LAB_PORT": str(_free_ports()),
            "SLURM_LAB_MESSAGE_TIMEOUT": "2",  # programs give up sooner when the controller is paused
        }
        self._lab("up")
        # If this process is killed, the pipe ends without a line.
        self._guard = subprocess.Popen(
            ["bash", "-c", 'read -r _ || exec bash "$0" --purge', str(LAB / "down")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment,
            start_new_session=True,
        )
        self.conf = folder / "etc" / "slurm.conf"

    def stop(self) -> None:
        """End its jobs and daemons, which also happens if this process is killed."""
        self._lab("down", "--purge")
        self._guard.communicate(b"\n")

    def run(self, job_id: str) -> None:
        """Wait until a job is over."""
        self._wait(job_id, lambda state: state not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING"))

    def start(self, job_id: str) -> None:
        """Wait until a job has started."""
        self._wait(job_id, lambda state: state not in ("PENDING", "CONFIGURING"))

    def go_down(self) -> None:
        """Stop the controller."""
        self._lab("ctl", "stop", "slurmctld")

    def hang(self) -> None:
        """Pause the controller."""
        self._lab("ctl", "pause", "slurmctld")

    def accounting_down(self) -> None:
        """Stop accounting."""
        self._lab("ctl", "stop", "slurmdbd")

    def come_back(self) -> None:
        """Let all daemons answer again."""
        for daemon in ("slurmdbd", "slurmctld"):
            self._lab("ctl", "resume", daemon, check=False)
            self._lab("ctl", "start", daemon)

    def cancel_all(self) -> None:
        """End what tests have left behind."""
        subprocess.run(["scancel", "--me"], env=self._client(), check=False, capture_output=True)

    def _wait(self, job_id: str, is_so: object) -> None:
        until = time.monotonic() + 60
        while True:
            done = subprocess.run(
                ["squeue", "-h", "-t", "all", "-j", job_id, "-o", "%T"],
                env=self._client(),
                capture_output=True,
                check=False,
                text=True,
            )
            states = done.stdout.split()
            if states and all(map(is_so, states)):
                return
            assert time.monotonic() < until, f"job {job_id} is still {states}: {done.stderr}"
            time.sleep(0.05)

    def _client(self) -> dict[str, str]:
        return {**self.environment, "SLURM_CONF": str(self.conf)}

    def _lab(self, *words: str, check: bool = True) -> None:
        argv = ["bash", str(LAB / words[0]), *words[1:]]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0 or not check, done.stderr


def _free_ports() -> int:
    """Return the first of a row of ports that nobody listens on."""
    for first in range(_FIRST_PORT + os.getpid() % 100 * _SPAN, _LAST_PORT, _SPAN):
        if not any(_is_taken(first + offset) for offset in (6, 17, 19, 21, 22, 23, 24)):
            return first
    raise RuntimeError("no free ports for a Slurm of our own")


def _is_taken(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(0.2)
        return client.connect_ex(("127.0.0.1", port)) == 0
