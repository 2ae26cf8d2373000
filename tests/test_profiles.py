"""Profiles: each field comes back as it was written, each mistake is told where it is, and edits change one line."""

from __future__ import annotations

import difflib
import json
import re
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import pytest
import tomlkit
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from molq import (
    ConfigError,
    Duration,
    EventBus,
    JobExecution,
    JobResources,
    JobScheduling,
    JobState,
    JobStore,
    LocalSchedulerOptions,
    Memory,
    MolqConfig,
    MolqProfile,
    RetentionPolicy,
    RetryBackoff,
    RetryPolicy,
    SlurmSchedulerOptions,
    Submitor,
    SubmitorDefaults,
    load_config,
    load_profile,
)
from molq.plain_values import field_kinds, inner_kind, to_plain
from molq.profile_edits import begin_file, set_key, unset_key
from molq.profile_settings import settings_of

_OPTIONS = {"local": LocalSchedulerOptions, "slurm": SlurmSchedulerOptions}
_WORD = st.from_regex(r"[a-z][a-z0-9_]{0,7}", fullmatch=True)

# What has a grammar of its own; every other field is drawn by its type.
_TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "array_spec": st.sampled_from(["0-9", "1,3,5-7", "0-99:2%4"]),
    "extra_sbatch_flags": st.lists(_WORD.map("--x={}, y".format), max_size=2).map(tuple),
    "job_name": st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip),
    "name": st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip() and text.isprintable()),
    "cluster_name": st.text("ab \"'é.", min_size=1).filter(str.strip),
    "retry_on_states": st.lists(st.sampled_from([JobState.FAILED, JobState.TIMED_OUT, JobState.LOST])).map(tuple),
    "env": st.dictionaries(st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), st.text("a\n'\"\\ $#=€")),
    "state_dir": _WORD.map("/tmp/{}".format),
}


def _values(kind: Any) -> st.SearchStrategy[Any]:
    if get_origin(kind) in (Union, types.UnionType):
        parts = [part for part in get_args(kind) if part is not Path]
        return st.one_of(map(_values, parts))
    if get_origin(kind) is tuple:
        return st.lists(_values(get_args(kind)[0]), max_size=3).map(tuple)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    simple = {
        type(None): st.none(),
        bool: st.booleans(),
        int: st.integers(1, 255),
        float: st.one_of(st.integers(1, 99), st.floats(1, 1e6)),
        str: _WORD,
        Memory: st.integers(1, 2**63 - 1).map(Memory),
        Duration: st.integers(1, 2**63 - 1).map(Duration),
        JobState: st.sampled_from(JobState),
    }
    return simple[kind] if kind in simple else _instances(kind)


@st.composite
def _instances(draw: st.DrawFn, kind: Any, **given: Any) -> Any:
    """Draw an attrs class, in which any field may be left at its default."""
    values = dict(given)
    for name, field_kind in field_kinds(kind).items():
        is_needed = attrs.fields_dict(kind)[name].default is attrs.NOTHING
        if name not in given and (is_needed or draw(st.booleans())):
            values[name] = draw(_TEXTS[name] if name in _TEXTS else _values(field_kind))
    try:
        return kind(**values)
    except ValueError:
        # Some fields exclude each other.
        reject()


@st.composite
def _profiles(draw: st.DrawFn) -> MolqProfile:
    scheduler = draw(st.sampled_from(sorted(_OPTIONS)))
    options = draw(st.one_of(st.none(), _instances(_OPTIONS[scheduler])))
    return draw(_instances(MolqProfile, scheduler=scheduler, scheduler_options=options))


def _table(profile: MolqProfile) -> dict[str, Any]:
    table = to_plain(profile)
    return {"profiles": {table.pop("name"): table}}


@pytest.fixture
def file(home: Path) -> Path:
    """The file of profiles, which is not there yet, in its folder."""
    home.mkdir(mode=0o700)
    return home / "config.toml"


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o600)


