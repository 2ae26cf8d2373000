"""The errors that molq raises: their families, and the facts that they carry."""

from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path

import pytest

from molq import errors
from molq.job_state import JobState

EVERY = [
    errors.MolqError("sentence"),
    errors.ConfigError("sentence"),
    errors.ConfigFileError("sentence", path=Path("/x/config.toml"), problems=("profiles.p: lacks the key scheduler",)),
    errors.OptionsTypeError("sentence"),
    errors.ExclusiveFieldsError("sentence"),
    errors.BackendError("sentence", scheduler="slurm", distribution="molq-slurm 0.1"),
    errors.UnsupportedFieldsError("sentence", scheduler="local", fields=("qos", "email")),
    errors.SubmitError("sentence", scheduler="slurm", job_id="j1", reply="Invalid partition"),
    errors.CommandError("sentence"),
    errors.ScriptError("sentence", path=Path("/x/job.sh")),
    errors.SchedulerError("sentence"),
    errors.CommandFailedError("sentence", argv=("sbatch", "--parsable"), exit_code=1, stderr="no"),
    errors.CommandNotStartedError("sentence", argv=("sbatch",)),
    errors.JobNotFoundError("sentence", job_id="j", candidates=("j1", "j2")),
    errors.MolqTimeoutError("sentence", timeout=3.0, active={"j1": JobState.RUNNING}),
    errors.StoreError("sentence", path=Path("/x/jobs.db")),
    errors.UnreadableRequestError("sentence", path=Path("/x/jobs.db")),
]


def name(error):
    return type(error).__name__


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        ("ConfigError", (errors.MolqError,)),
        ("ConfigFileError", (errors.ConfigError,)),
        ("OptionsTypeError", (errors.ConfigError, TypeError)),
        ("ExclusiveFieldsError", (errors.ConfigError, ValueError)),
        ("BackendError", (errors.ConfigError,)),
        ("UnsupportedFieldsError", (errors.ConfigError,)),
        ("SubmitError", (errors.MolqError,)),
        ("CommandError", (errors.MolqError, ValueError)),
        ("ScriptError", (errors.MolqError,)),
        ("SchedulerError", (errors.MolqError,)),
        ("CommandFailedError", (errors.SchedulerError,)),
        ("CommandNotStartedError", (errors.CommandFailedError,)),
        ("JobNotFoundError", (errors.MolqError, LookupError)),
        ("MolqTimeoutError", (errors.MolqError, TimeoutError)),
        ("StoreError", (errors.MolqError,)),
        ("UnreadableRequestError", (errors.StoreError,)),
    ],
)
def test_an_error_is_caught_as_what_it_is(error, bases):
    for base in bases:
        assert issubclass(getattr(errors, error), base)


@pytest.mark.parametrize("error", ["ConfigError", "SubmitError", "ScriptError", "SchedulerError", "StoreError"])
def test_an_error_is_not_caught_as_what_it_is_not(error):
    assert not issubclass(getattr(errors, error), TypeError | ValueError | OSError | LookupError)


def test_every_error_is_a_molq_error_and_is_tried_here():
    public = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}

    assert all(issubclass(kind, errors.MolqError) for kind in public)
    assert public == {type(error) for error in EVERY}


@pytest.mark.parametrize("error", EVERY, ids=name)
def test_an_error_prints_as_its_sentence(error):
    assert str(error) == "sentence"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("BackendError", {"scheduler": "slurm", "distribution": "molq-slurm 0.1"}),
        ("UnsupportedFieldsError", {"scheduler": "local", "fields": ("qos", "email")}),
        ("SubmitError", {"scheduler": "slurm", "job_id": "j1", "reply": "Invalid partition"}),
        ("ScriptError", {"path": Path("/x/job.sh")}),
        ("CommandFailedError", {"argv": ("sbatch", "--parsable"), "exit_code": 1, "stderr": "no"}),
        ("JobNotFoundError", {"job_id": "j", "candidates": ("j1", "j2")}),
        ("MolqTimeoutError", {"timeout": 3.0, "active": {"j1": JobState.RUNNING}}),
        ("StoreError", {"path": Path("/x/jobs.db")}),
    ],
)
def test_an_error_carries_the_facts_of_its_sentence(kind, fields):
    error = next(error for error in EVERY if name(error) == kind)

    assert {field: getattr(error, field) for field in fields} == fields


def test_what_an_error_may_not_know_is_none_or_empty():
    assert errors.SubmitError("x", scheduler="slurm").job_id is None
    assert errors.SubmitError("x", scheduler="slurm").reply is None
    assert errors.BackendError("x", scheduler="slurm").distribution is None
    assert errors.ScriptError("x").path is None
    assert errors.CommandFailedError("x", argv=("a",)).exit_code is None
    assert errors.CommandFailedError("x", argv=("a",)).stderr == ""
    assert errors.JobNotFoundError("x", job_id="j").candidates == ()


def test_what_an_error_was_given_may_change_afterwards():
    active, candidates = {"j1": JobState.RUNNING}, ["j1"]
    timeout = errors.MolqTimeoutError("x", timeout=1.0, active=active)
    missing = errors.JobNotFoundError("x", job_id="j", candidates=candidates)

    active.clear()
    candidates.clear()

    assert timeout.active == {"j1": JobState.RUNNING}
    assert missing.candidates == ("j1",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", EVERY, ids=name)
def test_an_error_travels_to_another_process_with_its_facts(error, protocol):
    arrived = pickle.loads(pickle.dumps(error, protocol))

    assert type(arrived) is type(error)
    assert str(arrived) == "sentence"
    assert arrived.args == error.args
    assert vars(arrived) == vars(error)


@pytest.mark.parametrize("error", EVERY, ids=name)
def test_an_error_can_be_copied(error):
    for twin in (copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == "sentence"
        assert vars(twin) == vars(error)


def test_a_note_on_an_error_travels_with_it():
    error = errors.StoreError("x", path=Path("/x"))
    error.add_note("while listing")

    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while listing"]
