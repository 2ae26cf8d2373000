"""Be one of the fake cluster's programs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from molq.testing.fake_programs import Record
from molq_slurm.testing.cluster_file import ClusterFile
from molq_slurm.testing.fake_sacct import sacct
from molq_slurm.testing.fake_sbatch import sbatch
from molq_slurm.testing.fake_scancel import scancel
from molq_slurm.testing.fake_scontrol import scontrol
from molq_slurm.testing.fake_squeue import squeue

PROGRAMS: dict[str, Callable[[list[str], Record], int]] = {
    "sbatch": sbatch,
    "squeue": squeue,
    "sacct": sacct,
    "scancel": scancel,
    "scontrol": scontrol,
}


def main(folder: str, name: str, argv: list[str]) -> int:
    """Run a program over the cluster in ``folder``; return its exit code."""
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]  # it is a text file
    file = ClusterFile(folder)
    file.log_command([name, *argv])
    if argv == ["--version"]:
        sys.stdout.write("slurm-wlm 22.05.8\n")
        return 0
    with file.opened() as cluster:
        answer = cluster["answers"].get(name)
        is_frozen = cluster["controller"] == "frozen" and name != "sacct"
        if answer is None and not is_frozen:
            return PROGRAMS[name](argv, cluster)
    if is_frozen:
        signal.pause()
    sys.stdout.write(answer["stdout"])
    sys.stderr.write(answer["stderr"])
    return int(answer["exit_code"])