_examples = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@_examples
@given(profile=_profiles())
def test_every_field_of_a_profile_comes_back_as_it_was_written(file: Path, profile: MolqProfile):
    _write(file, tomlkit.dumps(_table(profile)))

    read = load_profile(profile.name)

    assert _as_set(read) == _as_set(profile)
    assert load_config() == MolqConfig({profile.name: read})


@_examples
@given(profile=_profiles())
def test_every_key_can_be_set_and_makes_the_same_profile(file: Path, profile: MolqProfile):
    file.unlink(missing_ok=True)
    name = profile.name
    set_key(name, "scheduler", profile.scheduler)

    for key, plain in _leaves(to_plain(profile)):
        if key not in ("name", "scheduler") and key != "defaults.scheduling.dependencies":
            set_key(name, key, json.dumps(plain) if isinstance(plain, list) else str(plain))
            shown = {setting.key: setting for setting in settings_of(name)}
            assert shown[key].is_set
            assert shown[key].value in (plain, "(not shown)")

    assert _as_set(load_profile(name), but_dependencies=True) == _as_set(profile, but_dependencies=True)


def _leaves(plain: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(plain, dict):
        return [(prefix, plain)]
    return [leaf for key, value in plain.items() for leaf in _leaves(value, f"{prefix}.{key}".removeprefix("."))]


def _as_set(profile: MolqProfile, *, but_dependencies: bool = False) -> dict[str, Any]:
    """Return a profile's values; a table without keys says as little as no table, and a path is its text."""
    values = {setting_key: value for setting_key, value in _leaves(to_plain(profile)) if value != {}}
    return {
        key: value
        for key, value in values.items()
        if not (but_dependencies and key == "defaults.scheduling.dependencies")
    }


def test_each_part_of_a_profile_is_drawn():
    kinds = {name for name in field_kinds(MolqProfile) if name not in _TEXTS}

    assert kinds == {"scheduler", "defaults", "scheduler_options", "retry", "retention", "jobs_dir"}
    assert {inner_kind(kind) for kind in field_kinds(SubmitorDefaults).values()} == {
        JobResources,
        JobScheduling,
        JobExecution,
    }


def test_a_whole_file_as_people_write_it(file: Path):
    _write(
        file,
        """
        [profiles.gpu]
        scheduler = "slurm"
        cluster_name = "hpc"
        jobs_dir = "~/jobs"

        [profiles.gpu.defaults.resources]
        cpu_count = 8
        memory = "32G"
        time_limit = "04:00:00"

        [profiles.gpu.defaults.scheduling]
        queue = "gpu"
        dependencies = [{ job_id = "1f3a", condition = "after" }]

        [profiles.gpu.defaults.execution.env]
        OMP_NUM_THREADS = "8"

        [profiles.gpu.scheduler_options]
        memory_flag = "mem-per-cpu"
        extra_sbatch_flags = ["--constraint=icelake"]

        [profiles.gpu.retry]
        max_attempts = 3
        retry_on_exit_codes = [75]

        [profiles.gpu.retry.backoff]
        mode = "fixed"

        [profiles.gpu.retention]
        keep_job_dirs_for_days = 7

        [profiles.small]
        scheduler = "local"
        defaults.resources = { memory = 1073741824, time_limit = 90 }
        """,
    )

    profiles = load_config().profiles

    gpu = profiles["gpu"]
    assert list(profiles) == ["gpu", "small"]
    assert (gpu.scheduler, gpu.cluster_name, gpu.jobs_dir) == ("slurm", "hpc", "~/jobs")
    assert gpu.defaults.resources == JobResources(cpu_count=8, memory=Memory.gb(32), time_limit=Duration.hours(4))
    assert gpu.defaults.scheduling.dependencies[0].job_id == "1f3a"
    assert gpu.defaults.execution.env == {"OMP_NUM_THREADS": "8"}
    assert gpu.scheduler_options == SlurmSchedulerOptions(
        memory_flag="mem-per-cpu", extra_sbatch_flags=("--constraint=icelake",)
    )
    assert gpu.retry == RetryPolicy(max_attempts=3, retry_on_exit_codes=(75,), backoff=RetryBackoff(mode="fixed"))
    assert gpu.retention == RetentionPolicy(keep_job_dirs_for_days=7)
    assert profiles["small"].cluster_name == "small"
    assert profiles["small"].defaults.resources == JobResources(memory=Memory.gb(1), time_limit=Duration(90))


def test_the_example_in_the_documentation_loads(file: Path):
    page = Path(__file__).parent.parent / "docs" / "how-to" / "profiles.md"
    (example,) = re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    _write(file, example)

    profile = load_profile("gpu")

    assert all(getattr(profile, name) is not None for name in field_kinds(MolqProfile))


_MISTAKES = {
    # An unknown key at each level.
    'scheduler = "local"\nschedulr = 1': "profiles.p.schedulr: there is no such key; did you mean 'scheduler'?",
    'scheduler = "local"\ndefaults.resource.memory = "1G"': "profiles.p.defaults.resource: there is no such key; did",
    'scheduler = "local"\ndefaults.resources.memroy = "1G"': "profiles.p.defaults.resources.memroy: there is no such "
    "key; did you mean 'memory'?",
    'scheduler = "local"\ndefaults.scheduling.que = "x"': "profiles.p.defaults.scheduling.que: there is no such key; "
    "did you mean 'queue'?",
    'scheduler = "local"\ndefaults.execution.cwdd = "x"': "profiles.p.defaults.execution.cwdd: there is no such key",
    'scheduler = "local"\nretry.attempts = 3': "profiles.p.retry.attempts: there is no such key; did you mean 'max_at",
    'scheduler = "local"\nretry.backoff.kind = "x"': "profiles.p.retry.backoff.kind: there is no such key; there are",
    'scheduler = "local"\nretention.days = 3': "profiles.p.retention.days: there is no such key; there are keep_job",
    'scheduler = "local"\nname = "q"': "profiles.p.name: there is no such key",
    # A wrong type at each level.
    "scheduler = 3": "profiles.p.scheduler: must be a text in quotes, not 3",
    'scheduler = "local"\ncluster_name = true': "profiles.p.cluster_name: must be a text in quotes, not true",
    'scheduler = "local"\ncluster_name = " "': "profiles.p.cluster_name: must be a printable name that is not empty",
    'scheduler = "local"\njobs_dir = 3': "profiles.p.jobs_dir: must be a path in quotes, not 3",
    'scheduler = "local"\ndefaults = 3': "profiles.p.defaults: must be a table with keys such as resources",
    'scheduler = "local"\ndefaults.resources = "x"': "profiles.p.defaults.resources: must be a table with keys such as",
    'scheduler = "local"\ndefaults.resources.cpu_count = "4"': "profiles.p.defaults.resources.cpu_count: must be a "
    "whole number, not '4'",
    'scheduler = "local"\ndefaults.resources.cpu_count = 0': "profiles.p.defaults.resources.cpu_count: must be a "
    "whole number of at least 1, not 0",
    'scheduler = "local"\ndefaults.scheduling.exclusive_node = 1': "profiles.p.defaults.scheduling.exclusive_node: "
    "must be true or false, not 1",
    'scheduler = "local"\ndefaults.scheduling.dependencies = "x"': "profiles.p.defaults.scheduling.dependencies: must "
    "be a list in brackets, not 'x'",
    'scheduler = "local"\ndefaults.scheduling.dependencies = [{condition = "after"}]': "profiles.p.defaults.scheduling"
    ".dependencies[0]: lacks the key job_id",
    'scheduler = "local"\ndefaults.execution.env.A = 3': "profiles.p.defaults.execution.env.A: must be a text",
    'scheduler = "local"\nretry.max_attempts = "3"': "profiles.p.retry.max_attempts: must be a whole number, not '3'",
    'scheduler = "local"\nretry.retry_on_states = ["faild"]': "(did you mean 'failed'?), not 'faild'",
    'scheduler = "local"\nretry.retry_on_states = ["running"]': "p.retry.retry_on_states: cannot hold 'running'",
    'scheduler = "local"\nretry.backoff.mode = "fixd"': "profiles.p.retry.backoff.mode: must be one of 'fixed', ",
    'scheduler = "local"\nretention.keep_failed_job_dirs = 1': "p.retention.keep_failed_job_dirs: must be true",
    # A bad quantity.
    'scheduler = "local"\ndefaults.resources.memory = "5X"': "'5X' is no amount of memory: write it as '8G'",
    'scheduler = "local"\ndefaults.resources.time_limit = 04:00:00': "must be a text in quotes, not 04:00:00: write it",
    'scheduler = "local"\ndefaults.resources.time_limit = "-5m"': "'-5m' is no length of time",
    'scheduler = "local"\ndefaults.resources.memory = 0': "profiles.p.defaults.resources.memory: must be more than 0",
    # Both kinds of dependency.
    'scheduler = "local"\ndefaults.scheduling = {dependency = "afterok:1", dependencies = [{job_id = "1"}]}': ""
    "profiles.p.defaults.scheduling: JobScheduling takes either dependency",
    # Schedulers and their options.
    'cluster_name = "x"': "profiles.p: lacks the key scheduler",
    'scheduler = "slrum"': "profiles.p.scheduler: there is no scheduler 'slrum' (installed are: ",
    'scheduler = "local"\nscheduler_options.memory_flag = "mem"': "profiles.p.scheduler_options.memory_flag: there is "
    "no such key; there are max_concurrent",
    'scheduler = "local"\nscheduler_options.max_concurent = 3': "did you mean 'max_concurrent'?",
    'scheduler = "slurm"\nscheduler_options.memory_flag = "memm"': "profiles.p.scheduler_options.memory_flag: must be "
    "one of 'mem', 'mem-per-cpu', 'none'",
    'scheduler = "slurm"\nscheduler_options.extra_sbatch_flags = ["--wrap=x"]': "which molq sets itself",
}


@pytest.mark.parametrize("table", _MISTAKES)
def test_a_mistake_is_told_with_file_key_and_remedy(file: Path, table: str):
    _write(file, f"[profiles.p]\n{table}\n")

    with pytest.raises(ConfigError) as caught:
        load_profile("p")

    assert str(caught.value).startswith(f"'{file}': profiles.p")
    assert _MISTAKES[table] in str(caught.value)
    assert str(caught.value).count("\n") == 0
    with pytest.raises(ConfigError, match=r"profiles\.p"):
        load_config()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[profile.p]\nscheduler = 'local'\n", "profile: there is no such key; did you mean 'profiles'?"),
        ("profiles = 3\n", "profiles: must be a table, which is written [profiles.NAME]"),
        ("profiles.p = 3\n", "profiles.p: must be a table with keys such as scheduler, cluster_name, defaults, not 3"),
        (
            "[profiles.p]\nscheduler = local\n",
            "column 13: this is not TOML: invalid value; texts stand in quotes, such",
        ),
        ("[profiles.p]\n[profiles.p]\n", "twice; a table has one header, below which all its keys stand"),
        ("[profiles.p]\njobs_dir = 'a'\njobs_dir = 'b'\n", "cannot overwrite a value; a key stands once in its table"),
        ("[profiles.p\n", "this is not TOML: expected ']'"),
    ],
)
def test_a_mistake_around_the_profiles_is_told(file: Path, text: str, sentence: str):
    _write(file, text)

    with pytest.raises(ConfigError) as caught:
        load_config()

    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "table", ["env.TOKEN = 7391", "evn = {TOKEN = 'canary-7391'}", "env = 'canary-7391'", "env = {1A = 'canary-7391'}"]
)
def test_the_value_of_a_variable_is_in_no_message_and_no_traceback(file: Path, table: str):
    _write(file, f"[profiles.p]\nscheduler = 'local'\n[profiles.p.defaults.execution]\n{table}\n")

    with pytest.raises(ConfigError, match=r"profiles\.p\.defaults\.execution\.e") as caught:
        load_profile("p")

    assert "7391" not in "".join(traceback.format_exception(caught.value))


