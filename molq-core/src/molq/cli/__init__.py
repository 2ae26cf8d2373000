"""The command line ``molq``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. The version is told before anything slow is imported."""
    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        from molq import __version__

        try:
            print(f"molq {__version__}", flush=True)
            return
        except OSError:
            # What is below explains it.
            pass
    from molq.cli.app import run

    sys.exit(run(sys.argv[1:]))
