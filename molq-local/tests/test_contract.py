"""The contract for backends, on a real local queue."""

from __future__ import annotations

import time

import attrs
import pytest

from molq.backend import JobScheduling
from molq.testing.contract import BackendContract
from molq_local import LocalSchedulerOptions
from molq_local.place import Place
from molq_local.queue_file import QueueFile
from molq_local.queue_requests import Requests


@attrs.frozen
class _LocalCluster:
    """A queue of its own; its agent runs the jobs, so a test can only wait for their ends."""

    options: LocalSchedulerOptions

    def run(self, job_id):
        deadline = time.monotonic() + 60
        with QueueFile(Place(self.options.folder())) as queue:
            while time.monotonic() < deadline:
                (job,) = Requests(queue).known([int(job_id)])
                if job.state == "ended":
                    return
                time.sleep(0.01)
        pytest.fail(f"job {job_id} did not end")


class TestOnALocalQueue(BackendContract):
    scheduler = "local"
    refused = JobScheduling(priority="high")

    @pytest.fixture
    def cluster(self, queue):
        return _LocalCluster(queue.options)