def test_all_mistakes_of_a_file_are_told_at_once(file: Path):
    _write(
        file,
        "[profiles.a]\nscheduler = 'nope'\nretry.max_attempts = 0\n[profiles.b]\njobs_dir = 1\n[profils.c]\n"
        "[profiles.a.scheduler_options]\nwhatever = 1\n",
    )

    with pytest.raises(ConfigError) as caught:
        load_config()

    told = str(caught.value).splitlines()
    assert told[0] == f"'{file}' has 5 mistakes:"
    assert [line.partition(": ")[0].strip() for line in told[1:]] == [
        "profils",
        "profiles.a.scheduler",
        "profiles.a.retry.max_attempts",
        "profiles.b.jobs_dir",
        "profiles.b",
    ]


def test_a_broken_profile_hinders_no_other(file: Path):
    _write(
        file,
        "[profiles.good]\nscheduler = 'local'\n[profiles.bad]\nscheduler = 'nope'\n"
        "scheduler_options.x = 1\n[profiles]\nworse = 3\n",
    )

    assert load_profile("good").scheduler == "local"


@pytest.mark.parametrize("stranger", ["x = 1\n", "[profile.q]\n"])
def test_what_is_beside_the_profiles_is_a_mistake_in_each(file: Path, stranger: str):
    _write(file, f"{stranger}[profiles.p]\nscheduler = 'local'\n")

    with pytest.raises(ConfigError, match=r"config\.toml': (x|profile): there is no such key"):
        load_profile("p")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[profiles.gpu]\nscheduler = 'local'\n", "there is no profile 'gpuu' in '{file}'; did you mean 'gpu'?"),
        ("[profiles.a]\n[profiles.b]\n", "there is no profile 'gpuu' in '{file}'; there are a, b"),
        ("[profile.gpuu]\n", "it has no profile; profile: there is no such key; did you mean 'profiles'?"),
        ("", "it has no profile; see: molq profile --help"),
        (None, "there is no such file; begin one with: molq profile init"),
    ],
)
def test_a_profile_that_is_not_there_is_answered_with_those_that_are(file: Path, text: str | None, sentence: str):
    if text is not None:
        _write(file, text)

    with pytest.raises(ConfigError) as caught:
        load_profile("gpuu")

    assert sentence.format(file=file) in str(caught.value)


