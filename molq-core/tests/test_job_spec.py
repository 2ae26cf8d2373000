"""What a user asks for: every field's grammar, and how defaults and requests merge."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import traceback
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.job_spec import (
    DEPENDENCY_CONDITIONS,
    DependencyRef,
    JobExecution,
    JobResources,
    JobScheduling,
    JobSpec,
    Script,
    SubmitorDefaults,
    merge_fields,
)
from molq.quantities import Duration, Memory

SECRET = "".join(["s3", "cret"])  # noqa: FLY002 - tracebacks quote this line, and must not show the word
REQUIRED = inspect.Parameter.empty

# Positional order and defaults, as the reference states them.
SIGNATURES = {
    JobResources: [
        ("cpu_count", None),
        ("memory", None),
        ("gpu_count", None),
        ("gpu_type", None),
        ("time_limit", None),
    ],
    JobScheduling: [
        ("queue", None),
        ("account", None),
        ("priority", None),
        ("dependency", None),
        ("dependencies", ()),
        ("node_count", None),
        ("exclusive_node", False),
        ("array_spec", None),
        ("email", None),
        ("qos", None),
        ("reservation", None),
    ],
    JobExecution: [
        ("env", None),
        ("cwd", None),
        ("job_name", None),
        ("output_file", None),
        ("error_file", None),
    ],
    SubmitorDefaults: [("resources", None), ("scheduling", None), ("execution", None)],
    DependencyRef: [("job_id", REQUIRED), ("condition", "after_success")],
    Script: [("variant", REQUIRED), ("text", None), ("file_path", None)],
}

WORDS = ("queue", "account", "qos", "reservation", "email", "priority")
LINES = ("cwd", "output_file", "error_file")

VALUES = [
    JobResources(4, Memory.gb(1), 2, "a100", Duration(60)),
    JobScheduling("gpu", dependencies=(DependencyRef("j1"),), array_spec="0-9"),
    JobExecution({"TOKEN": "x"}, "/work", "train"),
    SubmitorDefaults(execution=JobExecution({"TOKEN": "x"})),
    DependencyRef("j1", "after"),
    Script.inline("true"),
    Script.path("job.sh"),
]

NOT_ON_ONE_LINE = ["a\nb", "a\rb", "a\tb", "a\0b", "a\x1b[31m", "a\x7f", "a\x85b", "a\u2028b", "a\u2029b", "gpu\n"]
NO_TEXT = [5, 5.0, True, b"gpu", ["gpu"], ("gpu",), {}]


class BytesPath:
    def __fspath__(self):
        return b"/work"


def name(value):
    return value.__name__ if isinstance(value, type) else type(value).__name__


def a_spec(**changes):
    parts = {
        "argv": ("true",),
        "command": None,
        "script": None,
        "resources": JobResources(),
        "scheduling": JobScheduling(),
        "execution": JobExecution(),
        "metadata": {},
    }
    return JobSpec(**(parts | changes))


# All of them


@pytest.mark.parametrize("kind", SIGNATURES, ids=name)
def test_a_request_has_the_order_and_the_defaults_of_the_reference(kind):
    parameters = inspect.signature(kind).parameters

    assert [(name, parameter.default) for name, parameter in parameters.items()] == SIGNATURES[kind]
    assert all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters.values())


@pytest.mark.parametrize("value", VALUES, ids=name)
def test_a_request_is_frozen(value):
    for field in attrs.fields(type(value)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)


@pytest.mark.parametrize("value", [*VALUES, a_spec(metadata={"run": "7"})], ids=name)
def test_a_request_is_a_value(value):
    twin = copy.deepcopy(value)

    assert twin == value
    assert pickle.loads(pickle.dumps(value)) == value
    assert len({value, twin}) == 1


def test_requests_with_different_variables_are_not_equal():
    assert JobExecution(env={"A": "1"}) != JobExecution(env={"A": "2"})


# Resources


@pytest.mark.parametrize(
    ("kind", "field"), [(JobResources, "cpu_count"), (JobResources, "gpu_count"), (JobScheduling, "node_count")]
)
@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, True, False, "4", float("nan"), [4]])
def test_a_count_is_a_whole_number_from_one(kind, field, value):
    with pytest.raises(ValueError) as caught:
        kind(**{field: value})

    assert str(caught.value) == f"{kind.__name__}.{field} must be a whole number of at least 1, not {value!r}"


@pytest.mark.parametrize(
    ("field", "value"), [("memory", Memory(1)), ("time_limit", Duration(1)), ("cpu_count", 1), ("gpu_count", 1)]
)
def test_the_smallest_resource_is_one_of_its_unit(field, value):
    assert getattr(JobResources(**{field: value}), field) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("memory", "8G"),
        ("memory", 8),
        ("memory", Duration(8)),
        ("memory", True),
        ("time_limit", "2h"),
        ("time_limit", 60),
        ("time_limit", Memory(60)),
    ],
)
def test_a_quantity_is_of_its_class_and_the_message_shows_how_to_make_one(field, value):
    kind = {"memory": "Memory", "time_limit": "Duration"}[field]

    with pytest.raises(ValueError) as caught:
        JobResources(**{field: value})

    assert f"JobResources.{field} must be a {kind}, such as {kind}.parse" in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(("field", "zero"), [("memory", Memory(0)), ("time_limit", Duration(0))])
def test_nothing_would_mean_no_limit_to_slurm_and_is_refused(field, zero):
    with pytest.raises(ValueError, match=rf"JobResources\.{field} must be more than 0"):
        JobResources(**{field: zero})


@pytest.mark.parametrize("gpu_type", ["a100", "V100-SXM2", "1g.5gb", "NVIDIAA100_PCIE-40GB", "3090"])
def test_a_kind_of_gpu_is_a_plain_word(gpu_type):
    assert JobResources(gpu_type=gpu_type).gpu_type == gpu_type


@pytest.mark.parametrize(
    "gpu_type",
    [
        "",
        " ",
        "a b",
        "-a100",
        "a100:4",
        "a,b",
        "a=b",
        "a+b",
        "a&b",
        'a"',
        "a'",
        "$(id)",
        "gpü",
        *NOT_ON_ONE_LINE,
        *NO_TEXT,
    ],
)
def test_a_kind_of_gpu_cannot_change_the_request_around_it(gpu_type):
    with pytest.raises(ValueError, match=r"JobResources\.gpu_type must be .*'a100', not ") as caught:
        JobResources(gpu_type=gpu_type)

    assert repr(gpu_type) in str(caught.value)


# Words


@pytest.mark.parametrize("field", WORDS)
@pytest.mark.parametrize(
    "value", ["gpu", "a,b", "a+b", "queue@server", "user1#0", "lab/grp:x", "größe", "%j", "1", "a-b"]
)
def test_one_word_is_kept_as_it_is(field, value):
    assert getattr(JobScheduling(**{field: value}), field) == value


@pytest.mark.parametrize("field", WORDS)
@pytest.mark.parametrize(
    "value",
    [
        "", " ", "a b", " gpu", "gpu ", "a\u00a0b", "a\u2003b", "a\u3000b", "-gpu", "--all", "-", 'a"b', '"', "a`id`",
        "$HOME", "$(id)", "a\\b", "a\n#SBATCH --uid=0", "\ud800", *NOT_ON_ONE_LINE, *NO_TEXT,
    ],
)  # fmt: skip
def test_what_could_become_an_option_a_directive_or_shell_code_is_refused_with_the_value(field, value):
    with pytest.raises(ValueError) as caught:
        JobScheduling(**{field: value})

    assert str(caught.value).startswith(f"JobScheduling.{field} must be ")
    assert str(caught.value).endswith(f", not {value!r}")


@pytest.mark.parametrize("field", [field for field in WORDS if field != "email"])
def test_an_apostrophe_is_a_quote_but_in_an_address(field):
    assert JobScheduling(email="o'brien@example.org").email == "o'brien@example.org"
    with pytest.raises(ValueError):
        JobScheduling(**{field: "o'brien"})


@pytest.mark.parametrize("value", ["-10", "0", "100", "high", "TOP"])
def test_a_priority_may_be_negative(value):
    assert JobScheduling(priority=value).priority == value


@pytest.mark.parametrize("value", ["-", "--1", "-1x", "-x", "-1 --uid=0", "-\u0663", -10])
def test_a_priority_that_looks_like_an_option_is_refused(value):
    with pytest.raises(ValueError, match=r"JobScheduling\.priority must be .*'-10', not"):
        JobScheduling(priority=value)


@pytest.mark.parametrize("value", ["afterok:12:13", 'done("my job") && exit(12)', "singleton", "depend=afterany:1.srv"])
def test_a_raw_dependency_is_any_line_in_the_schedulers_words(value):
    assert JobScheduling(dependency=value).dependency == value


@pytest.mark.parametrize("value", ["", " ", "-x", " --uid=0", "\ud800", *NOT_ON_ONE_LINE, *NO_TEXT])
def test_a_raw_dependency_is_one_line_and_no_option(value):
    with pytest.raises(ValueError, match=r"JobScheduling\.dependency must be ") as caught:
        JobScheduling(dependency=value)

    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", ["yes", 0, 1, None])
def test_whether_a_job_wants_its_nodes_for_itself_is_true_or_false(value):
    with pytest.raises(ValueError) as caught:
        JobScheduling(exclusive_node=value)

    assert str(caught.value) == f"JobScheduling.exclusive_node must be True or False, not {value!r}"


# Arrays


@pytest.mark.parametrize("spec", ["0", "7", "0-9", "5-5", "1,3,5-7", "0-99:2", "0-99%4", "1-3,10-20:5%2", "999999999"])
def test_an_array_spec_lists_indices(spec):
    assert JobScheduling(array_spec=spec).array_spec == spec


@pytest.mark.parametrize(
    "spec",
    [
        "", " ", "a", "-1", "1-", "-", "1,", ",1", "1,,2", "0-9:", "0-9:0", "1:2", "0-9%", "0-9%0", "0-9%4%4", "%4",
        "9-0", "1,10-9", "0 - 9", "0-9\n", "\u0663", "0-\u0669", "1--3", "0-9;id", "$(id)", "[0-9]", "1234567890",
        "0-9%1234567890", 5, 0,
        True, b"0-9", ["0-9"],
    ],
)  # fmt: skip
def test_what_lists_no_indices_is_refused_with_the_value_and_examples(spec):
    with pytest.raises(ValueError) as caught:
        JobScheduling(array_spec=spec)

    assert "JobScheduling.array_spec must be indices such as '0-9'" in str(caught.value)
    assert str(caught.value).endswith(f", not {spec!r}")


@pytest.mark.parametrize("piece", ["1", "1,", "1-1,", "0-9:1,", ",", "-", " ", "1-"])
def test_a_long_array_spec_is_judged_in_linear_time(piece):
    with pytest.raises(ValueError):
        JobScheduling(array_spec=piece * 100_000 + "!")


# Dependencies


@pytest.mark.parametrize("condition", ["after_success", "after_failure", "after_started", "after"])
def test_there_are_four_conditions(condition):
    assert DependencyRef("j1", condition).condition == condition
    assert condition in DEPENDENCY_CONDITIONS
    assert len(DEPENDENCY_CONDITIONS) == 4


@pytest.mark.parametrize("condition", ["afterok", "", None, "AFTER", 1, ["after"]])
def test_another_condition_is_refused_with_all_that_there_are(condition):
    with pytest.raises(ValueError) as caught:
        DependencyRef("j1", condition)

    assert "after_success, after_failure, after_started, after" in str(caught.value)
    assert str(caught.value).endswith(f", not {condition!r}")


@pytest.mark.parametrize("job_id", ["", " ", "a b", "-x", "a'b", "$(id)", None, *NOT_ON_ONE_LINE, *NO_TEXT])
def test_an_upstream_is_named_by_the_id_of_a_job(job_id):
    with pytest.raises(ValueError) as caught:
        DependencyRef(job_id)

    assert str(caught.value).startswith("DependencyRef.job_id must be the id of a job")
    assert str(caught.value).endswith(f", not {job_id!r}")


def test_dependencies_may_be_a_list_and_become_a_tuple_of_their_own():
    refs = [DependencyRef("j1")]
    scheduling = JobScheduling(dependencies=refs)

    refs.append(DependencyRef("j2"))

    assert scheduling.dependencies == (DependencyRef("j1"),)


@pytest.mark.parametrize("value", [None, 5, DependencyRef("j1"), "j1", ["j1"], [("j1", "after")], [None]])
def test_dependencies_are_refs(value):
    with pytest.raises(ValueError, match=r"JobScheduling\.dependencies must be a tuple of DependencyRef, not "):
        JobScheduling(dependencies=value)


def test_the_two_kinds_of_dependency_exclude_each_other():
    with pytest.raises(ValueError, match=r"either dependency .* or dependencies .* not both"):
        JobScheduling(dependency="afterok:1", dependencies=(DependencyRef("j1"),))


# Execution


@pytest.mark.parametrize("key", ["A", "_", "a1", "PATH", "_x9", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("text", ["", "x", "a\nb", "$(id)", "'\"", "größe", "-x", "\udcff", "\u2028", "x" * 100_000])
def test_a_variable_has_a_plain_name_and_any_text(key, text):
    assert JobExecution(env={key: text}).env == {key: text}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "1A",
        "A-B",
        "A B",
        "A=B",
        "A\n",
        "\nA",
        "A\0",
        "Ä",
        "A\u0663",
        "A.B",
        "A;id",
        "$A",
        "-A",
        None,
        1,
        b"A",
        ("A",),
    ],
)
def test_a_variable_with_another_name_is_refused_and_its_value_not_told(key):
    with pytest.raises(ValueError) as caught:
        JobExecution(env={key: SECRET})

    assert f"JobExecution.env has the name {key!r}" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("value", ["s3cret\0", "s3cret\ud800", b"s3cret", ["s3cret"], None, 5, True])
def test_a_variables_value_that_cannot_be_set_is_refused_and_not_told(value):
    with pytest.raises(ValueError) as caught:
        JobExecution(env={"TOKEN": value})

    assert "JobExecution.env['TOKEN'] must be a text" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("env", [["TOKEN=s3cret"], "TOKEN=s3cret", [("TOKEN", "s3cret")], 5, True])
def test_variables_are_a_dictionary_and_what_else_was_given_is_not_told(env):
    with pytest.raises(ValueError) as caught:
        JobExecution(env=env)

    assert str(caught.value) == f"JobExecution.env must be a dictionary of texts, not a {type(env).__name__}"


def test_the_values_of_variables_are_in_no_repr():
    execution = JobExecution(env={"TOKEN": "s3cret"})
    wholes = [execution, SubmitorDefaults(execution=execution), a_spec(execution=execution)]

    for whole in wholes:
        assert SECRET not in repr(whole)
        assert SECRET not in str(whole)
        assert SECRET not in f"{[whole]}"


@pytest.mark.parametrize("wrap", [dict, MappingProxyType])
def test_the_callers_variables_may_change_afterwards(wrap):
    env = {"A": "1"}
    execution = JobExecution(env=wrap(env))

    env["A"] = "2"
    env["B"] = "3"

    assert execution.env == {"A": "1"}
    assert type(execution.env) is dict


def test_no_variables_are_not_the_same_as_none_given():
    assert JobExecution(env={}).env == {}
    assert JobExecution().env is None


@pytest.mark.parametrize(
    "value", ["/work", "relative/path", "with space", "it's", "-out.log", "größe", "%j.out", "$HOME"]
)
@pytest.mark.parametrize("field", LINES)
def test_a_path_is_any_line(field, value):
    assert getattr(JobExecution(**{field: value}), field) == value


@pytest.mark.parametrize("value", ["", " ", "\ud800", "\udcff", *NOT_ON_ONE_LINE, *NO_TEXT])
@pytest.mark.parametrize("field", LINES)
def test_a_path_is_one_line_and_not_blank(field, value):
    with pytest.raises(ValueError) as caught:
        JobExecution(**{field: value})

    assert str(caught.value) == (
        f"JobExecution.{field} must be one line of text without control characters, not {value!r}"
    )


@pytest.mark.parametrize("path", [Path("/work"), PurePosixPath("work")])
def test_a_working_directory_may_be_a_path(path):
    assert JobExecution(cwd=path).cwd == path


def test_a_working_directory_of_bytes_or_with_a_line_break_is_refused():
    for cwd in (BytesPath(), Path("a\nb")):
        with pytest.raises(ValueError, match=r"JobExecution\.cwd must be one line"):
            JobExecution(cwd=cwd)


@pytest.mark.parametrize(
    "value", ["train", "two words", "a\nb", "--all", "'\"$(id)", "größe", "%j", "#SBATCH", "\u202e"]
)
def test_a_job_may_have_any_name(value):
    assert JobExecution(job_name=value).job_name == value


@pytest.mark.parametrize("value", ["", " ", "\n", "a\0b", "\ud800", "\udcff", *NO_TEXT])
def test_a_job_has_a_name_that_can_be_stored(value):
    with pytest.raises(ValueError) as caught:
        JobExecution(job_name=value)

    assert str(caught.value).startswith("JobExecution.job_name must be a text that is not blank")
    assert str(caught.value).endswith(f", not {value!r}")


# Script


def test_an_inline_script_has_a_text():
    script = Script.inline("#!/bin/sh\necho 'a'\n")

    assert (script.variant, script.text, script.file_path) == ("inline", "#!/bin/sh\necho 'a'\n", None)


@pytest.mark.parametrize("path", ["job.sh", Path("job.sh"), PurePosixPath("job.sh")])
def test_a_script_by_path_has_a_path(path):
    script = Script.path(path)

    assert (script.variant, script.text, script.file_path) == ("path", None, Path("job.sh"))


@pytest.mark.parametrize("text", ["", "a\0b", "\ud800", b"true", 5, ["true"]])
def test_a_script_without_a_usable_text_is_refused(text):
    with pytest.raises(ValueError, match=r"Script\.text must be a text that is not empty"):
        Script.inline(text)


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", b"job.sh", BytesPath(), 5, ["job.sh"]])
def test_a_script_without_a_usable_path_is_refused(path):
    with pytest.raises(ValueError) as caught:
        Script.path(path)

    assert str(caught.value) == f"Script.path takes the path of a file, such as 'train.sh', not {path!r}"


@pytest.mark.parametrize(
    "arguments",
    [
        {"variant": "inline"},
        {"variant": "path"},
        {"variant": "inline", "file_path": "job.sh"},
        {"variant": "path", "text": "true"},
        {"variant": "inline", "text": "true", "file_path": "job.sh"},
        {"variant": "path", "text": "true", "file_path": "job.sh"},
        {"variant": "other", "text": "true"},
        {"variant": "other"},
        {"variant": None},
        {"variant": ["inline"]},
    ],
)
def test_a_script_has_either_a_text_or_a_path(arguments):
    with pytest.raises(ValueError) as caught:
        Script(**arguments)

    assert str(caught.value) == "a Script has either a text or a path: use Script.inline(text) or Script.path(path)"


@pytest.mark.parametrize("make", [lambda: Script.inline(None), lambda: Script.path(None)])
def test_a_script_of_nothing_is_refused(make):
    with pytest.raises(ValueError, match=r"Script"):
        make()


# Defaults and specs


@pytest.mark.parametrize("field", ["resources", "scheduling", "execution"])
@pytest.mark.parametrize("value", [{"env": {"TOKEN": "s3cret"}}, "s3cret", 5, Memory(1), JobSpec])
def test_a_default_is_of_its_class_and_what_else_was_given_is_not_told(field, value):
    kind = {"resources": "JobResources", "scheduling": "JobScheduling", "execution": "JobExecution"}[field]

    with pytest.raises(ValueError) as caught:
        SubmitorDefaults(**{field: value})

    given = {"int": "an int"}.get(type(value).__name__, f"a {type(value).__name__}")
    assert str(caught.value) == f"SubmitorDefaults.{field} must be a {kind}, not {given}"


@pytest.mark.parametrize(
    ("given_part", "command_type"),
    [
        ({"argv": ("true",)}, "argv"),
        ({"argv": None, "command": "true"}, "command"),
        ({"argv": None, "script": Script.inline("true")}, "script"),
    ],
)
def test_a_spec_knows_which_of_the_three_was_given(given_part, command_type):
    assert a_spec(**given_part).command_type == command_type


def test_the_callers_metadata_may_change_afterwards():
    metadata = {"run": "7"}
    spec = a_spec(metadata=metadata)

    metadata["run"] = "8"

    assert spec.metadata == {"run": "7"}


# Merging


def test_without_defaults_or_without_a_request_the_other_one_holds():
    given_one, default = JobResources(cpu_count=1), JobResources(cpu_count=2)

    assert merge_fields(None, None, JobResources()) == JobResources()
    assert merge_fields(None, given_one, JobResources()) is given_one
    assert merge_fields(default, None, JobResources()) is default


def test_what_is_given_wins_field_by_field():
    default = JobResources(cpu_count=2, memory=Memory.gb(4), gpu_type="a100")
    given_one = JobResources(cpu_count=8, time_limit=Duration(60))

    merged = merge_fields(default, given_one, JobResources())

    assert merged == JobResources(8, Memory.gb(4), None, "a100", Duration(60))
    assert given_one == JobResources(cpu_count=8, time_limit=Duration(60))
    assert default == JobResources(cpu_count=2, memory=Memory.gb(4), gpu_type="a100")


def test_variables_are_merged_name_by_name():
    default = JobExecution(env={"A": "default", "B": "default"}, cwd="/default")
    given_one = JobExecution(env={"B": "given", "C": "given"}, job_name="x")

    merged = merge_fields(default, given_one, JobExecution())

    assert merged.env == {"A": "default", "B": "given", "C": "given"}
    assert (merged.cwd, merged.job_name) == ("/default", "x")
    assert default.env == {"A": "default", "B": "default"}
    assert given_one.env == {"B": "given", "C": "given"}


def test_variables_are_kept_when_the_default_has_none():
    merged = merge_fields(JobExecution(cwd="/default"), JobExecution(env={"A": "1"}), JobExecution())

    assert merged == JobExecution(env={"A": "1"}, cwd="/default")


@pytest.mark.parametrize("env", [None, {}])
def test_no_variables_leave_the_default_ones_as_a_copy(env):
    default = JobExecution(env={"A": "default"})

    merged = merge_fields(default, JobExecution(env=env), JobExecution())
    merged.env["A"] = "changed"

    assert default.env == {"A": "default"}


REFS = (DependencyRef("j1"),)
OTHERS = (DependencyRef("j2", "after"),)


@pytest.mark.parametrize(
    ("default", "given_one", "expected"),
    [
        ({"dependency": "afterok:1"}, {}, {"dependency": "afterok:1"}),
        ({"dependencies": REFS}, {}, {"dependencies": REFS}),
        ({"dependency": "afterok:1"}, {"dependency": "afterok:2"}, {"dependency": "afterok:2"}),
        ({"dependencies": REFS}, {"dependencies": OTHERS}, {"dependencies": OTHERS}),
        ({"dependency": "afterok:1"}, {"dependencies": REFS}, {"dependencies": REFS}),
        ({"dependencies": REFS}, {"dependency": "afterok:1"}, {"dependency": "afterok:1"}),
        ({}, {"dependency": "afterok:1"}, {"dependency": "afterok:1"}),
    ],
)
def test_one_kind_of_dependency_replaces_the_other(default, given_one, expected):
    merged = merge_fields(
        JobScheduling(queue="gpu", **default), JobScheduling(qos="high", **given_one), JobScheduling()
    )

    assert merged == JobScheduling(queue="gpu", qos="high", **expected)


resources = st.builds(
    JobResources,
    cpu_count=st.none() | st.integers(1, 9),
    memory=st.none() | st.builds(Memory, st.integers(1, 9)),
    gpu_type=st.none() | st.sampled_from(["a", "b"]),
)


@given(resources, resources, resources)
def test_merging_is_associative_and_empty_requests_change_nothing(first, second, third):
    empty = JobResources()

    left = merge_fields(merge_fields(first, second, empty), third, empty)
    right = merge_fields(first, merge_fields(second, third, empty), empty)

    assert left == right
    assert merge_fields(first, empty, empty) == first == merge_fields(empty, first, empty)
    assert merge_fields(first, first, empty) == first


@given(st.text())
def test_what_is_accepted_as_a_word_is_one_word_of_one_line_that_is_no_option(text):
    for field in ("queue", "account", "qos", "reservation"):
        try:
            value = getattr(JobScheduling(**{field: text}), field)
        except ValueError as error:
            assert repr(text) in str(error)
        else:
            assert value == text
            assert value.split() == value.splitlines() == [value]
            assert not value.startswith("-")
            assert not set(value) & set("\0\"'`$\\")


@given(st.text())
def test_what_is_accepted_as_a_script_or_a_variable_can_be_written(text):
    for make in (Script.inline, lambda value: JobExecution(env={"A": value})):
        try:
            make(text)
        except ValueError:
            continue
        assert b"\0" not in os.fsencode(text)
