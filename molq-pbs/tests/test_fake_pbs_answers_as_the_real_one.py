"""Commands that were recorded on a real OpenPBS are given to the fake one, which has to answer the same."""

from __future__ import annotations

import os
import re
import subprocess

import pbs_tests_recorded as recorded
import pytest

from molq_pbs.testing import FakePBS

DETAILS = "Job Id|job_state|substate|Exit_status|comment|Hold_Types|depend =|run_count"
DEATH = f"{DETAILS}|resources_used.walltime|obittime"
DEPENDENCY = f"{DETAILS}|array|resources_used.walltime"
ARRAY = DEPENDENCY
MOM = "Job Id|Job_Name|job_state|substate|Exit_status|comment|Hold_Types|depend =|run_count|exec_host|queue ="

# What depends on the moment, the machine or the request, and not on what happened.
VARYING = (
    (r"[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4}", "TIME"),
    (r"[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ at \d\d:\d\d", "MOMENT"),
    (r"walltime = \d\d:\d\d:\d\d", "walltime = CLOCK"),
    (r"\(vm:ncpus=\d+[^)]*\)", "(NODES)"),
    (r"exec_host = vm/\d+", "exec_host = vm/0"),
    (r"localhost:\S*/", "localhost:/"),
    (r"    Variable_List = .*\n", ""),
)


