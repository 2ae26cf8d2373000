"""Requests as scripts, and what bsub reads of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.backend import Duration, JobResources, JobScheduling, Memory, SubmitRejected, SubmitRequest
from molq_lsf import LSFSchedulerOptions
from molq_lsf.directives import dependency_arguments, header_of, render_script, submitted_text
from molq_lsf.tags import safe_name, tag_arguments, tag_in_name
from molq_lsf.testing.fake_bsub import embedded_words


def request(
    resources=None, scheduling=None, *, name="job", dependency=None, job_dir="/d", body="echo body\n", **options
):
    return SubmitRequest(
        job_id="tag",
        job_name=name,
        job_dir=Path(job_dir),
        body=body,
        cwd=Path("/w"),
        stdout_path=Path(job_dir) / "stdout.log",
        stderr_path=Path(job_dir) / "stderr.log",
        resources=resources or JobResources(),
        scheduling=scheduling or JobScheduling(),
        dependency=dependency,
        options=LSFSchedulerOptions(**options),
    )


def directives(*args, **kwargs):
    lines = header_of(render_script(request(*args, **kwargs))).splitlines()
    assert lines[0] == "#!/bin/sh"
    return [line.removeprefix("#BSUB ") for line in lines[1:]]


def words_read(*args, **kwargs):
    """Return what bsub reads of the whole script that it is given."""
    script = render_script(request(*args, **kwargs))
    return embedded_words(submitted_text(script, "/d/job.sh"))


def test_a_plain_job_asks_for_nothing_and_no_mail():
    assert directives() == ["-J job", "-o /dev/null"]


@pytest.mark.parametrize(
    ("resources", "scheduling", "options", "expected"),
    [
        (JobResources(cpu_count=8), None, {}, ["-n 8", '-R "span[ptile=8]"']),
        (JobResources(cpu_count=8), JobScheduling(node_count=3), {}, ["-n 24", '-R "span[ptile=8]"']),
        (None, JobScheduling(node_count=3), {}, ["-n 3", '-R "span[ptile=1]"']),
        (JobResources(memory=Memory.gb(2)), None, {}, ["-M 2097152", '-R "rusage[mem=2048]"']),
        (JobResources(memory=Memory.gb(2)), None, {"memory_unit": "MB"}, ["-M 2048", '-R "rusage[mem=2048]"']),
        (JobResources(memory=Memory.gb(2)), None, {"memory_unit": "GB"}, ["-M 2", '-R "rusage[mem=2]"']),
        (JobResources(memory=Memory.mb(1500)), None, {"memory_unit": "GB"}, ["-M 2", '-R "rusage[mem=2]"']),
        (JobResources(memory=Memory.gb(2)), None, {"memory_flag": "limit"}, ["-M 2097152"]),
        (JobResources(memory=Memory.gb(2)), None, {"memory_flag": "reservation"}, ['-R "rusage[mem=2048]"']),
        (JobResources(memory=Memory.gb(2)), None, {"memory_flag": "none"}, []),
        (
            JobResources(cpu_count=4, memory=Memory.gb(2)),
            None,
            {"memory_per": "core"},
            ["-n 4", "-M 2097152", '-R "span[ptile=4] rusage[mem=512]"'],
        ),
        (
            JobResources(cpu_count=4, memory=Memory.gb(2)),
            JobScheduling(node_count=2),
            {"memory_per": "job"},
            ["-n 8", "-M 4194304", '-R "span[ptile=4] rusage[mem=4096]"'],
        ),
        (
            JobResources(cpu_count=4, memory=Memory.gb(2)),
            JobScheduling(node_count=2),
            {},
            ["-n 8", "-M 4194304", '-R "span[ptile=4] rusage[mem=2048]"'],
        ),
        (
            JobResources(cpu_count=4, memory=Memory.gb(2)),
            JobScheduling(node_count=2),
            {"memory_limit_per": "host"},
            ["-n 8", "-M 2097152", '-R "span[ptile=4] rusage[mem=2048]"'],
        ),
        (
            JobResources(cpu_count=4, memory=Memory.gb(2)),
            JobScheduling(node_count=2),
            {"memory_limit_per": "core"},
            ["-n 8", "-M 524288", '-R "span[ptile=4] rusage[mem=2048]"'],
        ),
        (JobResources(gpu_count=2), None, {}, ["-gpu num=2"]),
        (JobResources(gpu_count=2, gpu_type="a100"), None, {}, ["-gpu num=2:gmodel=a100"]),
        (JobResources(gpu_type="a100"), None, {}, ["-gpu num=1:gmodel=a100"]),
        (JobResources(gpu_count=2), None, {"gpu_syntax": "rusage"}, ['-R "rusage[ngpus_excl_p=2]"']),
        (JobResources(time_limit=Duration(61)), None, {}, ["-W 2"]),
        (JobResources(time_limit=Duration.hours(30)), None, {}, ["-W 1800"]),
    ],
)
def test_resources(resources, scheduling, options, expected):
    assert directives(resources, scheduling, **options)[2:] == expected


def test_scheduling():
    scheduling = JobScheduling(
        queue="long",
        account="acc",
        priority="70",
        exclusive_node=True,
        array_spec="1-9:2,12%2",
        email="o'neil@x.org",
        reservation="res",
    )  # fmt: skip - one value

    said = directives(scheduling=scheduling, dependency='done(12) && ended("with space")')

    assert said[0] == '-J "job[1-9:2,12]%2"'
    assert {
        "-q long",
        "-P acc",
        "-sp 70",
        "-x",
        "-U res",
        '-u "o\'neil@x.org"',
        "-N",
        "-w 'done(12) && ended(\"with space\")'",
    } <= set(said)  # fmt: skip - one set


@pytest.mark.parametrize(
    ("resources", "scheduling", "options", "words"),
    [
        (None, JobScheduling(array_spec="0-3"), {}, "begin at index 1"),
        (None, JobScheduling(array_spec="5,0"), {}, "begin at index 1"),
        (None, JobScheduling(priority="high"), {}, "MAX_USER_PRIORITY"),
        (None, JobScheduling(priority="-5"), {}, "MAX_USER_PRIORITY"),
        (None, JobScheduling(priority="0"), {}, "MAX_USER_PRIORITY"),
        (None, JobScheduling(queue="a;b"), {}, "queue"),
        (None, JobScheduling(queue="#x"), {}, "queue"),
        (None, JobScheduling(account="a[b]"), {}, "account"),
        (None, JobScheduling(reservation="r"), {"dialect": "openlava"}, "OpenLava has no reservation"),
        (JobResources(gpu_count=1), None, {"dialect": "openlava"}, "gpu_syntax"),
        (JobResources(gpu_type="a100"), None, {"gpu_syntax": "rusage"}, "drop gpu_type"),
    ],
)
def test_what_lsf_cannot_be_told_is_refused_with_a_sentence(resources, scheduling, options, words):
    with pytest.raises(SubmitRejected, match=words):
        directives(resources, scheduling, **options)


def test_a_dependency_with_quotes_of_both_kinds_is_refused():
    with pytest.raises(SubmitRejected, match="quotes of both kinds"):
        directives(dependency='done("a\'b")')


def test_a_folder_with_a_line_break_is_refused():
    with pytest.raises(SubmitRejected, match="control character"):
        directives(job_dir="/a\n#BSUB -q nosuch")


def test_nothing_in_the_users_command_is_a_directive():
    body = "exec echo 'x\n#BSUB -q nosuch\n  # BSUB -P nosuch\n_USER_SCRIPT_\n'" + "y" * 20_000 + "\n"
    sent = submitted_text(render_script(request(body=body)), "/d/it's/job.sh")

    assert embedded_words(sent) == ["-J", "job", "-o", "/dev/null"]
    assert sent.splitlines()[-1] == "exec /bin/sh '/d/it'\"'\"'s/job.sh'"
    assert "_USER_SCRIPT_" not in sent


@given(st.text())
def test_no_name_can_be_anything_but_a_name(name):
    said = words_read(name=name)

    assert said == ["-J", safe_name(name), "-o", "/dev/null"]
    assert not safe_name(name).startswith(("-", "*", "["))


@given(
    st.one_of(
        st.none(),
        st.text(alphabet="ab1\"'` $()&|!<>=,;#*-\\", min_size=1).filter(lambda t: not t.lstrip().startswith("-")),
    )
)
def test_a_dependency_is_one_word_of_the_call_or_refused(dependency):
    try:
        said = words_read(dependency=dependency)
    except SubmitRejected:
        return
    assert said == ["-J", "job", "-o", "/dev/null"]
    assert dependency_arguments(request(dependency=dependency)) == ([] if dependency is None else ["-w", dependency])


@given(st.text(alphabet=st.characters(blacklist_characters="\0"), min_size=1))
def test_a_tag_is_read_again_whatever_the_name(name):
    one = attrs.evolve(request(), job_name=name, job_id="6f1c2d3e-aaaa-4bbb-8ccc-0123456789ab")
    flag, value = tag_arguments(one, "openlava")

    assert (flag, tag_in_name(value)) == ("-J", one.job_id)
    assert tag_arguments(one, "spectrum") == ["-Jd", f"molq:{one.job_id}"]


@pytest.mark.parametrize("name", ["molq-x", "molq-.x", "x.molq-1.y", "molq_6f1c.x", "*", ""])
def test_a_name_of_somebody_elses_has_no_tag(name):
    assert tag_in_name(name) == ""


def run_prelude(tmp_path, **changes):
    script = render_script(attrs.evolve(request(job_dir=str(tmp_path)), **changes))
    (tmp_path / "job.sh").write_text(script)
    return subprocess.run(["sh", str(tmp_path / "job.sh")], capture_output=True, check=False, env={"LSB_JOBINDEX": "3"})


def test_output_is_written_while_the_job_runs_and_kept_over_a_second_run(tmp_path):
    run_prelude(tmp_path, body="echo one; echo two >&2\n")
    (tmp_path / "start").write_text("x")
    done = run_prelude(tmp_path, body="echo again\n")

    assert (done.stdout, done.stderr) == (b"", b"")
    assert (tmp_path / "stdout.log").read_text() == "one\nagain\n"
    assert (tmp_path / "stderr.log").read_text() == "two\n"


def test_a_file_of_the_users_is_begun_anew(tmp_path):
    (tmp_path / "mine").write_text("old\n")
    both = tmp_path / "mine"

    run_prelude(tmp_path, stdout_path=both, stderr_path=both, body="echo one; echo two >&2\n")

    assert both.read_text() == "one\ntwo\n"


def test_each_element_has_a_file_of_its_own(tmp_path):
    run_prelude(tmp_path, scheduling=JobScheduling(array_spec="3"), body="echo one\n")

    assert (tmp_path / "stdout.log.3").read_text() == "one\n"


def test_output_that_cannot_be_written_is_told_by_the_exit_file(tmp_path):
    done = run_prelude(tmp_path, stdout_path=tmp_path / "no" / "such" / "file", body="touch ran\n")

    assert done.returncode == 1
    assert (tmp_path / "exit").read_text() == f"1 cannot write the output file {tmp_path}/no/such/file\n"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bsub_path", ""),
        ("bjobs_path", "--help"),
        ("bhist_path", "a\nb"),
        ("dialect", "torque"),
        ("memory_unit", "kb"),
        ("memory_per", "node"),
        ("memory_limit_per", "process"),
        ("memory_flag", True),
        ("gpu_syntax", "gres"),
        ("gpu_resource", "a]b"),
        ("command_timeout", 5),
        ("command_timeout", Duration(0)),
        ("extra_bsub_flags", ("fluent",)),
        ("extra_bsub_flags", ("-J", "mine")),
        ("extra_bsub_flags", ("-Jmine",)),
        ("extra_bsub_flags", ("-Is",)),
        ("extra_bsub_flags", ("-app", "")),
        ("extra_bsub_flags", "-x"),
    ],
)
def test_options_are_checked_when_they_are_made(field, value):
    with pytest.raises(ValueError, match=field):
        LSFSchedulerOptions(**{field: value})


def test_options_can_be_changed_and_compared():
    options = LSFSchedulerOptions(extra_bsub_flags=["-app", "fluent"])

    assert attrs.evolve(options) == options
    assert options.extra_bsub_flags == ("-app", "fluent")
