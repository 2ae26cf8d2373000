from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from molq_local.admission import Demand, Load, admit, obstacle


def demand(number=1, cpus=1, memory=0, alone=False, limit=None, cpu_capacity=4, memory_capacity=100):
    return Demand(number, cpus, memory, alone, limit, cpu_capacity, memory_capacity)


def admitted(queue, load=None):
    return [d.job_number for d in admit(queue, load or Load())[0]]


def test_jobs_start_until_the_cpus_are_taken():
    queue = [demand(1, cpus=2), demand(2, cpus=1), demand(3, cpus=1), demand(4, cpus=1)]

    assert admitted(queue) == [1, 2, 3]


def test_nobody_overtakes_the_head_of_the_queue():
    queue = [demand(1, cpus=3), demand(2, cpus=2), demand(3, cpus=1)]

    assert admitted(queue) == [1]


def test_memory_counts_only_where_it_was_asked_for():
    queue = [demand(1, memory=60), demand(2), demand(3, memory=40), demand(4, memory=1)]

    assert admitted(queue) == [1, 2, 3]


def test_the_limit_on_jobs_counts_those_that_run():
    queue = [demand(1, limit=2), demand(2, limit=2)]

    assert admitted(queue, Load(running=1, cpu_count=1)) == [1]


def test_an_exclusive_job_runs_alone():
    assert admitted([demand(1, alone=True), demand(2)]) == [1]
    assert admitted([demand(1), demand(2, alone=True)]) == [1]


def test_a_job_that_fits_the_machine_starts_on_an_empty_one():
    assert obstacle(demand(cpus=4, memory=100, alone=True, limit=1), Load()) is None


def test_no_more_of_the_queue_is_read_than_is_needed():
    def endless():
        number = 0
        while True:
            number += 1
            yield demand(number)

    found, is_all = admit(endless(), Load())

    assert ([d.job_number for d in found], is_all) == ([1, 2, 3, 4], False)


def test_the_reason_for_waiting_is_told_with_numbers():
    busy = Load(running=2, cpu_count=3, memory=90)

    assert obstacle(demand(cpus=2), busy) == "waits for 2 CPUs"
    assert obstacle(demand(cpus=1, memory=2**31, memory_capacity=2**31), busy) == "waits for 2 GiB of memory"
    assert obstacle(demand(limit=2), busy) == "waits: 2 jobs are running, the limit"
    assert obstacle(demand(alone=True), busy) == "waits to run alone: 2 jobs are running"
    assert obstacle(demand(), Load(running=1, exclusive=1)) == "waits for a job that runs alone"


@given(
    st.lists(
        st.builds(
            demand,
            cpus=st.integers(1, 4),
            memory=st.integers(0, 100),
            alone=st.booleans(),
            limit=st.none() | st.integers(1, 5),
        )
    )
)
def test_what_is_admitted_together_never_exceeds_anyones_limits(queue):
    found, is_all = admit(queue, Load())

    assert found == queue[: len(found)]
    assert bool(found) == bool(queue)
    assert is_all == (len(found) == len(queue))
    for d in found:
        assert sum(other.cpu_count for other in found) <= d.cpu_capacity
        assert sum(other.memory for other in found) <= d.memory_capacity
        assert len(found) == 1 or not d.is_exclusive
    assert not found or found[-1].max_concurrent is None or len(found) <= max(1, found[-1].max_concurrent)
