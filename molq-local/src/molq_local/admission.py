"""Decide which queued jobs may start now: first come, first served within a priority."""

from __future__ import annotations

from collections.abc import Iterable


class Demand:
    """What one job takes while it runs, and what its submitter lets all jobs take together.

    Attributes:
        job_number: the queue's number of the job.
        cpu_count: CPUs it takes.
        memory: bytes it takes; 0 if it did not say.
        is_exclusive: whether it runs alone.
        max_concurrent: how many jobs may run with it, itself included; None for no limit.
        cpu_capacity: CPUs that may be taken together.
        memory_capacity: bytes that may be taken together.
    """

    __slots__ = (
        "cpu_capacity",
        "cpu_count",
        "is_exclusive",
        "job_number",
        "max_concurrent",
        "memory",
        "memory_capacity",
    )

    def __init__(
        self,
        job_number: int,
        cpu_count: int,
        memory: int,
        is_exclusive: bool,
        max_concurrent: int | None,
        cpu_capacity: int,
        memory_capacity: int,
    ) -> None:
        self.job_number = job_number
        self.cpu_count = cpu_count
        self.memory = memory
        self.is_exclusive = is_exclusive
        self.max_concurrent = max_concurrent
        self.cpu_capacity = cpu_capacity
        self.memory_capacity = memory_capacity


class Load:
    """What the running jobs take together.

    Attributes:
        running: how many there are.
        cpu_count: CPUs that they take.
        memory: bytes that they take.
        exclusive: how many of them run alone, which is one at most.
    """

    __slots__ = ("cpu_count", "exclusive", "memory", "running")

    def __init__(self, running: int = 0, cpu_count: int = 0, memory: int = 0, exclusive: int = 0) -> None:
        self.running = running
        self.cpu_count = cpu_count
        self.memory = memory
        self.exclusive = exclusive

    def add(self, demand: Demand) -> None:
        """Count a job that starts."""
        self.running += 1
        self.cpu_count += demand.cpu_count
        self.memory += demand.memory
        self.exclusive += demand.is_exclusive


def obstacle(demand: Demand, load: Load) -> str | None:
    """Return why a job cannot start beside ``load``, in words that follow "it"; None if it can."""
    if load.running == 0:
        return None
    if load.exclusive:
        return "waits for a job that runs alone"
    if demand.is_exclusive:
        return f"waits to run alone: {counted(load.running, 'job is', 'jobs are')} running"
    if demand.max_concurrent is not None and load.running >= demand.max_concurrent:
        return f"waits: {counted(load.running, 'job is', 'jobs are')} running, the limit"
    if load.cpu_count + demand.cpu_count > demand.cpu_capacity:
        return f"waits for {counted(demand.cpu_count, 'CPU', 'CPUs')}"
    if demand.memory and load.memory + demand.memory > demand.memory_capacity:
        return f"waits for {readable_bytes(demand.memory)} of memory"
    return None


def admit(queue: Iterable[Demand], load: Load) -> tuple[list[Demand], bool]:
    """Return the jobs that may start, and whether that was all of ``queue``.

    Args:
        queue: the queued jobs, the next one first; no more of it is read than is needed.
        load: what runs; the jobs that may start are added to it.
    """
    admitted: list[Demand] = []
    for demand in queue:
        # Nobody overtakes the head, or a large job would wait for ever behind a stream of small ones.
        if obstacle(demand, load) is not None:
            return admitted, False
        load.add(demand)
        admitted.append(demand)
    return admitted, True


def counted(number: int, one: str, many: str) -> str:
    """Return the number with the noun that fits it."""
    return f"{number} {one if number == 1 else many}"


def readable_bytes(amount: int) -> str:
    """Return an amount of memory for people: ``'1.5 GiB'``."""
    size = float(amount)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
