"""Records: the fields of the reference, and that they are values."""

from __future__ import annotations

import copy
import inspect
import pickle

import attrs
import pytest

from molq.job_state import JobState
from molq.records import DependencyPreview, DependencyPreviewItem, JobDependency, JobRecord, StatusTransition

REFERENCE = [
    "job_id", "root_job_id", "attempt", "previous_attempt_job_id", "retry_group_id", "profile_name", "cluster_name",
    "scheduler", "state", "scheduler_job_id", "submitted_at", "started_at", "finished_at", "exit_code",
    "failure_reason", "cwd", "command_type", "command_display", "metadata", "cleaned_at",
]  # fmt: skip
ADDITIVE = [
    "job_name", "job_dir", "stdout_path", "stderr_path", "native_state", "reason", "cause", "signal", "missing_since",
    "cancel_requested_at", "not_before",
]  # fmt: skip

SIGNATURES = {
    JobDependency: ["job_id", "dependency_job_id", "dependency_type", "scheduler_dependency"],
    StatusTransition: ["job_id", "old_state", "new_state", "timestamp", "reason"],
    DependencyPreviewItem: [
        "job_id", "dependency_type", "relation_state", "job_state", "command_display", "scheduler_dependency",
    ],
    DependencyPreview: [
        "job_id", "upstream_total", "upstream_satisfied", "upstream", "downstream_total", "downstream",
    ],
}  # fmt: skip


def a_record(**changes):
    facts = dict.fromkeys(field.name for field in attrs.fields(JobRecord))
    facts |= {
        "job_id": "j1",
        "root_job_id": "j1",
        "attempt": 1,
        "cluster_name": "hpc",
        "scheduler": "slurm",
        "state": JobState.RUNNING,
        "cwd": "/work",
        "command_type": "argv",
        "command_display": "python train.py",
        "metadata": {"run": "7"},
        "created_at": 1.0,
        "job_dir": "/project/.molq/jobs/j1",
        "stdout_path": "/project/out",
        "stderr_path": "/project/err",
    }
    return JobRecord(**(facts | changes))


ITEM = DependencyPreviewItem("j0", "after_success", "pending", JobState.RUNNING, "prepare", "afterok:1")

VALUES = [
    a_record(),
    JobDependency("j2", "j1", "after_success", "afterok:1"),
    StatusTransition("j1", JobState.QUEUED, JobState.RUNNING, 2.0, "the scheduler says so"),
    ITEM,
    DependencyPreview("j1", 1, 0, (ITEM,), 0, ()),
]


def name(value):
    return type(value).__name__


def test_a_job_record_has_the_fields_of_the_reference_and_those_that_were_added():
    fields = [field.name for field in attrs.fields(JobRecord)]

    assert [field for field in fields if field in REFERENCE] == REFERENCE
    assert set(fields) == {*REFERENCE, *ADDITIVE, "created_at"}


def test_a_job_record_is_made_by_name_only():
    kinds = {parameter.kind for parameter in inspect.signature(JobRecord).parameters.values()}

    assert kinds == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("kind", SIGNATURES, ids=lambda kind: kind.__name__)
def test_a_small_record_has_the_order_of_the_reference(kind):
    assert list(inspect.signature(kind).parameters) == SIGNATURES[kind]


@pytest.mark.parametrize("kind", [JobRecord, *SIGNATURES], ids=lambda kind: kind.__name__)
def test_every_field_of_a_record_is_documented(kind):
    for field in attrs.fields(kind):
        assert f"        {field.name}: " in kind.__doc__


@pytest.mark.parametrize("value", VALUES, ids=name)
def test_a_record_is_a_value(value):
    twin = copy.deepcopy(value)

    assert twin == value
    assert pickle.loads(pickle.dumps(value)) == value
    assert len({value, twin}) == 1


@pytest.mark.parametrize("value", VALUES, ids=name)
def test_a_record_is_frozen(value):
    for field in attrs.fields(type(value)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)


def test_records_that_differ_in_metadata_only_are_not_the_same():
    assert a_record(metadata={"run": "8"}) != a_record()


def test_a_record_takes_no_fact_that_is_not_a_field():
    with pytest.raises(AttributeError):
        object.__setattr__(a_record(), "colour", "red")
