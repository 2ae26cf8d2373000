"""What one poll makes of qstat and of the server's logs."""

from __future__ import annotations

import time
from itertools import permutations

import pytest

from molq.backend import JobState, SchedulerError, SubmittedJob
from molq_pbs.poll import poll_jobs
from molq_pbs.server_logs import read_logs


@pytest.fixture
def submit(fake_pbs, tmp_path, commands):
    """Put a job straight into the fake queue, as a submission would."""

    def put(tag, *flags, array_spec=None, fake=fake_pbs):
        folder = tmp_path / tag
        folder.mkdir()
        (folder / "job.sh").write_text("#!/bin/sh\ntrue\n")
        argv = [fake.options.qsub_path, *flags, "-v", f"MOLQ_TAG={tag}", str(folder / "job.sh")]
        reply = commands.run(argv)
        assert reply.exit_code == 0, reply
        return SubmittedJob(
            job_id=tag,
            scheduler_job_id=reply.stdout.strip(),
            job_dir=folder,
            submitted_at=time.time(),
            is_array=array_spec is not None,
            array_spec=array_spec,
        )

    return put


@pytest.fixture
def poll(fake_pbs, commands):
    def ask(*jobs, fake=fake_pbs):
        return poll_jobs(jobs, fake.options, commands)

    return ask


def calls(fake):
    return [(words[0], words[1:]) for words in fake.commands_run if words[0] != "qsub"]


def names(fake):
    return [name for name, _ in calls(fake)]


def test_many_jobs_are_asked_for_by_one_request(fake_pbs, submit, poll):
    jobs = [submit(f"tag-{n}") for n in range(5)]
    fake_pbs.finish(jobs[0].scheduler_job_id, 3)

    answer = poll(*jobs)

    assert [report.state for report in answer.reports] == [JobState.FAILED] + [JobState.QUEUED] * 4
    assert names(fake_pbs) == ["qstat"]
    assert "-E" in calls(fake_pbs)[0][1]


def test_a_job_that_was_passed_over_without_a_word_is_asked_for_again(fake_pbs, submit, poll):
    jobs = [submit(f"tag-{n}") for n in range(3)]
    fake_pbs.purge(jobs[1].scheduler_job_id)
    fake_pbs.lose_logs()

    answer = poll(*jobs)

    assert [report.scheduler_job_id for report in answer.reports] == ["1.vm", "3.vm"]
    assert not answer.unanswered
    assert [name for name, words in calls(fake_pbs) if "-E" not in words] == ["qstat", "tracejob"]


def test_a_site_without_history_is_asked_in_the_other_way(fake_pbs, submit, poll):
    live, over = submit("tag-1"), submit("tag-2")
    fake_pbs.start(live.scheduler_job_id)
    fake_pbs.accounting_off()
    fake_pbs.finish(over.scheduler_job_id)
    fake_pbs.lose_logs()

    answer = poll(live, over)

    assert [(report.scheduler_job_id, report.state) for report in answer.reports] == [("1.vm", JobState.RUNNING)]
    assert not answer.unanswered, "that the server does not know a job is a statement, though no end"


def test_how_a_forgotten_job_ended_is_read_from_the_servers_logs(fake_pbs, submit, poll):
    endings = {
        "signal": (JobState.FAILED, "signal"),
        "time_out": (JobState.TIMED_OUT, "timeout"),
        "out_of_memory": (JobState.FAILED, "out_of_memory"),
        "cancel": (JobState.CANCELLED, "cancelled"),
        "finish": (JobState.SUCCEEDED, None),
    }
    jobs = {what: submit(what) for what in endings}
    for what, job in jobs.items():
        fake_pbs.start(job.scheduler_job_id)
        getattr(fake_pbs, what)(job.scheduler_job_id, *([9] if what == "signal" else []))
        fake_pbs.purge(job.scheduler_job_id)

    answer = poll(*jobs.values())

    by_id = {report.scheduler_job_id: report for report in answer.reports}
    assert {what: (by_id[j.scheduler_job_id].state, by_id[j.scheduler_job_id].cause) for what, j in jobs.items()} == (
        endings
    )
    assert all(report.tag is None for report in answer.reports)


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_the_lines_of_one_second_are_read_in_the_order_of_a_jobs_life(submit, order):
    job = submit("tag-1")
    day = time.strftime("%m/%d/%Y %H:%M:%S", time.localtime(job.submitted_at))
    lines = [
        f"{day}  S    enqueuing into workq, state Q hop 1",
        f"{day}  S    Job Queued at request of me@localhost, owner = me@localhost, job name = x, queue = workq",
        f"{day}  S    Job Run at request of Scheduler@vm on exec_vnode (vm:ncpus=1)",
        f"{day}  S    Exit_status=3 resources_used.cput=00:00:00",
    ]

    text = "\n".join(["", "Job: 1.vm", "", *(lines[number] for number in order), ""])

    assert read_logs(text, [job])["1.vm"].number("exit_status") == 3


