"""When a scheduler may be asked again."""

from __future__ import annotations

import pytest

from molq.backend import BackendDescription, SchedulerOptions
from molq.pacing import next_poll_at
from molq.store import ClusterHealth

DESCRIPTION = BackendDescription(label="Memory", options_class=SchedulerOptions, job_id_variable="ID")


def due(youngest, asked_at, *, in_a_hurry=False):
    health = ClusterHealth(cluster_name="c", scheduler="memory", asked_at=asked_at)
    return next_poll_at(DESCRIPTION, health, youngest, in_a_hurry=in_a_hurry)


@pytest.mark.parametrize(
    ("youngest", "asked_at", "wait"),
    [
        pytest.param(1000, None, 1, id="a first job is given a second"),
        pytest.param(1000, 500, 1, id="so is a job that came after the last poll"),
        pytest.param(1000, 999.5, 1, id="and one that came right after it"),
        pytest.param(1000, 1000, 1, id="a poll at the same moment is young"),
        pytest.param(1000, 1001, 4, id="then the waits grow"),
        pytest.param(1000, 1005, 20, id="with the age of the youngest job"),
        pytest.param(1000, 1010, 30, id="up to the longest"),
        pytest.param(1000, 90000, 30, id="at any age"),
    ],
)
def test_the_wait_grows_with_the_age_of_the_youngest_job(youngest, asked_at, wait):
    since = youngest if asked_at is None or asked_at < youngest else asked_at

    assert due(youngest, asked_at) == since + wait


@pytest.mark.parametrize("asked_at", [999, 1001, 90000])
def test_in_a_hurry_only_the_shortest_wait_holds(asked_at):
    assert due(1000, asked_at, in_a_hurry=True) == asked_at + 1


def test_a_job_of_an_hour_is_asked_about_few_times():
    asked_at, polls = None, 0

    while (at := due(0, asked_at)) <= 3600:
        asked_at, polls = at, polls + 1

    assert polls <= 130
