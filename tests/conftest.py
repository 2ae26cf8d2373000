"""Each test has a home, a working directory and a local queue of its own, and leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from molq import JobStore, Submitor
from molq_slurm.testing import FakeSlurm

# A busy machine takes its time for each example.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True, scope="session")
def signals_as_in_a_terminal() -> None:
    """Ignore no signal, as what is started in the background does: programs under test would inherit that."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _processes_that_mention(folder: Path) -> list[int]:
    """Return the processes whose command line or environment names the folder, or what is in it."""
    name = re.compile(re.escape(os.fsencode(folder)) + rb"(?![\w.-])")  # …/run1 is no part of …/run10
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if name.search(told) and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of molq's state; the working directory is ``work`` beside it."""
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("MOLQ_HOME", str(home))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(work)
    yield home
    deadline = time.monotonic() + 30
    while (pids := _processes_that_mention(tmp_path)) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
    assert pids == []


@pytest.fixture
def store(home: Path) -> Iterator[JobStore]:
    """The store in ``home``."""
    store = JobStore()
    yield store
    store.close()


@pytest.fixture
def submitor(store: JobStore) -> Submitor:
    """A Submitor for the local queue in ``home``."""
    return Submitor("here", "local", store=store)


@pytest.fixture
def fake_slurm(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A fake Slurm whose programs are found in PATH."""
    slurm = FakeSlurm(tmp_path)
    monkeypatch.setenv("PATH", f"{slurm.bin}{os.pathsep}{os.environ['PATH']}")
    return slurm


@pytest.fixture
def molq(home: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a user would."""
    program = Path(sys.executable).with_name("molq")

    def run(*arguments: str, stdin: str = "", **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False, **options
        )

    return run
