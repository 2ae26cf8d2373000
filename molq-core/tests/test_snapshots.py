"""Requests and options survive in the store as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from molq.backend import SchedulerOptions
from molq.errors import ConfigError
from molq.job_spec import JobExecution, JobResources, JobScheduling, JobSpec
from molq.quantities import Duration, Memory
from molq.snapshots import request_snapshot, restore_options


@attrs.frozen(kw_only=True)
class _Options(SchedulerOptions):
    program: str = "sbatch"
    flags: tuple[str, ...] = ()
    limit: int | None = None
    memory: Memory | None = None
    grace: Duration = attrs.field(factory=lambda: Duration(10))
    folder: Path | str | None = None


def _spec(**parts: object) -> JobSpec:
    empty = {
        "argv": ("true",), "command": None, "script": None, "resources": JobResources(),
        "scheduling": JobScheduling(), "execution": JobExecution(), "metadata": {},
    }  # fmt: skip
    return JobSpec(**{**empty, **parts})


def test_only_what_was_asked_for_is_kept():
    spec = _spec(resources=JobResources(memory=Memory.gb(2), time_limit=Duration.hours(2)))

    snapshot = request_snapshot(spec, _Options(flags=("-x",)))

    assert snapshot == {
        "command": {"argv": ["true"]},
        "resources": {"memory": "2G", "time_limit": "2h"},
        "scheduling": {},
        "execution": {},
        "options": {"flags": ["-x"]},
    }


def test_of_variables_only_the_names_are_kept():
    spec = _spec(execution=JobExecution(env={"TOKEN": "secret"}))

    snapshot = request_snapshot(spec, _Options())

    assert "secret" not in json.dumps(snapshot)
    assert snapshot["execution"]["env_names"] == ["TOKEN"]


def test_options_come_back_as_they_were():
    options = _Options(
        program="/opt/sbatch", flags=("--a", "b c"), limit=4, memory=Memory.mb(3), grace=Duration(1), folder="/x"
    )

    kept = json.loads(json.dumps(request_snapshot(_spec(), options)))

    assert restore_options(kept, _Options) == options
    assert restore_options(request_snapshot(_spec(), _Options()), _Options) == _Options()


def test_options_of_another_version_are_named():
    with pytest.raises(ConfigError, match="do not fit _Options"):
        restore_options({"options": {"colour": "red"}}, _Options)
