from __future__ import annotations

import attrs
import pytest

from molq.backend import Duration, JobResources, JobScheduling, Memory, SubmitRejected
from molq_local import LocalSchedulerOptions, hooks


def test_the_backend_describes_itself():
    description = hooks.molq_describe_backend()

    assert (description.label, description.options_class) == ("Local", LocalSchedulerOptions)
    assert description.job_id_variable == "MOLQ_LOCAL_ID"
    assert description.restart_count_variable is None
    assert (description.shortest_poll, description.longest_poll) == (0.05, 1.0)
    assert description.most_nodes == 1
    assert {"gpu_count", "queue", "array_spec", "dependencies"} <= description.unsupported
    assert not description.unsupported & {
        "cpu_count",
        "memory",
        "time_limit",
        "priority",
        "exclusive_node",
        "node_count",
    }


def test_a_plain_script_is_the_body_alone(queue):
    request = queue.request()

    assert hooks.molq_render_script(request) == f"#!/bin/sh\n{request.body}"


def test_the_demand_is_told_in_the_script(queue):
    request = attrs.evolve(
        queue.request(),
        resources=JobResources(cpu_count=2, memory=Memory.gb(1), time_limit=Duration(90)),
        scheduling=JobScheduling(priority="+3", exclusive_node=True),
    )

    first, second, rest = hooks.molq_render_script(request).split("\n", 2)

    assert (first, rest) == ("#!/bin/sh", request.body)
    assert second == "# local: cpu_count=2 memory=1G time_limit=1m30s priority=3 exclusive_node=yes"


@pytest.mark.parametrize("scheduling", [{"priority": "high"}, {"priority": "1.5"}])
def test_what_is_refused_is_refused_before_anything_is_written(queue, scheduling):
    request = attrs.evolve(queue.request(), scheduling=JobScheduling(**scheduling))

    with pytest.raises(SubmitRejected):
        hooks.molq_render_script(request)