def test_without_a_file_there_are_no_profiles_unless_it_was_asked_for(home: Path, tmp_path: Path):
    assert load_config() == MolqConfig({})
    assert not home.exists()
    with pytest.raises(ConfigError, match=r"there is no file '.*/mine\.toml' with profiles"):
        load_config(tmp_path / "mine.toml")
    with pytest.raises(ConfigError, match=r"there is no file '.*/mine\.toml' with profiles"):
        load_profile("gpu", tmp_path / "mine.toml")


def test_a_profile_is_valid_from_birth():
    assert MolqProfile(name="gpu", scheduler="local").cluster_name == "gpu"
    with pytest.raises(ValueError, match=r"MolqProfile\.scheduler must be a printable name"):
        MolqProfile(name="gpu", scheduler="")
    with pytest.raises(ValueError, match=r"MolqProfile\.retry must be a RetryPolicy"):
        MolqProfile(name="gpu", scheduler="local", retry=3)


class _Recording(Submitor):
    """Keeps what it is made with."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.made_with = (args, settings)


def test_a_submitor_takes_every_setting_from_its_profile(tmp_path: Path):
    bus, store = EventBus(), object()
    profile = MolqProfile(
        name="p",
        scheduler="slurm",
        cluster_name="hpc",
        defaults=SubmitorDefaults(resources=JobResources(cpu_count=2, memory=Memory.gb(1))),
        scheduler_options=SlurmSchedulerOptions(memory_flag="none"),
        retry=RetryPolicy(max_attempts=3),
        retention=RetentionPolicy(keep_job_dirs_for_days=1),
        jobs_dir=tmp_path,
    )

    args, made = _Recording.from_profile(profile, store=store, event_bus=bus).made_with
    defaults = made.pop("defaults")

    assert args == ("hpc", "slurm")
    assert defaults.resources == profile.defaults.resources
    assert made == {
        "scheduler_options": profile.scheduler_options,
        "store": store,
        "jobs_dir": tmp_path,
        "default_retry_policy": profile.retry,
        "retention_policy": profile.retention,
        "profile_name": "p",
        "event_bus": bus,
    }


def test_what_a_caller_gives_beside_a_profile_wins(tmp_path: Path):
    profile = MolqProfile(
        name="p",
        scheduler="local",
        defaults=SubmitorDefaults(
            resources=JobResources(cpu_count=2, memory=Memory.gb(1)), execution=JobExecution(env={"A": "1", "B": "1"})
        ),
        jobs_dir="elsewhere",
    )
    given = {
        "scheduler_options": LocalSchedulerOptions(max_concurrent=1),
        "jobs_dir": tmp_path,
        "default_retry_policy": RetryPolicy(),
        "retention_policy": RetentionPolicy(),
    }

    args, made = _Recording.from_profile(
        profile,
        cluster_name="mine",
        defaults=SubmitorDefaults(resources=JobResources(memory=Memory.gb(4)), execution=JobExecution(env={"B": "2"})),
        **given,
    ).made_with

    assert args == ("mine", "local")
    assert {name: made[name] for name in given} == given
    assert made["defaults"].resources == JobResources(cpu_count=2, memory=Memory.gb(4))
    assert made["defaults"].execution.env == {"A": "1", "B": "2"}


def test_a_job_of_a_profile_is_followed_without_the_file(file: Path, store: JobStore):
    _write(
        file,
        "[profiles.here]\nscheduler = 'local'\ncluster_name = 'mine'\ndefaults.execution.env.GREETING = 'hi'\n"
        "scheduler_options.kill_grace = '2s'\n",
    )
    handle = Submitor.from_profile("here", store=store).submit(command="echo $GREETING")
    file.unlink()

    record = Submitor.for_job(handle.job_id, store).watch([handle.job_id], timeout=30)[0]

    assert Path(record.stdout_path).read_text() == "hi\n"
    assert (record.profile_name, record.cluster_name, record.state) == ("here", "mine", JobState.SUCCEEDED)


_FILE = """\
# Mine.
[profiles.gpu]   # big
scheduler = "slurm"
jobs_dir = "~/jobs"   # on scratch

