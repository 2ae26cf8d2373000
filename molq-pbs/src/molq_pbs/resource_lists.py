"""Say what a job needs of its nodes: as chunks (``select``), or as ``nodes`` with ``ppn``."""

from __future__ import annotations

from collections.abc import Iterator

from molq.backend import JobResources, JobScheduling, Memory, SubmitRejected
from molq_pbs.options import PBSSchedulerOptions


def resource_options(resources: JobResources, scheduling: JobScheduling, options: PBSSchedulerOptions) -> Iterator[str]:
    """Yield options of qsub. What was not asked for is left to the site's defaults.

    Raises:
        SubmitRejected: the site has no word for a field.
    """
    if options.asks_by_select:
        yield from _by_select(resources, scheduling, options)
    else:
        yield from _by_nodes(resources, scheduling, options)
    if resources.time_limit is not None:
        yield f"-l walltime={resources.time_limit.to_pbs()}"


def _by_select(resources: JobResources, scheduling: JobScheduling, options: PBSSchedulerOptions) -> Iterator[str]:
    chunk = []
    if resources.cpu_count is not None:
        chunk.append(f"ncpus={resources.cpu_count}")
    if resources.memory is not None:
        chunk.append(f"mem={resources.memory.to_pbs()}")
    chunk += _gpus(resources, options)
    nodes = scheduling.node_count
    place = []
    if nodes is not None and nodes > 1:
        place.append("scatter")  # else several chunks may share a node
    if scheduling.exclusive_node:
        place.append("excl")
    if chunk or place or nodes is not None:
        yield f"-l select={':'.join([str(nodes or 1), *chunk])}"
    if place:
        yield f"-l place={':'.join(place)}"


def _by_nodes(resources: JobResources, scheduling: JobScheduling, options: PBSSchedulerOptions) -> Iterator[str]:
    node = [str(scheduling.node_count or 1)]
    if resources.cpu_count is not None:
        node.append(f"ppn={resources.cpu_count}")
    node += _gpus(resources, options)
    if scheduling.exclusive_node and not options.is_torque:
        raise SubmitRejected(
            "PBS takes no place=excl beside nodes; ask for an exclusive node with resource_style='select'"
        )
    if len(node) > 1 or scheduling.node_count is not None or scheduling.exclusive_node:
        yield f"-l nodes={':'.join(node)}"
    if scheduling.exclusive_node:
        yield "-n"
    if resources.memory is not None:
        # This memory is that of the whole job.
        yield f"-l mem={Memory(resources.memory.bytes * (scheduling.node_count or 1)).to_pbs()}"


def _gpus(resources: JobResources, options: PBSSchedulerOptions) -> list[str]:
    if resources.gpu_count is None and resources.gpu_type is None:
        return []
    counted_by = options.gpu_resource or ("gpus" if options.is_torque else "ngpus")
    parts = [f"{counted_by}={resources.gpu_count or 1}"]
    if resources.gpu_type is not None:
        if options.gpu_type_resource is not None:
            parts.append(f"{options.gpu_type_resource}={resources.gpu_type}")
        elif options.is_torque:
            parts.append(resources.gpu_type)  # a property that the site gives to its nodes
        else:
            raise SubmitRejected(
                f"PBS has no word of its own for the kind of GPU {resources.gpu_type!r}; name the site's resource for "
                "it in gpu_type_resource, such as 'gpu_model', or drop gpu_type"
            )
    return parts