@pytest.fixture
def fake(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("pbs")  # of which no word is searched for
    for name in ("ok.sh", "sleep.sh", "arr.sh", "fail3.sh", "s3.sh", "f3.sh"):
        (tmp_path / name).write_text("#!/bin/sh\ntrue\n")
    return FakePBS(tmp_path, user="molqtest")


def ask(fake, command, **variables):
    environment = {**os.environ, "PATH": f"{fake.bin}:{os.environ['PATH']}", **variables}
    return subprocess.run(
        ["bash", "-c", command],
        env=environment,
        cwd=fake.folder.parent,
        capture_output=True,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def submit(fake, number, *flags):
    fake.number_from(number)
    done = ask(fake, f"qsub {' '.join(flags)} ok.sh")
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.strip()


def general(text):
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text


def assert_same(fake, transcript, command, occurrence=0, **variables):
    real = recorded.block(transcript, command, occurrence)
    done = ask(fake, command, **variables)
    said = (done.returncode, general(done.stdout), done.stderr)
    assert said == (real.exit_code, general(real.stdout), real.stderr)


REFUSALS = [
    block.command
    for block in recorded.blocks("qsub_errors")
    if block.command.startswith("qsub ")
    and 0 < block.exit_code < 200
    # What is not the client's or the server's own doing, or needs a limit that is set first.
    and not any(odd in block.command for odd in ("nosuchhost", "--banana", "-q long", "qsub -h ok.sh", "qsub -I"))
    and block.command not in ("qsub ok.sh", "qsub /opt/pbs-lab/w/ok.sh")
]


@pytest.mark.parametrize("command", REFUSALS)
def test_refusals(fake, command):
    assert_same(fake, "qsub_errors", command)


@pytest.mark.parametrize("bad", ["disabled", "limit", "cr-lf"])
def test_refusals_by_the_site_or_the_script(fake, bad):
    if bad == "disabled":
        fake.disable_queue("long")
        assert_same(fake, "qsub_errors", "qsub -q long ok.sh")
    elif bad == "limit":
        fake.limit_jobs(1)
        submit(fake, 145, "-h")
        assert_same(fake, "qsub_errors", "qsub -h ok.sh", 1)
    else:
        assert_same(fake, "qsub_errors", r"printf '#!/bin/bash\r\necho hi\r\n' > crlf.sh; qsub crlf.sh")


NAMES = [b.command for b in recorded.blocks("job_names") if b.command.startswith("qsub -h -N")]


def test_names(fake):
    fake.number_from(289)

    for command in NAMES:
        assert_same(fake, "job_names", command)


def test_how_names_are_shown(fake):
    fake.number_from(289)
    for command in NAMES:
        ask(fake, command)

    assert_same(fake, "job_names", "qstat | head -12")
    assert_same(fake, "job_names", "qselect -N sixteen_chars_ab")
    assert_same(fake, "job_names", 'qselect -N "has space"')


@pytest.mark.parametrize(
    ("job_id", "happening"),
    [
        ("84.vm", ("finish", 0)),
        ("85.vm", ("finish", 3)),
        ("87.vm", ("finish", 255)),
        ("93.vm", ("signal", 6)),
        ("94.vm", ("time_out",)),
        ("96.vm", ("cancel", "molqtest@localhost")),
        ("102.vm", ("signal", 9)),
    ],
)
def test_deaths(fake, job_id, happening):
    submit(fake, int(job_id.partition(".")[0]))
    fake.start(job_id)
    getattr(fake, happening[0])(job_id, *happening[1:])

    assert_same(fake, "job_states", f"qstat -x -f -w {job_id} | grep -E '{DEATH}'")


def test_a_job_that_used_too_much_memory(fake):
    submit(fake, 11091)
    fake.out_of_memory("11091.vm")

    shown = ask(fake, f"qstat -x -f -w 11091.vm | grep -E '{DEATH}'").stdout

    assert "comment = Job run at" in shown
    assert "and exceeded resource mem\n" in shown
    assert "Exit_status = -27\n" in shown


def test_jobs_that_are_deleted_before_they_start(fake):
    submit(fake, 100)
    fake.comment("100.vm", "Can Never Run: Insufficient amount of resource: ncpus (R: 10000 A: 64 T: 64)")
    submit(fake, 101, "-h")
    ask(fake, "qdel 100.vm; qdel 101.vm")

    assert_same(fake, "job_states", f"qstat -x -f -w 100.vm | grep -E '{DEATH}'")
    assert_same(fake, "job_states", f"qstat -x -f -w 101.vm | grep -E '{DEATH}'")


def test_jobs_that_wait_or_run(fake):
    submit(fake, 103)
    fake.comment("103.vm", "Can Never Run: Insufficient amount of resource: ncpus (R: 10000 A: 64 T: 64)")
    submit(fake, 106, "-h")
    submit(fake, 107)
    fake.start("107.vm")

    for job_id in ("103.vm", "106.vm", "107.vm"):
        assert_same(fake, "job_states", f"qstat -x -f -w {job_id} | grep -E '{DEATH}'")


def test_a_job_whose_output_is_still_copied(fake):
    submit(fake, 11094, "-N", "exiting")
    fake.exit_slowly("11094.vm", 4)

    assert_same(fake, "other_deaths", "qstat 11094.vm")
    assert_same(fake, "other_deaths", "qdel 11094.vm")
    shown = ask(fake, f"qstat -x -f -w 11094.vm | grep -E '{DETAILS}'").stdout
    assert "job_state = E\n" in shown
    assert "Exit_status = 4\n" in shown


def test_jobs_whose_node_is_lost(fake):
    for number, name in ((9121, "rerunnable"), (9122, "notrerunnable"), (9123, "todelete")):
        submit(fake, number, "-N", name)
        fake.start(f"{number}.vm")
    fake.node_down()
    assert_same(fake, "mom_down", "qdel 9123.vm")
    assert_same(fake, "mom_down", f"qstat -x -f -w '9121.vm' | grep -E '{MOM}'")
    fake.node_fail("9122.vm")
    fake.requeue("9121.vm")

    assert_same(fake, "mom_down", f"qstat -x -f -w '9121.vm' | grep -E '{MOM}'", 1)
    assert_same(fake, "mom_down", f"qstat -x -f -w '9122.vm' | grep -E '{MOM}'")


def test_unknown_ids_finished_jobs_and_mixtures(fake):
    submit(fake, 81, "-N", "done1")
    fake.finish("81.vm")
    submit(fake, 83, "-N", "run2")
    fake.start("83.vm")

    for command in (
        *("qstat 999999.vm", "qstat 999999", "qstat 81.vm", "qstat -x 81.vm", "qstat banana"),
        "qstat 5.otherserver",
    ):
        assert_same(fake, "qstat_unknown_and_mixed", command)
    mixed = ask(fake, "qstat 83.vm 999999.vm")
    assert (mixed.returncode, mixed.stderr) == (153, "qstat: Unknown Job Id 999999.vm\n")
    assert mixed.stdout.startswith("Job id ")
    # The header is printed for the first operand or never.
    other = ask(fake, "qstat 999999.vm 83.vm").stdout
    assert other.startswith("83.vm ")


def test_many_ids_at_once(fake):
    submit(fake, 11096)
    fake.finish("11096.vm")
    submit(fake, 11097, "-N", "sleep.sh")
    fake.start("11097.vm")

    assert ask(fake, "qstat -E -x 11097.vm 11096.vm 999999").returncode == 0
    assert ask(fake, "qstat -E -x 11097.vm 999999").stderr == ""
    assert_same(fake, "other_deaths", "qstat -E 11096.vm")


@pytest.mark.parametrize("command", ["qsub ok.sh", "qstat 9117.vm", "qdel 9117.vm", "qselect", "qalter -N x 9117.vm"])
def test_a_server_that_is_down(fake, command):
    submit(fake, 9117)
    fake.go_down()

    assert_same(fake, "server_down", command)


@pytest.mark.parametrize(("command", "occurrence"), [("qsub ok.sh", 1), ("qstat", 0)])
def test_a_configuration_that_is_missing(fake, command, occurrence):
    assert_same(fake, "server_down", command, occurrence, PBS_CONF_FILE="/nonexistent")


@pytest.mark.parametrize(("command", "occurrence"), [("qsub ok.sh", 2), ("qstat", 1)])
def test_a_server_that_does_not_exist(fake, command, occurrence):
    assert_same(fake, "server_down", command, occurrence, PBS_SERVER="nosuchhost")


PARENTS = {
    "afterok good": ("afterok", 159, ("finish", 0)),
    "afterok bad": ("afterok", 161, ("finish", 3)),
    "afternotok bad": ("afternotok", 163, ("finish", 3)),
    "afternotok good": ("afternotok", 165, ("finish", 0)),
    "afterany bad": ("afterany", 167, ("finish", 3)),
    "afterok deleted": ("afterok", 171, ("cancel", "molqtest@localhost")),
    "afterok timed out": ("afterok", 179, ("time_out",)),
}


@pytest.mark.parametrize("case", PARENTS)
def test_children_of_one_parent(fake, case):
    kind, parent, happening = PARENTS[case]
    child = f"{parent + 1}.vm"
    submit(fake, parent, "-N", "par")
    submit(fake, parent + 1, "-N", "child", "-W", f"depend={kind}:{parent}.vm")
    fake.start(f"{parent}.vm")
    look = f"qstat -x -f -w '{child}' | grep -E '{DEPENDENCY}'"
    assert_same(fake, "dependencies", look)
    getattr(fake, happening[0])(f"{parent}.vm", *happening[1:])
    assert_same(fake, "dependencies", f"qstat -x -f -w '{parent}.vm' | grep -E '{DEPENDENCY}'", 1)
    real = recorded.block("dependencies", look, 1).stdout
    if "Exit_status = 0" in real:
        fake.finish(child)

    assert_same(fake, "dependencies", look, 1)


@pytest.mark.parametrize(("kind", "parent"), [("afterok", 173), ("afterany", 175), ("afternotok", 177)])
def test_children_of_a_parent_that_is_deleted_before_it_starts_wait_for_ever(fake, kind, parent):
    submit(fake, parent, "-h")
    submit(fake, parent + 1, "-W", f"depend={kind}:{parent}.vm")
    ask(fake, f"qdel {parent}.vm")

    for job_id in (f"{parent}.vm", f"{parent + 1}.vm"):
        assert_same(fake, "dependencies", f"qstat -x -f -w '{job_id}' | grep -E '{DEPENDENCY}'", 1)


def test_a_loss_runs_down_the_chain(fake):
    submit(fake, 181, "-N", "A")
    submit(fake, 182, "-N", "B", "-W", "depend=afterok:181.vm")
    submit(fake, 183, "-N", "C", "-W", "depend=afterok:182.vm")
    submit(fake, 184, "-N", "D", "-W", "depend=afterany:182.vm")
    fake.finish("181.vm", 3)

    for number in (181, 182, 183, 184):
        assert_same(fake, "dependencies", f"qstat -x -f -w '{number}.vm' | grep -E '{DEPENDENCY}'")


def test_dependencies_on_jobs_that_are_over(fake):
    submit(fake, 185)
    fake.finish("185.vm", 0)
    submit(fake, 186)
    fake.finish("186.vm", 3)
    submit(fake, 187, "-h")
    ask(fake, "qdel 187.vm")

    cases = [(kind, parent) for kind in ("afterok", "afternotok", "afterany", "after") for parent in (185, 186, 187)]
    for child, (kind, parent) in enumerate(cases, start=188):
        submit(fake, child, "-N", "late", "-W", f"depend={kind}:{parent}.vm")
        look = f"qstat -x -f -w '{child}.vm' | grep -E '{DEPENDENCY}'"
        if "Exit_status = 0" in recorded.block("dependencies", look).stdout:
            fake.finish(f"{child}.vm")
        assert_same(fake, "dependencies", look)


def test_dependencies_that_are_dropped_or_changed(fake):
    submit(fake, 185)
    fake.finish("185.vm")
    submit(fake, 200, "-W", "depend=afterok:999999")
    submit(fake, 202)
    submit(fake, 203, "-W", "depend=afterok:202.vm:999999")
    submit(fake, 204, "-W", "depend=afterok:202.vm,afterany:185.vm")
    submit(fake, 205, "-W", "depend=afterok:202.vm:202.vm")
    submit(fake, 207, "-h")

    for number in (200, 203, 204, 205):
        assert_same(fake, "dependencies", f"qstat -x -f -w '{number}.vm' | grep -E '{DEPENDENCY}'")
    assert_same(fake, "dependencies", "qstat 200.vm")
    for occurrence, command in enumerate(
        ("qalter -W depend=afterok:202.vm 207.vm", "qalter -W depend=afterok:999999 207.vm")
    ):
        assert_same(fake, "dependencies", command)
        assert_same(fake, "dependencies", f"qstat -x -f -w '207.vm' | grep -E '{DEPENDENCY}'", occurrence)
    assert_same(fake, "dependencies", "qalter -W depend= 207.vm")


def test_arrays_in_each_stage(fake):
    fake.number_from(151)
    assert_same(fake, "arrays", "qsub -J 1-3 -N arr arr.sh")
    fake.start("151[].vm")

    for command in (
        *("qstat", "qstat -t", "qstat '151[].vm'", "qstat -t '151[].vm'", "qstat '151[2].vm'", "qstat '151[2]'"),
        *("qstat 151", "qstat '151[9]'"),
    ):
        assert_same(fake, "arrays", command)
    for index in (1, 2, 3):
        fake.finish(f"151[{index}].vm")
    for command in ("qstat -x -t | tail -4", "qstat '151[1]'"):
        done = ask(fake, command)
        assert done.stdout.count(" F ") == (4 if "-x" in command else 0)
    assert_same(fake, "arrays", "qstat '151[].vm'", 1)
    assert_same(fake, "arrays", "qstat '151[1]'")


def test_an_array_with_a_failure(fake):
    submit(fake, 152, "-J", "1-3", "-N", "arrf")
    for index, code in ((1, 0), (2, 3), (3, 0)):
        fake.finish(f"152[{index}].vm", code)

    assert_same(fake, "arrays", f"qstat -x -f -w -t '152[].vm' | grep -E '{ARRAY}'")


def test_an_array_of_which_elements_are_deleted(fake):
    submit(fake, 153, "-J", "1-4", "-N", "arrd")
    for index in (1, 2):
        fake.start(f"153[{index}].vm")
    assert_same(fake, "arrays", "qdel '153[4]'")

    shown = ask(fake, f"qstat -x -f -w -t '153[].vm' | grep -E '{ARRAY}'").stdout
    real = recorded.block("arrays", f"qstat -x -f -w -t '153[].vm' | grep -E '{ARRAY}'").stdout
    # The first element ends slowly on the real one.
    assert general(shown) == general(real).replace(" and terminated by molqtest@localhost", "")


def test_a_waiting_array_and_its_end_before_it_began(fake):
    submit(fake, 155, "-J", "1-3", "-N", "arrq")
    fake.comment("155[].vm", "Can Never Run: Insufficient amount of resource: ncpus (R: 1000 A: 64 T: 64)")
    assert_same(fake, "arrays", f"qstat -f -w -t '155[].vm' | grep -E '{ARRAY}'")
    ask(fake, "qdel '155[].vm'")

    shown = ask(fake, "qstat -x -f -w -t '155[].vm' | grep -E 'Job Id|job_state|substate|Exit_status'").stdout
    ends = "    job_state = F\n    substate = 91\n"
    assert shown == "".join(f"Job Id: 155[{i}].vm\n{ends}" for i in ("", 1, 2, 3))


@pytest.mark.parametrize(
    ("codes", "parent_says"),
    [((3, 0, 0), "93 0"), ((0, 3, 0), "93 0"), ((0, 0, 3), "93 1"), ((3, 3, 3), "93 1"), ((0, 0, 0), "92 0")],
)
def test_an_array_is_judged_by_its_last_element(fake, codes, parent_says):
    submit(fake, 215, "-J", "1-3")
    submit(fake, 216, "-W", "depend=afterok:'215[].vm'")
    submit(fake, 217, "-W", "depend=afternotok:'215[].vm'")
    for index, code in enumerate(codes, start=1):
        fake.finish(f"215[{index}].vm", code)

    shown = ask(fake, "qstat -x -f -w '215[].vm' | grep -E 'substate|Exit_status' | cut -d= -f2 | xargs").stdout
    states = ask(fake, "qstat -x -f -w 216.vm 217.vm | grep job_state | cut -d= -f2 | xargs").stdout
    assert shown.strip() == parent_says
    # One of the two is dropped, the other may run.
    assert states.split() == (["Q", "F"] if codes[-1] == 0 else ["F", "Q"])


@pytest.fixture
def listed(fake):
    """The jobs of the transcript about qselect."""
    fake.number_from(376)
    ask(fake, "qsub ok.sh")
    fake.start("376.vm")
    submit(fake, 9100, "-N", "selrun", "-A", "acct1")
    fake.start("9100.vm")
    submit(fake, 9101, "-q", "long")
    submit(fake, 9102, "-h", "-A", "acct1", "-P", "projX")
    submit(fake, 9103, "-J", "1-3")
    fake.start("9103[].vm")
    return fake


@pytest.mark.parametrize(
    "command",
    [
        *("qselect", "qselect -u nobody", "qselect -s R", "qselect -s QH", "qselect -s B", "qselect -T"),
        *("qselect -T -s R", "qselect -J", "qselect -N selrun", "qselect -A acct1", "qselect -P projX"),
        *("qselect -q long", "qselect -N nosuchname", "qselect -q nosuch", "qselect -Z"),
    ],
)
def test_searching(listed, command):
    assert_same(listed, "qselect", command)


@pytest.mark.parametrize(
    "command",
    ["qdel 999999", "qdel 9105.vm", "qdel 9106.vm", "qdel", "qdel banana", "qdel 9103", "qdel '9103[].vm'"],
)
def test_deleting(listed, command):
    submit(listed, 9105)
    listed.finish("9105.vm")
    submit(listed, 9106)
    listed.reuse_id("9106.vm")

    assert_same(listed, "qalter_qhold_qdel_etc", command)


@pytest.mark.parametrize(
    "command", ["qalter -N x 999999", "qalter -N x 9105.vm", "qalter -W comment='hi there' 9101.vm"]
)
def test_altering(listed, command):
    submit(listed, 9105)
    listed.finish("9105.vm")

    assert_same(listed, "qalter_qhold_qdel_etc", command)


def test_several_ids_for_one_qdel_may_crash_the_server(fake):
    submit(fake, 5104, "-h")

    assert_same(fake, "qdel_many_ids", "qdel '5104.vm' '999999'")
    assert ask(fake, "qstat 5104.vm").returncode == 255
    fake.come_back()
    assert ask(fake, "qstat -x 5104.vm").stdout.count(" F ") == 1


def test_a_purged_job(fake):
    submit(fake, 9126, "-N", "tobepurged")
    fake.finish("9126.vm")
    assert_same(fake, "history_purge", "qstat -x 9126.vm")
    fake.purge("9126.vm")

    assert_same(fake, "history_purge", "qstat -x 9126.vm", 1)
    submit(fake, 9127, "-N", "latechild", "-W", "depend=afterok:9126.vm")
    assert_same(fake, "history_purge", f"qstat -x -f -w '9127.vm' | grep -E '{MOM}'")
    assert "Exit_status=0 " in ask(fake, "tracejob 9126.vm").stdout


def test_a_site_without_history(fake):
    fake.accounting_off()
    submit(fake, 9128, "-N", "nohist")
    submit(fake, 11095, "-N", "live")
    fake.start("11095.vm")
    fake.finish("9128.vm")

    assert_same(fake, "history_purge", "qstat 9128.vm")
    assert_same(fake, "history_purge", "qstat -x 9128.vm")
    assert_same(fake, "other_deaths", "qstat -x 11095.vm")
    assert_same(fake, "other_deaths", "qstat 11095.vm")


def test_one_attribute_stands_on_one_line_as_the_real_one_prints_it(fake):
    submit(fake, 78, "-N", "run1", "-l", "walltime=00:10:00")
    fake.start("78.vm")

    real = recorded.block("qstat_formats", "qstat -f -w 78.vm").stdout
    shown = ask(fake, "qstat -f -w 78.vm").stdout

    def names(text):
        return [line.partition(" = ")[0] for line in text.split("\n")]

    assert names(shown) == names(real)
