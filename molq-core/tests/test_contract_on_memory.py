"""The contract for backends, on the scheduler in memory."""

from __future__ import annotations

import pytest

from molq.testing.contract import BackendContract
from molq.testing.memory_backend import MemoryBackend
from molq.testing.memory_cluster import MemoryCluster


class TestOnMemory(BackendContract):
    scheduler = "memory"
    hostile_variables = {  # noqa: RUF012 - as the contract declares it
        "MSUB_QUEUE": "no-such-queue",
        "MSUB_HOLD": "1",
        "MEMORY_ID": "424242",
        "MEMORY_INDEX": "7",
        "MEMORY_RESTARTS": "3",
    }
    words = {word: state for word, (state, _) in MemoryBackend.words.items()}  # noqa: RUF012 - as above

    @pytest.fixture
    def cluster(self):
        return MemoryCluster()

    @pytest.fixture
    def backend(self, cluster):
        return MemoryBackend(cluster).load()