[profiles.gpu.defaults.resources]
memory = "32G"

# At home.
[profiles.home]
scheduler = "local"
"""


def _changes(file: Path, edit: Callable[[], object]) -> list[str]:
    edit()
    lines = difflib.unified_diff(_FILE.splitlines(), file.read_text().splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def test_an_edit_changes_the_line_in_question(file: Path):
    _write(file, _FILE)
    line = '[profiles.gpu.defaults.resources]\nmemory = "32G"'
    assert line in _FILE

    changes = _changes(file, lambda: set_key("gpu", "jobs_dir", "~/other"))

    assert changes == ['-jobs_dir = "~/jobs"   # on scratch', '+jobs_dir = "~/other"   # on scratch']


def test_a_key_that_is_set_and_unset_leaves_the_file_as_it_was(file: Path):
    _write(file, _FILE)

    assert _changes(file, lambda: set_key("gpu", "cluster_name", "hpc")) == ['+cluster_name = "hpc"']
    assert _changes(file, lambda: unset_key("gpu", "cluster_name")) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("gpu", "defaults.resources.memory", "32X"), "defaults.resources.memory: '32X' is no amount of memory"),
        (("gpu", "defaults.resources.memroy", "32G"), "has no key 'memroy'; did you mean 'memory'?"),
        (("gpu", "defaults.resources", "32G"), "defaults.resources is a table; set a key in it: cpu_count, memory"),
        (("gpu", "defaults.resources.memory.x", "1"), "defaults.resources.memory is a value, and has no key 'x'"),
        (("gpu", "defaults.execution.env", "x"), "set a name in it: defaults.execution.env.NAME"),
        (("gpu", "defaults.execution.env.1A", "x"), "names are letters, digits and _"),
        (("gpu", "defaults.scheduling.dependencies", "x"), "is a list of tables; edit the file to set it"),
        (("gpu", "retry.max_attempts", "0"), "must be a whole number of at least 1, not 0"),
        (("gpu", "scheduler", "slrum"), "there is no scheduler 'slrum'"),
        (("gpu", "name", "x"), "a profile has no key 'name'"),
        (("gpu", "", "x"), "a profile has no key ''"),
        (("gpuu", "retry.max_attempts", "2"), "(did you mean 'gpu'?); begin one with: molq profile set gpuu scheduler"),
        (("new", "scheduler", "nope"), "there is no scheduler 'nope'"),
    ],
)
def test_an_edit_after_which_the_profile_would_not_load_is_refused(
    file: Path, arguments: tuple[str, str, str], sentence: str
):
    _write(file, _FILE)

    with pytest.raises(ConfigError) as caught:
        set_key(*arguments)

    assert sentence in str(caught.value)
    assert file.read_text() == _FILE


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("gpu", "scheduler"), "profiles.gpu: lacks the key scheduler"),
        (("gpu", "retry"), "profile 'gpu' does not set 'retry'; there are scheduler, jobs_dir, defaults"),
        (("gpu", "defaults.resources.memroy"), "defaults.resources does not set 'memroy'; did you mean 'memory'?"),
        (("gpu", "scheduler.x"), "scheduler does not set 'x'; there is nothing below it"),
        (("gpo", None), "there is no profile 'gpo'"),
    ],
)
def test_what_cannot_be_unset_is_refused(file: Path, arguments: tuple[str, str | None], sentence: str):
    _write(file, _FILE)

    with pytest.raises(ConfigError) as caught:
        unset_key(*arguments)

    assert sentence in str(caught.value)
    assert file.read_text() == _FILE


def test_the_options_of_another_scheduler_keep_a_profile_from_changing_to_it(file: Path):
    _write(file, "[profiles.p]\nscheduler = 'slurm'\nscheduler_options.memory_flag = 'none'\n")

    with pytest.raises(ConfigError, match=r"p\.scheduler_options\.memory_flag: there is no such key"):
        set_key("p", "scheduler", "local")


def test_mistakes_can_be_mended_one_by_one(file: Path):
    _write(file, "[profiles.p]\nscheduler = 'local'\njobs_dri = 'x'\nretry.max_attempts = 'many'\n")

    first = unset_key("p", "jobs_dri")
    second = set_key("p", "retry.max_attempts", "1")

    assert [problem.path for problem in first.left] == [("profiles", "p", "retry", "max_attempts")]
    assert second.left == ()
    assert load_profile("p").retry == RetryPolicy(max_attempts=1)


def test_a_file_is_begun_once(file: Path):
    begin_file("# new\n")

    with pytest.raises(ConfigError, match="is there already; it was left as it is"):
        begin_file("# newer\n")

    assert file.read_text() == "# new\n"


def test_settings_say_whether_the_file_has_them(file: Path):
    _write(file, _FILE + "defaults.execution.env.TOKEN = 'canary-7391'\n")

    settings = {setting.key: (setting.value, setting.is_set) for setting in settings_of("home")}

    assert settings["scheduler"] == ("local", True)
    assert settings["cluster_name"] == ("home", False)
    assert settings["retry.backoff.mode"] == ("exponential", False)
    assert settings["scheduler_options.kill_grace"] == ("10s", False)
    assert settings["defaults.execution.env.TOKEN"] == ("(not shown)", True)
