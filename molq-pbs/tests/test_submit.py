"""Submitting: what reaches the server, and what the job starts from."""

from __future__ import annotations

import os
import stat
import subprocess

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq import Duration, JobResources, JobScheduling, JobState, SubmitError, Submitor
from molq.commands import SystemCommands
from molq_pbs import PBSSchedulerOptions, hooks
from molq_pbs.submit_environment import render_environment
from molq_pbs.testing import FakePBS


@pytest.fixture
def submitor(fake_pbs, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Submitor("lab", "pbs", scheduler_options=fake_pbs.options) as one:
        yield one


def test_a_job_starts_from_the_environment_of_its_submission(fake_pbs, submitor, monkeypatch, tmp_path):
    for name, value in {"MINE": 'a\'b\n"c",\\', "TMPDIR": "/login/tmp", "PBS_O_QUEUE": "outer"}.items():
        monkeypatch.setenv(name, value)
    job = submitor.submit(command='printf %s "$MINE" >mine; echo "${TMPDIR-none} $PBS_O_QUEUE $PBS_O_WORKDIR" >own')

    fake_pbs.run(job.scheduler_job_id)

    assert (tmp_path / "mine").read_text() == 'a\'b\n"c",\\'
    assert (tmp_path / "own").read_text() == f"none workq {tmp_path}\n"


def test_what_pbs_gives_to_a_job_wins_over_the_environment_of_its_submission(fake_pbs, submitor, monkeypatch, tmp_path):
    # As in a job of one CPU and one GPU that submits another; the fake gives a number of threads, but no GPU.
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-of'mine")
    job = submitor.submit(command='echo "$OMP_NUM_THREADS $CUDA_VISIBLE_DEVICES" >seen')

    fake_pbs.run(job.scheduler_job_id)

    assert (tmp_path / "seen").read_text() == "1 GPU-of'mine\n"


def test_the_files_of_a_job_get_the_permissions_that_the_user_is_used_to(fake_pbs, submitor, tmp_path):
    before = os.umask(0o027)
    try:
        job = submitor.submit(command="touch made")
    finally:
        os.umask(before)

    fake_pbs.run(job.scheduler_job_id)

    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o640


def test_no_secret_of_the_users_stands_in_the_list_of_jobs(fake_pbs, submitor, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "sesame")
    job = submitor.submit(command="true")

    listed = subprocess.run(
        [fake_pbs.options.qstat_path, "-f", "-w", job.scheduler_job_id], capture_output=True, check=True, text=True
    )

    assert "MOLQ_TAG=" in listed.stdout
    assert "sesame" not in listed.stdout
    assert "sesame" not in repr(fake_pbs.commands_run)
    kept = os.path.join(submitor.get(job.job_id).job_dir, "submit-environment")
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600


def test_a_job_that_submits_with_all_of_its_variables_does_not_pass_on_its_tag(fake_pbs, submitor):
    inner = f'"{fake_pbs.options.qsub_path}" -V -N inner -- true'
    job = submitor.submit(command=f"unset PBS_JOBID; {inner}")

    fake_pbs.run(job.scheduler_job_id)

    outer_job, inner_job = fake_pbs.jobs()
    assert any(word.startswith("MOLQ_TAG=") for word in outer_job["variables"])
    assert not any(word.startswith("MOLQ_TAG=") for word in inner_job["variables"])


def test_output_is_there_while_the_job_runs(fake_pbs, submitor):
    job = submitor.submit(command='echo early; cp "$MOLQ_LOG" seen')
    log = submitor.get(job.job_id).stdout_path
    job = submitor.submit(command=f"echo early; cp '{log}' seen; true")
    log = submitor.get(job.job_id).stdout_path

    fake_pbs.run(job.scheduler_job_id)

    with open(log) as output:
        assert output.read() == "early\n"


@pytest.mark.parametrize("folder", ["plain", "it's odd"])
def test_what_pbs_itself_writes_is_kept_in_the_jobs_folder_or_not_at_all(fake_pbs, submitor, tmp_path, folder):
    with Submitor("lab", "pbs", scheduler_options=fake_pbs.options, jobs_dir=tmp_path / folder) as one:
        job = one.submit(command="echo out")
        fake_pbs.run(job.scheduler_job_id)
        job_dir = one.get(job.job_id).job_dir

        assert os.path.exists(f"{job_dir}/pbs.log") == (folder == "plain")
        with open(f"{job_dir}/stdout.log") as output:
            assert output.read() == "out\n"
    assert os.listdir(fake_pbs.home) == []


@pytest.mark.parametrize("many", [2, 1000])
def test_a_job_waits_for_all_that_it_was_told_to_however_much_that_is(fake_pbs, submitor, many):
    upstream = submitor.submit(command="true")
    expression = ":".join(["afterok", *[upstream.scheduler_job_id] * many])

    submitor.submit(command="true", scheduling=JobScheduling(dependency=expression))

    assert len(fake_pbs.jobs()[1]["asked_depend"]) == many


def test_the_users_flags_leave_alone_what_they_do_not_name(fake_pbs, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    options = attrs.evolve(fake_pbs.options, extra_qsub_flags=("-Wgroup_list=chem", "-lplace=excl"))
    with Submitor("lab", "pbs", scheduler_options=options) as one:
        upstream = one.submit(command="true")
        resources = JobResources(cpu_count=2, time_limit=Duration.minutes(1))
        one.submit(command="true", resources=resources, after_success=[upstream.job_id])

    job = fake_pbs.jobs()[1]
    assert job["asked_depend"] == [["afterok", "1"]]
    assert job["resources"].items() >= {"select": "1:ncpus=2", "place": "excl", "walltime": "00:01:00"}.items()


def test_an_element_that_was_not_asked_for_leaves_nothing_behind(fake_pbs, submitor, tmp_path):
    with Submitor("lab", "pbs", scheduler_options=fake_pbs.options, jobs_dir=tmp_path / "it's odd") as one:
        job = one.submit(command="true", scheduling=JobScheduling(array_spec="5"))
        for index in (5, 6):
            fake_pbs.run(job.scheduler_job_id.replace("[]", f"[{index}]"))

    assert os.listdir(fake_pbs.home) == []


def test_nothing_answers_the_next_submission_in_place_of_qsub(fake_pbs, submitor):
    submitor.submit(command="true")

    (words,) = [words for words in fake_pbs.commands_run if words[0] == "qsub"]
    assert "-f" in words


def test_the_users_flags_win_over_what_molq_asks_for(fake_pbs, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    options = attrs.evolve(fake_pbs.options, extra_qsub_flags=("-qlong", "-Wgroup_list=chem"))
    with Submitor("lab", "pbs", scheduler_options=options) as one:
        one.submit(command="true", scheduling=JobScheduling(queue="workq"))

    assert fake_pbs.jobs()[0]["queue"] == "long"


@pytest.mark.parametrize("dialect", ["auto", "torque"])
def test_a_script_for_the_other_dialect_is_refused_or_right(fake_torque, tmp_path, monkeypatch, dialect):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    options = attrs.evolve(fake_torque.options, dialect=dialect)
    with Submitor("lab", "pbs", scheduler_options=options) as one:
        if dialect == "torque":
            assert one.submit(command="true").scheduler_job_id == "1.vm"
            return
        with pytest.raises(SubmitError, match="set the option dialect='torque'"):
            one.submit(command="true")

    assert fake_torque.jobs() == ()


def test_an_openpbs_needs_no_word_about_its_dialect(fake_pbs, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    options = attrs.evolve(fake_pbs.options, dialect="auto")
    with Submitor("lab", "pbs", scheduler_options=options) as one:
        job = one.submit(command="true")
        fake_pbs.run(job.scheduler_job_id)

        assert job.wait(timeout=60).state is JobState.SUCCEEDED


def test_a_limit_is_told_in_pbs_words(fake_pbs, submitor):
    fake_pbs.limit_jobs(0)

    with pytest.raises(SubmitError, match="would exceed complex's per-user limit"):
        submitor.submit(command="true")


def test_the_options_of_a_fake_keep_what_was_set(tmp_path):
    fake = FakePBS(tmp_path, PBSSchedulerOptions(account_flag="project", gpu_type_resource="gpu_model"))

    assert (fake.options.account_flag, fake.options.gpu_type_resource) == ("project", "gpu_model")


def test_programs_see_which_server_to_ask_and_nothing_of_an_outer_job():
    site = {"PBS_CONF_FILE": "/etc/pbs.conf", "PBS_PRIMARY": "one", "PBS_SECONDARY": "two", "PBS_AUTH_METHOD": "munge"}
    outer = {"PBS_JOBID": "7.s", "PBS_O_WORKDIR": "/w", "PBS_DPREFIX": "#no", "PBS_NODEFILE": "/n", "PBS_SHELL": "/x"}

    seen = SystemCommands(hooks.molq_describe_backend(), {**site, **outer}).environment

    assert dict(seen) == site


NAMES = st.text("ABCabc_019", min_size=1, max_size=8).map(lambda text: f"V{text}")


@given(st.dictionaries(NAMES, st.text().filter(lambda text: "\0" not in text), max_size=5))
def test_each_variable_is_what_it_was(variables):
    shown = "".join(f'printf "%s\\0" "${name}"\n' for name in variables)
    code = os.fsencode(render_environment(variables, "0022") + "umask\n" + shown) if _is_text(variables) else b""

    done = subprocess.run(["sh"], input=code, capture_output=True, check=False, env={"PATH": os.defpath})

    if code:
        values = os.fsencode("".join(f"{value}\0" for value in variables.values()))
        assert (done.returncode, done.stdout, done.stderr) == (0, b"0022\n" + values, b"")


def _is_text(variables):
    try:
        os.fsencode("".join(variables.values()))
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize("name", ["BASH_FUNC_f%%", "BASH_VERSINFO", "PBS_JOBID", "IFS", "TMPDIR", "PWD", "1x", "a b"])
def test_what_a_job_has_of_its_own_is_not_handed_on(name):
    assert render_environment({name: "x"}, None) == ""
