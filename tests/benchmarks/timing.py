"""Time things side by side with their floor, and print the ratio."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence


def seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def command(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Callable[[], object]:
    """Return a call that runs a command to its end."""
    return lambda: subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)


def beside_floor(
    name: str, run: Callable[[], object], floor: Callable[[], object], *, rounds: int = 15, goal: str = ""
) -> None:
    """Run both in turns, and print their medians and the median of the ratios of each turn."""
    run()
    floor()
    pairs = [(seconds(run), seconds(floor)) for _ in range(rounds)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    row(
        name,
        f"{statistics.median(p[0] for p in pairs) * 1e3:.1f} ms",
        f"{statistics.median(p[1] for p in pairs) * 1e3:.1f} ms",
        f"{ratio:.2f}x",
        goal,
    )


def row(name: str, ours: str, floor: str, ratio: str, goal: str = "") -> None:
    """Print one line of the table."""
    print(f"{name:<44} {ours:>14} {floor:>14} {ratio:>9}  {goal}", flush=True)
