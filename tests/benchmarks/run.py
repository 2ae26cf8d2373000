"""Run benchmarks and print each beside its floor: ``python tests/benchmarks/run.py [NAME...]``."""

from __future__ import annotations

import importlib
import sys

from timing import row

_NAMES = ("startup", "stored_jobs", "local_queue")


def main() -> None:
    """Run the benchmarks that are named, or all."""
    row("measured", "molq", "floor", "ratio", "goal -> dream")
    for name in sys.argv[1:] or _NAMES:
        importlib.import_module(name).run()


if __name__ == "__main__":
    main()
