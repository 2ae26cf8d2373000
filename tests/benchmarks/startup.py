"""How long it takes to start, against a Python that does nothing."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from timing import beside_floor, command

_MOLQ = str(Path(sys.executable).with_name("molq"))


def run() -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "MOLQ_HOME": home}
        floor = command([sys.executable, "-c", "pass"])
        rows = (
            ("import molq", [sys.executable, "-c", "import molq"], "2x -> 1.2x"),
            ("from molq import Submitor", [sys.executable, "-c", "from molq import Submitor"], "6.5x -> 5.5x"),
            ("molq --version", [_MOLQ, "--version"], "4.5x -> 1.5x"),
            ("molq --help", [_MOLQ, "--help"], "5.5x -> 4.2x"),
            ("molq list, empty store", [_MOLQ, "list"], "7x -> 6x"),
        )
        for name, argv, goal in rows:
            beside_floor(name, command(argv, environment), floor, goal=goal)
