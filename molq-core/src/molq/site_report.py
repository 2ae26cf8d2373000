"""Gather what there is to tell of a site: molq's own state, and what the backend finds out."""

from __future__ import annotations

from molq.backend import Commands, Finding, SchedulerError, SchedulerOptions
from molq.errors import BackendError
from molq.loaded_backend import Backend
from molq.store import JobStore
from molq.store.file_systems import file_system_type, is_local


def site_report(
    store: JobStore, backend: Backend, options: SchedulerOptions, commands: Commands
) -> tuple[Finding, ...]:
    """Return findings; what could not be found out is one of them."""
    return (_backend(backend), _database(store), *_probed(backend, options, commands))


def _backend(backend: Backend) -> Finding:
    return Finding(name="backend", value=backend.distribution, meaning=f"talks to {backend.description.label}")


def _database(store: JobStore) -> Finding:
    kind = file_system_type(store.path) or "unknown"
    meaning = (
        "on a disk of this machine: fast, and jobs are seen from this machine alone"
        if is_local(store.path)
        else "may be shared by several machines: safe, since molq then uses a rollback journal, but slower"
    )
    return Finding(name="database", value=f"{store.path} ({kind})", meaning=meaning)


def _probed(backend: Backend, options: SchedulerOptions, commands: Commands) -> tuple[Finding, ...]:
    if not backend.implements("molq_probe_site"):
        return ()
    try:
        return backend.probe_site(options, commands)
    except (SchedulerError, BackendError) as error:
        return (Finding(name="scheduler", value="could not be asked", is_problem=True, meaning=str(error)),)
