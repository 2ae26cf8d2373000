"""What a user asks for becomes one valid request, or a sentence says what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from molq import CommandError, ConfigError, DependencyRef, JobExecution, JobResources, JobScheduling, Memory, Script
from molq.errors import UnsupportedFieldsError
from molq.job_spec import JobSpec, SubmitorDefaults
from molq.requests import build_spec, check_supported, default_name, display_command
from molq.testing.memory import MemoryScheduler


def _spec(defaults: SubmitorDefaults | None = None, **given: object) -> JobSpec:
    empty = dict.fromkeys(("argv", "command", "script", "resources", "scheduling", "execution", "metadata"))
    return build_spec(defaults or SubmitorDefaults(), **{**empty, "upstreams": {}, **given})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "got none of them"),
        ({"argv": ["a"], "command": "b"}, "got argv and command"),
        ({"argv": "ls -l"}, "argv must be a list such as"),
        ({"argv": []}, "argv names no program"),
        ({"argv": [""]}, "argv names no program"),
        ({"argv": ["-x"]}, r"write './-x'"),
        ({"argv": ["echo", 3]}, "argv has the part 3"),
        ({"argv": ["echo", "a\0b"]}, "NUL"),
        ({"command": "  "}, "command must be a line of shell code"),
        ({"command": "a\0b"}, "command must be"),
        ({"script": "run.sh"}, "script must be Script.inline"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_sentence(given: dict[str, object], sentence: str):
    with pytest.raises(CommandError, match=sentence):
        _spec(**given)


def test_paths_may_stand_in_argv():
    assert _spec(argv=[Path("/bin/ls"), "-l"]).argv == ("/bin/ls", "-l")


def test_metadata_are_texts_and_copied():
    metadata = {"a": "b"}

    spec = _spec(argv=["true"], metadata=metadata)
    metadata["a"] = "changed"

    assert spec.metadata == {"a": "b"}
    with pytest.raises(ConfigError, match="'a': 1"):
        _spec(argv=["true"], metadata={"a": 1})


def test_both_ways_of_naming_upstream_jobs_are_merged():
    spec = _spec(
        argv=["true"],
        scheduling=JobScheduling(dependencies=(DependencyRef("1", "after"),)),
        upstreams={"after_success": ["2", "3"], "after": None},
    )

    assert spec.scheduling.dependencies == (DependencyRef("1", "after"), DependencyRef("2"), DependencyRef("3"))


def test_upstream_jobs_cannot_be_mixed_with_a_raw_dependency_in_one_call():
    with pytest.raises(ConfigError, match="or for molq's jobs by after, not for both"):
        _spec(argv=["true"], scheduling=JobScheduling(dependency="afterok:1"), upstreams={"after": ["2"]})


@pytest.mark.parametrize("usual", [{"dependency": "afterok:1"}, {"dependencies": (DependencyRef("1", "after"),)}])
def test_the_upstream_jobs_of_a_call_win_over_the_dependencies_of_the_defaults(usual: dict[str, Any]):
    defaults = SubmitorDefaults(scheduling=JobScheduling(queue="q", **usual))
    refs = (DependencyRef("2"), DependencyRef("3"))

    by_keyword = _spec(defaults, argv=["true"], upstreams={"after_success": ["2", "3"]})
    by_value = _spec(defaults, argv=["true"], scheduling=JobScheduling(dependencies=refs))

    assert by_keyword.scheduling == by_value.scheduling == JobScheduling(queue="q", dependencies=refs)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"retry": 3}, "retry must be a RetryPolicy, not an int"),
        ({"scheduling": "q"}, "scheduling must be a JobScheduling, not a str"),
        ({"execution": JobResources()}, "execution must be a JobExecution, not a JobResources"),
        ({"resources": {"cpu_count": 1}}, "resources must be a JobResources, not a dict"),
        ({"metadata": ["a"]}, "metadata must be a dictionary of texts, not a list"),
        ({"upstreams": {"after_success": 3}}, "after_success takes a list of job ids, not 3"),
        ({"upstreams": {"after_success": [None]}}, "after_success takes a list of job ids, not of None"),
        ({"upstreams": {"after": ["a b"]}}, "after takes a list of job ids, not of 'a b'"),
        (
            {"upstreams": {"after_success": [DependencyRef("1")]}},
            "after_success takes a list of job ids, not of a DependencyRef; give its job_id",
        ),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_with_what_would_be_right(given: dict[str, object], sentence: str):
    with pytest.raises(ConfigError) as caught:
        _spec(argv=["true"], **given)

    assert str(caught.value) == sentence


def test_one_id_where_a_list_belongs_is_told_apart():
    with pytest.raises(ConfigError, match=r"after takes a list of job ids, such as \['abc'\]"):
        _spec(argv=["true"], upstreams={"after": "abc"})


def test_what_a_call_gives_wins_over_the_defaults():
    defaults = SubmitorDefaults(
        resources=JobResources(cpu_count=2, memory=Memory.gb(1)), execution=JobExecution(job_name="d", env={"A": "1"})
    )

    spec = _spec(defaults, argv=["true"], resources=JobResources(cpu_count=8), execution=JobExecution(env={"B": "2"}))

    assert spec.resources == JobResources(cpu_count=8, memory=Memory.gb(1))
    assert spec.execution == JobExecution(job_name="d", env={"A": "1", "B": "2"})


def test_every_unsupported_field_is_named_at_once():
    spec = _spec(argv=["true"], scheduling=JobScheduling(qos="high", account="a"))
    backend = MemoryScheduler().backend()

    with pytest.raises(UnsupportedFieldsError, match="'memory' does not support qos; drop it") as caught:
        check_supported(backend, spec)

    assert caught.value.fields == ("qos",)
    check_supported(backend, _spec(argv=["true"], scheduling=JobScheduling(account="a")))


@pytest.mark.parametrize(
    ("given", "shown", "name"),
    [
        ({"argv": ["/usr/bin/echo", "a b"]}, "/usr/bin/echo 'a b'", "echo"),
        ({"command": "sort x |\n  uniq"}, "sort x | uniq", "command"),
        ({"script": Script.inline("#!/bin/sh\necho hi\n")}, "#!/bin/sh echo hi", "script"),
        ({"script": Script.path("/a/run.sh")}, "/a/run.sh", "run.sh"),
        ({"command": "x" * 600}, "x" * 500 + "…", "command"),
    ],
)
def test_a_command_is_shown_on_one_line_and_named(given: dict[str, object], shown: str, name: str):
    spec = _spec(**given)

    assert display_command(spec) == shown
    assert default_name(spec) == name
