"""One value of a TOML file is changed, and every other line stays as it is."""

from __future__ import annotations

import difflib
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.toml_edits import remove, set_value
from molq.toml_statements import EditError

TEXT = """\
# The profiles of the lab.

[profiles.a]   # where most runs
scheduler = "local"   # the queue of this machine
# about jobs
defaults.resources.cpu_count = 4

# --- the big machine ---

# ask Ada first
[profiles.gpu]
scheduler = "slurm"
retry = { max_attempts = 2 } # few

[profiles.gpu.defaults.resources]
memory = "1G" # each
codes = [
  1, # one
  2,
]
# counted per node

# the spare one
[profiles.b]
scheduler = "local"
note = '''
[profiles.fake]
memory = "not a key"
'''
"""


def _changes(new: str, old: str = TEXT) -> list[str]:
    """Return the lines that are gone and that are new."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize(
    ("path", "value", "changes"),
    [
        ("gpu.defaults.resources.memory", "2G", ['-memory = "1G" # each', '+memory = "2G" # each']),
        ("gpu.defaults.resources.cpu_count", 3, ["+cpu_count = 3"]),
        ("gpu.cluster_name", "hpc", ['+cluster_name = "hpc"']),
        ("gpu.defaults.scheduling.queue", "q", ["+[profiles.gpu.defaults.scheduling]", '+queue = "q"', "+"]),
        (
            "gpu.retry.max_attempts",
            5,
            ["-retry = { max_attempts = 2 } # few", "+retry = { max_attempts = 5 } # few"],
        ),
        ("a.scheduler", "slurm", ['-scheduler = "local"   # the queue of this machine',
                                  '+scheduler = "slurm"   # the queue of this machine']),
        ("a.defaults.resources.cpu_count", 8, ["-defaults.resources.cpu_count = 4",
                                               "+defaults.resources.cpu_count = 8"]),
        ("a.defaults.resources.memory", "2G", ['+defaults.resources.memory = "2G"']),
        ("a.defaults.scheduling.queue", "q", ['+defaults.scheduling.queue = "q"']),
        ("a.cluster_name", "here", ['+cluster_name = "here"']),
        ("b.memory", "2G", ['+memory = "2G"']),
        ("fake.memory", "2G", ["+", "+[profiles.fake]", '+memory = "2G"']),
        ("my gpu.scheduler", "local", ["+", '+[profiles."my gpu"]', '+scheduler = "local"']),
    ],
)  # fmt: skip
def test_only_the_line_in_question_changes(path: str, value: object, changes: list[str]):
    keys = ("profiles", *path.split("."))

    assert _changes(set_value(TEXT, keys, value)) == changes


def test_a_new_key_stands_with_its_table_and_not_below_the_next_ones_comment():
    new = set_value(TEXT, ("profiles", "gpu", "cluster_name"), "hpc")

    assert 'retry = { max_attempts = 2 } # few\ncluster_name = "hpc"\n\n[profiles.gpu.defaults' in new


def test_a_new_section_stands_with_its_profile():
    new = set_value(TEXT, ("profiles", "gpu", "retention", "keep_job_dirs_for_days"), 3)

    assert "# counted per node\n\n[profiles.gpu.retention]\nkeep_job_dirs_for_days = 3\n\n# the spare one" in new


def test_a_key_goes_into_the_braces_that_are_its_table():
    new = set_value(TEXT, ("profiles", "gpu", "retry", "backoff", "mode"), "fixed")

    assert tomllib.loads(new)["profiles"]["gpu"]["retry"] == {"max_attempts": 2, "backoff": {"mode": "fixed"}}
    assert len(_changes(new)) == 2


def test_a_value_of_several_lines_is_replaced_as_a_whole():
    new = set_value(TEXT, ("profiles", "gpu", "defaults", "resources", "codes"), [3])

    assert _changes(new) == ["-codes = [", "-  1, # one", "-  2,", "-]", "+codes = [3]"]


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("gpu.defaults.resources.memory", ['-memory = "1G" # each']),
        ("a.defaults.resources.cpu_count", ["-defaults.resources.cpu_count = 4"]),
        ("gpu.retry", ["-retry = { max_attempts = 2 } # few"]),
        ("gpu.defaults.resources.codes", ["-codes = [", "-  1, # one", "-  2,", "-]"]),
    ],
)
def test_a_key_that_is_unset_takes_its_line_alone_with_it(path: str, changes: list[str]):
    keys = ("profiles", *path.split("."))

    assert _changes(remove(TEXT, keys)) == changes


def test_a_profile_goes_with_its_own_comments_and_leaves_those_of_others():
    new = remove(TEXT, ("profiles", "gpu"))

    assert list(tomllib.loads(new)["profiles"]) == ["a", "b"]
    assert "# --- the big machine ---\n\n# the spare one\n[profiles.b]\n" in new
    assert "Ada" not in new
    assert "counted per node" not in new


_A = "[profiles.a]\nx = 1\n"
_B = "[profiles.b]\n# about k\n"
_RETRY = "# about retry\n[profiles.b.retry]\nz = 3\n"
_C = "# about c\n# in two lines\n[profiles.c]\ny = 2\n"


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("b", f"{_A}\n{_C}"),
        ("b.retry", f"{_A}\n{_B}k = 1\n{_C}"),
        ("b.k", f"{_A}\n{_B}{_RETRY}{_C}"),
        ("c", f"{_A}\n{_B}k = 1\n{_RETRY}"),
    ],
)
def test_a_comment_right_above_a_header_stays_with_it(path: str, left: str):
    text = f"{_A}\n{_B}k = 1\n{_RETRY}{_C}"

    assert remove(text, ("profiles", *path.split("."))) == left


def test_a_comment_above_the_next_key_stays_with_it():
    text = "[profiles.a]\nx = 1\n# about y\ny = 2\nz.u = 3\n# about v\nv = 4\n"

    assert remove(text, ("profiles", "a", "x")) == "[profiles.a]\n# about y\ny = 2\nz.u = 3\n# about v\nv = 4\n"
    assert remove(text, ("profiles", "a", "z")) == "[profiles.a]\nx = 1\n# about y\ny = 2\n# about v\nv = 4\n"


def test_the_comment_at_the_top_of_a_file_stays():
    text = "# Our clusters.\n[profiles.a]\nscheduler = 'local'\n"

    assert remove(text, ("profiles", "a")) == "# Our clusters.\n"


@pytest.mark.parametrize(
    "text",
    [
        "profiles = {gpu = {scheduler = 'slurm'}}",
        "profiles.gpu.scheduler = 'slurm'",
        "[profiles]\ngpu.scheduler = 'slurm'",
        "[profiles]\ngpu = {scheduler = 'slurm'}\n",
        "[profiles.gpu.retry]\nmax_attempts = 1\n[other]\n[profiles.gpu]\nscheduler = 'slurm'",
        '["profiles".\'gpu\']\r\n"scheduler" = "slurm"\r\n',
        "",
    ],
)
@pytest.mark.parametrize("path", ["gpu.scheduler", "gpu.cluster_name", "gpu.retry.max_attempts", "new.scheduler"])
def test_a_table_may_be_written_in_any_way(text: str, path: str):
    keys = ("profiles", *path.split("."))

    new = set_value(text, keys, "value")
    inner = tomllib.loads(new)
    for key in keys:
        inner = inner[key]

    assert inner == "value"
    assert "\n" not in new.replace("\r\n", "") or "\r\n" not in text


def test_a_value_in_the_way_is_named():
    with pytest.raises(EditError, match=r"profiles\.gpu is no table, so nothing can be set in it"):
        set_value("[profiles]\ngpu = 3\n", ("profiles", "gpu", "scheduler"), "slurm")


def test_what_cannot_be_done_without_changing_more_is_refused():
    with pytest.raises(EditError, match="cannot be changed alone"):
        set_value("[profiles.gpu.retry]\nmode = 1\n", ("profiles", "gpu", "retry"), "none")


_KEY = st.sampled_from(["a", "b", "c d", "e.f", "é"])
_TABLE = st.lists(_KEY, min_size=1, max_size=3)
_VALUE = st.sampled_from(
    ['"x"', "1", "[\n 1, # one\n 2]", "'''\n# no comment\n[a]\n'''", "{a = 1, b = {c = 2}}", "true"]
)
_LINE = st.one_of(
    st.builds(lambda keys: "[" + ".".join(f'"{key}"' for key in keys) + "]", _TABLE),
    st.builds(lambda keys, value: ".".join(f'"{key}"' for key in keys) + f" = {value} # why", _TABLE, _VALUE),
    st.sampled_from(["", "# a comment", "   # another"]),
)
_NEW = st.one_of(st.text(max_size=10), st.integers(-5, 5), st.lists(st.text(max_size=3), max_size=3), st.booleans())


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _document(lines: list[str]) -> str:
    """Return the lines that are TOML together."""
    text = ""
    for line in lines:
        if _is_toml(text + line + "\n"):
            text += line + "\n"
    return text


def _is_in_the_way(plain: object, path: tuple[str, ...]) -> bool:
    """Tell whether a table is where the value should be, or a value where a table should be."""
    for key in path:
        if not isinstance(plain, dict):
            return True
        if key not in plain:
            return False
        plain = plain[key]
    return isinstance(plain, dict)


@given(st.lists(_LINE, max_size=12).map(_document), st.lists(_KEY, min_size=2, max_size=4).map(tuple), _NEW)
def test_any_document_says_the_same_but_for_one_value(text: str, path: tuple[str, ...], value: object):
    try:
        new = set_value(text, path, value)
    except EditError:
        assert _is_in_the_way(tomllib.loads(text), path)
        return
    expected = tomllib.loads(text)
    inner = expected
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    inner[path[-1]] = value

    assert tomllib.loads(new) == expected
    comments = [line for line in text.splitlines() if line.lstrip().startswith("# a")]
    assert [line for line in new.splitlines() if line in comments] == comments


@given(st.lists(_LINE, min_size=3, max_size=12).map(_document), st.data())
def test_what_is_removed_is_gone_and_nothing_else(text: str, data: st.DataObject):
    plain = tomllib.loads(text)
    path: list[str] = []
    inner: object = plain
    while isinstance(inner, dict) and inner and (not path or data.draw(st.booleans())):
        path.append(data.draw(st.sampled_from(sorted(inner))))
        inner = inner[path[-1]]
    if not path:
        return
    new = remove(text, tuple(path))
    parent = plain
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]

    assert _without_empty(tomllib.loads(new)) == _without_empty(plain)


def _without_empty(plain: object) -> object:
    if not isinstance(plain, dict):
        return plain
    kept = {key: _without_empty(value) for key, value in plain.items()}
    return {key: value for key, value in kept.items() if value != {}}
