"""The rounds of a daemon go on, whatever one of them meets."""

from __future__ import annotations

import os
import resource
import signal

import pytest

from molq.cli.daemon_command import _Rounds
from molq.daemon import run_rounds
from molq.errors import StoreError
from molq.store import JobStore


@pytest.mark.parametrize("question", ["active_clusters", "cluster_names"])
def test_a_database_that_is_locked_for_long_is_told_once_and_asked_again(tmp_path, monkeypatch, caplog, question):
    store = JobStore(tmp_path / "jobs.db")
    rounds = _Rounds(store, None, 1.0, run_cleanup=True)

    def fail():
        raise StoreError("it is locked by another program", path=store.path)

    with monkeypatch.context() as patch:
        patch.setattr(store, question, fail)
        rounds.run()
        rounds.run()
    rounds.run()

    assert caplog.text.count("it is locked by another program") == 1


@pytest.fixture
def many_open_files():
    """Use up the numbers of descriptors that ``select`` can take."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1100
    if before[1] != resource.RLIM_INFINITY and before[1] < wanted + 100:
        pytest.skip("this machine lets nobody open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], wanted + 100), before[1]))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(wanted)]
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_open_files")
def test_rounds_end_at_a_signal_however_many_files_are_open():
    rounds = []

    def work():
        rounds.append(1)
        if len(rounds) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    run_rounds(work, once=False, interval=0.01)

    assert len(rounds) == 2
