"""Submit, follow, chain, retry and cancel batch jobs on Slurm, PBS, LSF and the local machine.

Nothing is imported before it is used, so that ``import molq`` costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False

__version__ = "0.1.0"

_MODULES = {
    "CommandError": "errors",
    "ConfigError": "errors",
    "DependencyCondition": "conditions",
    "DependencyPreview": "records",
    "DependencyPreviewItem": "records",
    "DependencyRef": "job_spec",
    "Duration": "quantities",
    "dependency_relation_state": "dependencies",
    "EventBus": "events",
    "EventPayload": "events",
    "EventType": "events",
    "JobDependency": "records",
    "JobElement": "records",
    "JobExecution": "job_spec",
    "JobHandle": "job_handle",
    "JobNotFoundError": "errors",
    "JobRecord": "records",
    "JobResources": "job_spec",
    "JobScheduling": "job_spec",
    "JobState": "job_state",
    "JobStore": "store",
    "Memory": "quantities",
    "MolqConfig": "config",
    "MolqError": "errors",
    "MolqProfile": "config",
    "MolqTimeoutError": "errors",
    "RetentionPolicy": "policies",
    "RetryBackoff": "policies",
    "RetryEscalation": "policies",
    "RetryPolicy": "policies",
    "SchedulerError": "errors",
    "SchedulerOptions": "backend",
    "Script": "job_spec",
    "ScriptError": "errors",
    "StatusTransition": "records",
    "StoreError": "errors",
    "SubmitError": "errors",
    "Submitor": "submitor",
    "SubmitorDefaults": "job_spec",
    "load_config": "config",
    "load_profile": "config",
}

_OPTIONS = ("LSFSchedulerOptions", "LocalSchedulerOptions", "PBSSchedulerOptions", "SlurmSchedulerOptions")

# The options classes are left out: `from molq import *` must work whatever backends are installed.
__all__ = [*_MODULES, "__version__"]  # noqa: PLE0604 - all are names; type checkers read the imports below

if TYPE_CHECKING:
    from molq.backend import SchedulerOptions as SchedulerOptions
    from molq.conditions import DependencyCondition as DependencyCondition
    from molq.config import MolqConfig as MolqConfig
    from molq.config import MolqProfile as MolqProfile
    from molq.config import load_config as load_config
    from molq.config import load_profile as load_profile
    from molq.dependencies import dependency_relation_state as dependency_relation_state
    from molq.errors import CommandError as CommandError
    from molq.errors import ConfigError as ConfigError
    from molq.errors import JobNotFoundError as JobNotFoundError
    from molq.errors import MolqError as MolqError
    from molq.errors import MolqTimeoutError as MolqTimeoutError
    from molq.errors import SchedulerError as SchedulerError
    from molq.errors import ScriptError as ScriptError
    from molq.errors import StoreError as StoreError
    from molq.errors import SubmitError as SubmitError
    from molq.events import EventBus as EventBus
    from molq.events import EventPayload as EventPayload
    from molq.events import EventType as EventType
    from molq.job_handle import JobHandle as JobHandle
    from molq.job_spec import DependencyRef as DependencyRef
    from molq.job_spec import JobExecution as JobExecution
    from molq.job_spec import JobResources as JobResources
    from molq.job_spec import JobScheduling as JobScheduling
    from molq.job_spec import Script as Script
    from molq.job_spec import SubmitorDefaults as SubmitorDefaults
    from molq.job_state import JobState as JobState
    from molq.policies import RetentionPolicy as RetentionPolicy
    from molq.policies import RetryBackoff as RetryBackoff
    from molq.policies import RetryEscalation as RetryEscalation
    from molq.policies import RetryPolicy as RetryPolicy
    from molq.quantities import Duration as Duration
    from molq.quantities import Memory as Memory
    from molq.records import DependencyPreview as DependencyPreview
    from molq.records import DependencyPreviewItem as DependencyPreviewItem
    from molq.records import JobDependency as JobDependency
    from molq.records import JobElement as JobElement
    from molq.records import JobRecord as JobRecord
    from molq.records import StatusTransition as StatusTransition
    from molq.store import JobStore as JobStore
    from molq.submitor import Submitor as Submitor
    from molq_local import LocalSchedulerOptions as LocalSchedulerOptions
    from molq_lsf import LSFSchedulerOptions as LSFSchedulerOptions
    from molq_pbs import PBSSchedulerOptions as PBSSchedulerOptions
    from molq_slurm import SlurmSchedulerOptions as SlurmSchedulerOptions


def __getattr__(name: str) -> object:
    if name in _MODULES:
        from importlib import import_module

        value: object = getattr(import_module(f"molq.{_MODULES[name]}"), name)
    elif name in _OPTIONS:
        from molq.discovery import load_options_class

        value = load_options_class(name)
    else:
        raise AttributeError(f"module 'molq' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_OPTIONS})
