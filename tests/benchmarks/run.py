"""Run benchmarks and print each beside its floor: ``python tests/benchmarks/run.py [NAME...]``."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile

from timing import row

_NAMES = ("startup", "stored_jobs", "local_queue", "slurm")


def main() -> None:
    """Run the benchmarks that are named, or all."""
    row("measured", "molq", "floor", "ratio", "goal -> dream")
    with tempfile.TemporaryDirectory() as folder:
        # As an installed molq has it: whatever the environment says, modules are compiled once.
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for name in sys.argv[1:] or _NAMES:
            importlib.import_module(name).run()


if __name__ == "__main__":
    main()