def test_the_logs_are_not_asked_about_a_job_whose_exit_file_tells(fake_pbs, submit, poll):
    job = submit("tag-1")
    fake_pbs.finish(job.scheduler_job_id)
    fake_pbs.purge(job.scheduler_job_id)
    (job.job_dir / "exit").write_text("0\n")

    answer = poll(job)

    assert (answer.reports, answer.unanswered) == ((), frozenset())
    assert "tracejob" not in names(fake_pbs)


def test_the_log_of_an_older_job_with_the_same_id_is_not_believed(fake_pbs, submit, poll):
    from attrs import evolve

    job = submit("tag-1")
    fake_pbs.finish(job.scheduler_job_id)
    fake_pbs.purge(job.scheduler_job_id)

    answer = poll(evolve(job, submitted_at=time.time() + 7200))

    assert answer.reports == ()


def test_a_log_of_a_job_that_was_started_again_tells_no_end(fake_pbs, submit, poll):
    job = submit("tag-1")
    fake_pbs.start(job.scheduler_job_id)
    fake_pbs.requeue(job.scheduler_job_id)
    fake_pbs.purge(job.scheduler_job_id)

    assert poll(job).reports == ()


def test_rows_of_a_failing_call_are_kept(fake_pbs, submit, poll):
    first, second = submit("tag-1"), submit("tag-2")
    text = "Job Id: 1.vm\n    job_state = R\n    run_count = 1\n    Variable_List = MOLQ_TAG=tag-1\n\n"
    fake_pbs.say("qstat", text, "Connection refused\nqstat: cannot connect to server b (errno=15010)\n", 255)

    answer = poll(first, second)

    assert [(report.scheduler_job_id, report.state) for report in answer.reports] == [("1.vm", JobState.RUNNING)]
    assert answer.unanswered == {"2.vm"}


@pytest.mark.parametrize("missing", [1, 30, 200, 100_000])
def test_an_answer_that_is_cut_off_leaves_the_last_job_open(fake_pbs, submit, poll, missing):
    jobs = [submit(f"tag-{n}") for n in range(2)]
    for job in jobs:
        fake_pbs.finish(job.scheduler_job_id)
    fake_pbs.cut_off("qstat", missing)

    answer = poll(*jobs)

    assert [report.scheduler_job_id for report in answer.reports] == (["1.vm"] if missing < 1000 else [])
    assert "2.vm" in answer.unanswered


def test_a_server_that_says_nothing_is_given_up_on_in_time(fake_pbs, submit, poll):
    job = submit("tag-1")
    fake_pbs.hang()

    with pytest.raises(SchedulerError, match=f"did not answer within {fake_pbs.options.command_timeout.seconds}"):
        poll(job)

    fake_pbs.come_back()


@pytest.mark.parametrize(
    "words",
    [
        "qstat: illegally formed job identifier: 1.vm\n",
        "Unknown Host.\nqstat: cannot connect to server vm (errno=15008)\n",
        "qstat: Unknown Job Id 1.vm\n",  # with an exit code that says that something else went wrong too
    ],
)
def test_a_job_is_only_absent_if_the_server_says_so(fake_pbs, submit, poll, words):
    job = submit("tag-1")
    fake_pbs.say("qstat", "", words, 1)

    with pytest.raises(SchedulerError):
        poll(job)


def test_ids_of_two_servers_are_not_mixed_up(fake_pbs, submit, poll):
    from attrs import evolve

    job = submit("tag-1")
    other = evolve(job, job_id="tag-2", scheduler_job_id="1.elsewhere")

    answer = poll(job, other)

    assert [(report.scheduler_job_id, report.tag) for report in answer.reports] == [("1.vm", "tag-1")]
    assert answer.unanswered == {"1.elsewhere"}


@pytest.mark.parametrize("refused", [["-E"], ["-E", "-w"]])
def test_an_older_pbs_is_asked_in_the_words_that_it_knows(fake_pbs, submit, poll, refused):
    jobs = [submit(f"tag-{n}") for n in range(2)]
    real = fake_pbs.bin / "real-qstat"
    (fake_pbs.bin / "qstat").rename(real)
    lines = {
        "-E": "qstat: invalid option -- 'E'",
        "-w": "qstat: option w can be used only with option a, n, T or s",
    }
    checks = "".join(f'[ "$word" != {flag} ] || {{ echo "{lines[flag]}" >&2; exit 2; }}; ' for flag in refused)
    (fake_pbs.bin / "qstat").write_text(f'#!/bin/sh\nfor word; do {checks}done\nexec "{real}" "$@"\n')
    (fake_pbs.bin / "qstat").chmod(0o755)

    answer = poll(*jobs)

    assert [(report.state, report.tag) for report in answer.reports] == [
        (JobState.QUEUED, "tag-0"),
        (JobState.QUEUED, "tag-1"),
    ]


