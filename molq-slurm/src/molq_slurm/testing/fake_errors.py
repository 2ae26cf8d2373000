"""Hold the words with which Slurm 22.05.8 says that its controller cannot be asked."""

from __future__ import annotations

CONTROLLER_WORDS = {
    "down": "Unable to contact slurm controller (connect failure)",
    "hung": "Socket timed out on send/recv operation",
}

CANCEL_EXIT_CODES = {"down": 8, "hung": 140, "denied": 210}
"""scancel's exit codes: Slurm's error number modulo 256."""
