"""Check that each wheel holds one package with its type marker and its entry points, and nothing else."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

BACKENDS = {"molq_local": "local", "molq_slurm": "slurm", "molq_pbs": "pbs", "molq_lsf": "lsf"}


def problems(wheel: Path) -> list[str]:
    """Return what is wrong with a wheel."""
    distribution, version = wheel.name.split("-")[:2]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = next((archive.read(n).decode() for n in names if n.endswith("entry_points.txt")), "")
        metadata = next(archive.read(n).decode() for n in names if n.endswith("METADATA"))
    package = "molq" if distribution == "molq_core" else distribution
    inside = {name.split("/")[0] for name in names} - {f"{distribution}-{version}.dist-info"}
    found = []
    if distribution == "molq":
        return [] if not inside else [f"the metapackage holds {inside}"]
    if inside != {package}:
        found.append(f"it holds {inside}, not just {package}")
    if f"{package}/py.typed" not in names:
        found.append("it has no py.typed")
    if not re.search(r"^License-Expression: MIT$", metadata, re.MULTILINE):
        found.append("it does not name its licence")
    wanted = "molq = molq.cli:main" if package == "molq" else f"{BACKENDS[package]} = {package}.hooks"
    if wanted not in entry_points:
        found.append(f"it lacks the entry point {wanted!r}")
    return found


def main() -> int:
    """Check every wheel in a folder; one version for all."""
    wheels = sorted(Path(sys.argv[1]).glob("*.whl"))
    versions = {wheel.name.split("-")[1] for wheel in wheels}
    faults = [f"{wheel.name}: {problem}" for wheel in wheels for problem in problems(wheel)]
    if len(versions) != 1:
        faults.append(f"the versions differ: {versions}")
    sys.stdout.writelines(f"{line}\n" for line in faults or [f"{len(wheels)} wheels are sound"])
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