def test_torque_is_noticed_where_nothing_was_said_about_it(fake_torque, submit, poll, commands):
    from attrs import evolve

    jobs = (submit("tag-1", fake=fake_torque), submit("tag-2", fake=fake_torque))
    fake_torque.finish(jobs[0].scheduler_job_id)

    answer = poll_jobs(jobs, evolve(fake_torque.options, dialect="auto"), commands)

    assert [report.state for report in answer.reports] == [JobState.SUCCEEDED, JobState.QUEUED]


def test_the_elements_that_were_not_asked_for_are_left_out(fake_pbs, submit, poll):
    job = submit("tag-a", "-J", "1-7", array_spec="1,3,5-7")
    for index in (2, 4):
        fake_pbs.finish(f"{job.scheduler_job_id}_{index}", 9)
    for index in (1, 3, 5, 6, 7):
        fake_pbs.finish(f"{job.scheduler_job_id}_{index}")

    (report,) = poll(job).reports

    assert report.state is JobState.SUCCEEDED
    assert [element.index for element in report.elements] == [1, 3, 5, 6, 7]


def test_an_array_is_not_judged_by_its_last_element(fake_pbs, submit, poll):
    job = submit("tag-a", "-J", "1-3", array_spec="1-3")
    for index, code in ((1, 0), (2, 3), (3, 0)):
        fake_pbs.finish(f"{job.scheduler_job_id}_{index}", code)

    (report,) = poll(job).reports

    assert (report.state, report.exit_code) == (JobState.FAILED, 3)
    assert report.reason == "1 of 3 elements failed: 2"
    assert report.tag == "tag-a"


def test_an_element_of_which_only_its_end_is_known_is_left_out(fake_pbs, submit, poll, commands):
    job = submit("tag-a", "-J", "1-3", array_spec="1-3")
    fake_pbs.start(f"{job.scheduler_job_id}_1")
    commands.run([fake_pbs.options.qdel_path, "1[3].vm"])

    (report,) = poll(job).reports

    # A site without history shows the same of one that succeeded.
    assert report.state is JobState.RUNNING
    assert {element.index: element.state for element in report.elements} == {
        1: JobState.RUNNING,
        2: JobState.QUEUED,
    }


def test_without_history_nothing_is_said_of_how_an_element_ended(fake_pbs, submit, poll):
    job = submit("tag-a", "-J", "1-3", array_spec="1-3")
    fake_pbs.start(f"{job.scheduler_job_id}_3")
    for index, code in ((1, 0), (2, 7)):
        fake_pbs.finish(f"{job.scheduler_job_id}_{index}", code)
    fake_pbs.accounting_off()

    (report,) = poll(job).reports

    assert report.state is JobState.RUNNING
    assert {element.index: element.state for element in report.elements} == {3: JobState.RUNNING}


@pytest.mark.parametrize("exit_code", [0, 7])
def test_an_element_that_was_deleted_before_it_started_has_not_ended_as_its_array(
    fake_pbs, submit, poll, commands, exit_code
):
    job = submit("tag-a", "-J", "1-3", array_spec="1-3")
    fake_pbs.start(f"{job.scheduler_job_id}_1")
    commands.run([fake_pbs.options.qdel_path, "1[3].vm"])
    for index in (1, 2):
        fake_pbs.finish(f"{job.scheduler_job_id}_{index}", exit_code)

    (report,) = poll(job).reports

    assert {element.index: (element.state, element.exit_code) for element in report.elements} == {
        1: (JobState.FAILED if exit_code else JobState.SUCCEEDED, exit_code),
        2: (JobState.FAILED if exit_code else JobState.SUCCEEDED, exit_code),
        3: (JobState.CANCELLED, None),
    }
    assert report.state is (JobState.FAILED if exit_code else JobState.CANCELLED)


def test_an_array_that_was_deleted_before_it_began(fake_pbs, submit, poll):
    job = submit("tag-a", "-J", "1-3", array_spec="1-3")
    fake_pbs.cancel(job.scheduler_job_id)

    (report,) = poll(job).reports

    assert report.state is JobState.CANCELLED
    assert report.reason == "3 of 3 elements were cancelled: 1-3"


def test_ten_thousand_records_are_read_quickly(submit, poll, commands, tmp_path):
    from molq_pbs.job_records import parse_records

    filler = "".join(f"    Resource_List.r{n} = {n}\n" for n in range(35))
    text = "".join(f"Job Id: {n}.vm\n    job_state = R\n{filler}\n" for n in range(1, 10_001))
    began = time.process_time()

    listing = parse_records(text)

    assert len(listing.records) == 10_000
    assert time.process_time() - began < 5
