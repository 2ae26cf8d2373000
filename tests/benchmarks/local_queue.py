"""The local queue: its rate against ``xargs``, how late ``wait`` returns, and the memory of its agent."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from timing import row, seconds

from molq import JobExecution, JobStore, LocalSchedulerOptions, Submitor


@contextmanager
def _submitor(max_concurrent: int) -> Iterator[Submitor]:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        options = LocalSchedulerOptions(max_concurrent=max_concurrent, state_dir=base / "queue", idle_seconds=0.5)
        store = JobStore(base / "jobs.db")
        yield Submitor("benchmark", scheduler_options=options, store=store, jobs_dir=base / "jobs")
        store.close()
        _await_agent(base / "queue")


def _await_agent(state_dir: Path) -> None:
    """Wait until the queue's agent has ended, so that it does not disturb what is measured next."""
    wake = state_dir / "wake"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.close(os.open(wake, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return
        time.sleep(0.05)


def _xargs(count: int) -> float:
    numbers = "\n".join(map(str, range(count)))
    return seconds(lambda: subprocess.run(["xargs", "-P2", "-n1", "true"], input=numbers, text=True, check=True))


def _rate(count: int) -> None:
    floor = _xargs(count)
    with _submitor(2) as submitor:
        began = time.perf_counter()
        handles = [submitor.submit(argv=["true"]) for _ in range(count)]
        submitted = time.perf_counter() - began
        records = submitor.watch([handle.job_id for handle in handles])
        ours = time.perf_counter() - began
    assert all(record.exit_code == 0 for record in records)
    goal = "0.23 -> 0.42 of the rate"
    row(f"{count} local jobs of true, two at a time", f"{ours:.2f} s", f"{floor:.2f} s", f"{floor / ours:.2f}", goal)
    row(f"  of which {count} submissions", f"{submitted:.2f} s", "", f"{submitted / count * 1e3:.2f} ms")


def _lateness(rounds: int = 20) -> None:
    late = []
    with _submitor(2) as submitor, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            mark = Path(folder) / str(number)
            job = submitor.submit(
                command=f"sleep 0.{number % 5 + 1}; date +%s.%N >{mark}", execution=JobExecution(cwd=folder)
            )
            job.wait()
            late.append(time.time() - float(mark.read_text()))
    shown = f"{statistics.median(late) * 1e3:.1f} ms"
    row("wait() returns late by, local (median)", shown, "1.0 ms", f"max {max(late) * 1e3:.0f}", "50 -> 10 ms")


def _memory() -> None:
    with _submitor(1) as submitor:
        blocker = submitor.submit(argv=["sleep", "60"])
        handles = [submitor.submit(argv=["true"]) for _ in range(1000)]
        deadline = time.monotonic() + 10
        while blocker.refresh().status().value != "running" and time.monotonic() < deadline:
            time.sleep(0.05)
        agent = next(
            entry
            for entry in Path("/proc").glob("[0-9]*")
            if b"molq_local" in _command_line(entry) and b"sleep" not in _command_line(entry)
        )
        peak = next(line for line in (agent / "status").read_text().splitlines() if line.startswith("VmRSS"))
        row("memory of the agent, 1000 jobs queued", f"{int(peak.split()[1]) / 1024:.1f} MiB", "", "", "40 -> 25 MiB")
        for handle in handles:
            submitor._store.request_cancel(handle.job_id, time.time())
        blocker.cancel()


def _command_line(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


def run() -> None:
    """Print the rows."""
    _lateness()
    _memory()
    _rate(1_000)
    _rate(10_000)
